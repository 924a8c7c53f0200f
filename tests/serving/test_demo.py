"""The program around the page: flags, mistakes, the way it ends."""

import importlib.util
import os
import signal
import socket
import sys
import threading
from types import SimpleNamespace

import pytest

from kgpm import demo
from kgpm.cli.main import run
from kgpm.serving.demo import server as demo_server
from kgpm.serving.demo.server import serve_page
from tests.models.conftest import SHAPE


@pytest.fixture
def export_dir(tmp_path):
    """What looks like an export before anything is loaded."""
    (tmp_path / "small" / "1").mkdir(parents=True)
    (tmp_path / "small" / "1" / "saved_model.pb").write_bytes(b"")
    return tmp_path / "small"


@pytest.fixture
def taken():
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def sentence_of(capfd, *arguments):
    """The one sentence with which the program refuses its arguments."""
    code = run(
        "kgpm.demo",
        lambda values: pytest.fail("the page was shown"),
        demo.define_flags,
        demo.__doc__,
        list(arguments),
        check=demo.check,
    )
    assert code == 2
    found = capfd.readouterr()
    assert found.out == ""
    assert found.err.startswith("kgpm.demo: ") and found.err.count("\n") == 1
    return found.err


def test_an_export_is_required(capfd):
    assert "--export_dir is required" in sentence_of(capfd)


def test_an_export_must_be_there(capfd, tmp_path, export_dir):
    said = sentence_of(capfd, f"--export_dir={tmp_path / 'no'}")
    assert "holds no export" in said and "kgpm.export" in said
    said = sentence_of(capfd, f"--export_dir={export_dir}", "--version=2")
    assert "holds no version 2 (versions there: 1)" in said


def test_gradio_must_be_there(capfd, export_dir, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "gradio" else find(name, *rest),
    )
    said = sentence_of(capfd, f"--export_dir={export_dir}")
    assert "pip install 'kgpm[demo]'" in said


def test_a_port_must_be_free(capfd, export_dir, taken):
    said = sentence_of(capfd, f"--export_dir={export_dir}", f"--port={taken}")
    assert f"--port={taken} cannot be listened on" in said


@pytest.mark.parametrize("host", ["256.1.1.1", "192.0.2.1", "::ffff"])
def test_a_host_must_be_of_this_machine(capfd, export_dir, host, monkeypatch):
    # No name server is asked about what is none.
    lookup = socket.getaddrinfo

    def offline(name, *rest, **options):
        if name == "256.1.1.1":
            raise socket.gaierror(socket.EAI_NONAME, "Name not known")
        return lookup(name, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    said = sentence_of(capfd, f"--export_dir={export_dir}", f"--host={host}")
    assert f"--host={host} --port=7860 cannot be listened on" in said


@pytest.mark.parametrize("port", ["0", "65536", "web"])
def test_a_port_is_a_number(capfd, export_dir, port):
    said = sentence_of(capfd, f"--export_dir={export_dir}", f"--port={port}")
    assert "flag --port" in said


def test_by_default_nobody_else_can_reach_the_page(export_dir):
    from kgpm.cli import flags
    from kgpm.cli.main import parse

    values = flags.FlagValues()
    demo.define_flags(values)
    parse(values, [f"--export_dir={export_dir}"])
    assert (values.host, values.port) == ("127.0.0.1", 7860)


class StandIn:
    """A page that is never shown."""

    def __init__(self):
        self.options = {}
        self.closed = False

    def launch(self, **options):
        self.options = options
        return None, "http://127.0.0.1:1234/", None

    def close(self, verbose):
        self.closed = True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(number, monkeypatch):
    for name in ("no_proxy", "NO_PROXY", "GRADIO_ANALYTICS_ENABLED"):
        monkeypatch.setenv(name, "example.org")
    page = StandIn()
    before = signal.getsignal(number)
    shown = []

    def ready(url):
        shown.append(url)
        threading.Timer(0.1, os.kill, (os.getpid(), number)).start()

    serve_page(lambda: page, "127.0.0.1", 1234, ready)
    assert shown == ["http://127.0.0.1:1234"]
    assert page.closed and signal.getsignal(number) == before
    assert page.options["share"] is False
    assert os.environ["no_proxy"] == "example.org,127.0.0.1"
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"


def test_the_program_shows_the_model(small_export, monkeypatch, capsys):
    from kgpm.serving.demo import page as demo_page

    def serve(build, host, port, ready):
        assert build().image_shape == SHAPE
        ready(f"http://{host}:{port}")

    monkeypatch.setattr(demo_page, "build_page", lambda model: model)
    monkeypatch.setattr(demo_server, "serve_page", serve)
    demo.main(
        SimpleNamespace(
            export_dir=str(small_export),
            version=None,
            host="127.0.0.1",
            port=7860,
        )
    )
    assert capsys.readouterr().out == (
        "small on http://127.0.0.1:7860 (Ctrl-C ends it)\n"
    )


def test_help_needs_no_gradio(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    code = run(
        "kgpm.demo", demo.main, demo.define_flags, demo.__doc__, ["--help"]
    )
    assert code == 0
    assert "--export_dir" in capsys.readouterr().out
