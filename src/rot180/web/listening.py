"""The socket that a server listens on, and whether other machines can reach it."""

from __future__ import annotations

import errno
import ipaddress
import socket

from rot180.errors import ArgumentError

LOOPBACK = "127.0.0.1"
"""This machine, and no other one."""


def listen(host: str, port: int, *, backlog: int = 128) -> socket.socket:
    """Return a socket that listens.

    Parameters
    ----------
    host : str
        A name or an address of this machine.
    port : int
        0 for any free one.
    backlog : int
        Connections that may wait to be accepted.

    Raises
    ------
    ArgumentError
        The host is unknown, or the port is taken.
    """
    listening: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # Of sockets whose protocol is not named, asyncio does not know that they are TCP's, and leaves Nagle's delay.
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(backlog)
    except (OSError, OverflowError, UnicodeError) as error:
        if listening is not None:
            listening.close()
        reason = getattr(error, "strerror", None) or str(error)
        is_strange = isinstance(error, socket.gaierror) or getattr(error, "errno", None) == errno.EADDRNOTAVAIL
        advice = "--host must be a name or an address of this machine" if is_strange else "choose another port"
        raise ArgumentError(f"--host {host} --port {port}: {reason}; {advice}, or leave both out") from None
    return listening


def address_of(host: str, listening: socket.socket) -> str:
    """Return host and port as they stand in an address, such as `127.0.0.1:8000`."""
    return f"{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine and nobody else can reach it.

    >>> [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
