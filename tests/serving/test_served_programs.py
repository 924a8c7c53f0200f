"""The programs that show an export: flags, and what they refuse at once."""

import importlib.util
import socket
import sys

import pytest

from kgpm import demo
from kgpm import serve
from kgpm.cli import flags
from kgpm.cli.main import parse
from kgpm.cli.main import run
from kgpm.errors import UserError
from kgpm.serving.addresses import listening_socket
from kgpm.serving.addresses import url_host

# What each needs, and the extra that brings it.
NEEDS = {demo: ("gradio", "demo"), serve: ("kserve", "serve")}


@pytest.fixture(params=NEEDS, ids=["demo", "serve"])
def program(request):
    return request.param


@pytest.fixture
def export_dir(tmp_path):
    """What looks like an export before anything is loaded."""
    (tmp_path / "small" / "1").mkdir(parents=True)
    (tmp_path / "small" / "1" / "saved_model.pb").touch()
    return tmp_path / "small"


@pytest.fixture
def refused(program, capfd):
    """The one sentence with which a program refuses its arguments."""

    def ask(*arguments):
        code = run(
            program.__name__,
            lambda values: pytest.fail("it began to work"),
            program.define_flags,
            program.__doc__,
            list(arguments),
            check=program.check,
        )
        assert code == 2
        found = capfd.readouterr()
        assert found.out == ""
        assert found.err.startswith(f"{program.__name__}: ")
        assert found.err.count("\n") == 1
        return found.err

    return ask


def test_an_export_must_be_there(refused, tmp_path, export_dir):
    assert "--export_dir is required" in refused()
    said = refused(f"--export_dir={tmp_path / 'no'}")
    assert "holds no export" in said and "kgpm.export" in said
    said = refused(f"--export_dir={export_dir}", "--version=2")
    assert "holds no version 2 (versions there: 1)" in said


def test_what_it_needs_must_be_installed(
    program, refused, export_dir, monkeypatch
):
    package, extra = NEEDS[program]
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == package else find(name, *rest),
    )
    said = refused(f"--export_dir={export_dir}")
    assert f"pip install 'kgpm[{extra}]'" in said


@pytest.mark.parametrize(
    ("program", "flag"),
    [(demo, "port"), (serve, "port"), (serve, "grpc_port")],
    indirect=["program"],
)
def test_a_port_must_be_free(refused, export_dir, flag):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        free = ["--port=0"] if flag != "port" else []
        said = refused(f"--export_dir={export_dir}", *free, f"--{flag}={taken}")
    assert f"--{flag}={taken} cannot be listened on" in said


@pytest.mark.parametrize("host", ["256.1.1.1", "192.0.2.1", "::ffff"])
def test_a_host_must_be_of_this_machine(refused, export_dir, host, monkeypatch):
    # No name server is asked about what is none.
    lookup = socket.getaddrinfo

    def offline(name, *rest, **options):
        if name == "256.1.1.1":
            raise socket.gaierror(socket.EAI_NONAME, "Name not known")
        return lookup(name, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    said = refused(f"--export_dir={export_dir}", f"--host={host}")
    assert f"--host={host} --port=" in said and "cannot be listened on" in said


@pytest.mark.parametrize(
    ("program", "flag"),
    [
        *((demo, f"port={port}") for port in (0, 65536, "web")),
        *((serve, f"port={port}") for port in (-1, 70000)),
        *((serve, f"max_{what}=0") for what in ("batch", "request_mb")),
        (serve, "max_concurrency=0"),
    ],
    indirect=["program"],
)
def test_a_flag_out_of_bounds(refused, export_dir, flag):
    said = refused(f"--export_dir={export_dir}", f"--{flag}")
    assert f"flag --{flag.partition('=')[0]}" in said


def test_by_default_nobody_else_can_reach_it(program, export_dir):
    values = flags.FlagValues()
    program.define_flags(values)
    parse(values, [f"--export_dir={export_dir}"])
    assert values.host == "127.0.0.1"


def test_help_needs_nothing(program, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, NEEDS[program][0], None)
    define = (program.main, program.define_flags, program.__doc__)
    assert run(program.__name__, *define, ["--help"]) == 0
    text = capsys.readouterr().out
    assert f"python -m {program.__name__}" in text
    for flag in ("export_dir", "host", "port"):
        assert f"--{flag}" in text


def test_a_socket_of_one_address():
    with listening_socket("127.0.0.1", 0) as listening:
        host, port = listening.getsockname()
        assert host == "127.0.0.1"
        with pytest.raises(UserError, match="already in use.*choose another"):
            listening_socket("127.0.0.1", port)
        # Else each short answer is held back for 40 ms.
        with socket.create_connection((host, port)):
            accepted, _ = listening.accept()
            with accepted:
                level, option = socket.IPPROTO_TCP, socket.TCP_NODELAY
                assert accepted.getsockopt(level, option)


def test_an_address_of_ipv6_has_brackets():
    assert [url_host(host) for host in ("::1", "a.b")] == ["[::1]", "a.b"]
