"""Addresses to listen on."""

import socket

from kgpm.errors import UserError


def listening_socket(host: str, port: int, flag: str = "port") -> socket.socket:
    """A socket on one address.

    Args:
        host: name or number of an address of this machine.
        port: 0 takes a free one.
        flag: that the port came from.

    Raises:
        UserError: it cannot be listened on.
    """
    try:
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, address = found[0]
        listening = socket.create_server(address[:2], family=family)
        # asyncio sets it only where a socket names its protocol; without it
        # every short answer waits 40 ms for an acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        reason = str(error.strerror).split(" (")[0]
        raise UserError(
            f"--host={host} --{flag}={port} cannot be listened on ({reason}): "
            "choose another, or stop what uses it"
        ) from error


def url_host(host: str) -> str:
    """A host as addresses have it before the port: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host
