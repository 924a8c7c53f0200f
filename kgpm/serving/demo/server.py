"""The page's server: on one address, offline, until a signal ends it."""

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from kgpm.serving.addresses import url_host

# Largest file that can be uploaded.
_MAX_FILE = "10mb"


def serve_page(
    build: Callable[[], Any], host: str, port: int, ready: Callable[[str], None]
) -> None:
    """Shows a page until SIGINT or SIGTERM.

    Args:
        build: makes the page.
        host: where to listen.
        port: TCP port.
        ready: called with the page's address when it can be opened.

    Raises:
        OSError: the port was taken meanwhile.
    """
    # Gradio asks its own server whether it is there; a proxy would not know.
    for name in ("no_proxy", "NO_PROXY"):
        known = os.environ.get(name)
        os.environ[name] = f"{known},{host}" if known else host
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    ended = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: ended.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        from kgpm.serving.demo import style

        page = build()
        _, url, _ = page.launch(
            server_name=url_host(host),
            server_port=port,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            footer_links=[],
            run_history=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            max_file_size=_MAX_FILE,
            theme=style.theme(),
            css=style.CSS,
        )
        ready(url.rstrip("/"))
        ended.wait()
        page.close(verbose=False)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
