"""The page's server: on one address, offline, until a signal ends it."""

import errno
import importlib.util
import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

from kgpm.errors import UserError

# Largest file that can be uploaded.
_MAX_FILE = "10mb"


def check_gradio() -> None:
    """Refuses to go on where Gradio is not installed.

    Raises:
        UserError: it is not.
    """
    if importlib.util.find_spec("gradio") is None:
        raise UserError(
            "the page needs Gradio: install it with pip install 'kgpm[demo]'"
        )


def check_address(host: str, port: int) -> None:
    """Refuses an address that nothing can listen on.

    Args:
        host: name or number of an address of this machine.
        port: TCP port.

    Raises:
        UserError: the port is in use, or the host is none of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as listener:
            # As the server does: a port that was just left is free.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"port {port} of {host} is in use: choose another with --port"
            ) from error
        raise UserError(
            f"cannot listen on --host={host} --port={port}: {error.strerror}"
        ) from error


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
        from kgpm.serving import demo_style

        page = build()
        _, url, _ = page.launch(
            server_name=f"[{host}]" if ":" in host else host,
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
            theme=demo_style.theme(),
            css=demo_style.CSS,
        )
        ready(url.rstrip("/"))
        ended.wait()
        page.close(verbose=False)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
