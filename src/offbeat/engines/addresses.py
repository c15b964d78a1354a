"""Where a machine may listen."""

from __future__ import annotations

import ipaddress
import socket


def one_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address of a host, which must be one: who listens at all of them is heard from everywhere.

    Parameters
    ----------
    host : str
        An address, or a name that has one.

    Raises
    ------
    ValueError
        It has none, or stands for all of them.

    Examples
    --------
    >>> one_address("127.0.0.1")
    IPv4Address('127.0.0.1')
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM) if host else []
    except OSError as error:
        raise ValueError(f"host {host!r} has no address: {error}") from None
    place = ipaddress.ip_address(found[0][4][0]) if found else ipaddress.ip_address("0.0.0.0")
    mapped = getattr(place, "ipv4_mapped", None) or place
    if mapped.is_unspecified or mapped.is_multicast:
        raise ValueError(f"host {host!r} is not one address; name the one that the peers reach this machine at")
    return place
