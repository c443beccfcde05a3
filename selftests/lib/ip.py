# SPDX-License-Identifier: GPL-2.0
"""The two versions of IP, and what differs between them."""

import dataclasses
import socket


@dataclasses.dataclass(frozen=True)
class Version:
    """A version of IP."""

    number: int
    family: int  # of the socket module
    header: int  # bytes of a header without options
    bits: int  # of an address
    icmp: int  # the protocol number of its ICMP
    option: str  # of `ip`
    table: str  # the family of an nftables table

    def __str__(self):
        return f"IPv{self.number}"


IPV4 = Version(4, socket.AF_INET, 20, 32, 1, "-4", "ip")
IPV6 = Version(6, socket.AF_INET6, 40, 128, 58, "-6", "ip6")
BOTH = (IPV4, IPV6)


def version_of(host):
    """The version of an address's text."""
    return IPV6 if ":" in host else IPV4


def pack(host):
    """The bytes of an address."""
    return socket.inet_pton(version_of(host).family, host)


def unpack(data):
    """The text of an address's 4 or 16 bytes."""
    return socket.inet_ntop(IPV4.family if len(data) == 4 else IPV6.family, data)


def endpoint(host, port):
    """ "192.0.2.1:80" or "[2001:db8::1]:80"."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split(address):
    """The host, bare, and the port of an endpoint."""
    host, port = address.rsplit(":", 1)
    return host.strip("[]"), int(port)


def host_of(address):
    """The host of an endpoint, bare."""
    return split(address)[0]


def port_of(address):
    """The port of an endpoint."""
    return split(address)[1]
