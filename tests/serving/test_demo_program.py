"""The program around the page: what it shows, and the way it ends."""

import os
import signal
import threading
from types import SimpleNamespace

import pytest

from kgpm import demo
from kgpm.serving.demo import server as demo_server
from kgpm.serving.demo.server import serve_page
from tests.models.conftest import SHAPE


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
