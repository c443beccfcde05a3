# SPDX-License-Identifier: GPL-2.0
"""The numbers of the family tcp_dispatch, as its specification orders them."""

import socket
import struct

from . import netlink

NAME = "tcp_dispatch"

SERVICE_ADD, SERVICE_DEL, SERVICE_GET = 1, 2, 3
PROCESS_ADD, PROCESS_DEL, PROCESS_GET = 4, 5, 6
CONNECTION_ADD, CONNECTION_DEL, CONNECTION_GET = 7, 8, 9
NET_GET, NET_SET = 10, 11

_ADDRESS = [("ipv4", "address"), ("port", "port")]
_STATS = [(name, "uint") for name in ("connections", "packets-in", "bytes-in", "packets-out", "bytes-out")]
_DROPS = [
    (name, "uint") for name in ("no-process", "connection-limit", "conflict", "no-memory", "outside", "no-connection")
]
SERVICE = [
    ("service-address", _ADDRESS),
    ("processes", "uint"),
    ("connections", "uint"),
    ("stats", _STATS),
    ("drops", _DROPS),
]
PROCESS = [
    ("service-address", _ADDRESS),
    ("process-address", _ADDRESS),
    ("connections", "uint"),
    ("stats", _STATS),
    ("drops", _DROPS),
]
CONNECTION = [
    ("client-address", _ADDRESS),
    ("service-address", _ADDRESS),
    ("process-address", _ADDRESS),
    ("state", "state"),
    ("age", "uint"),
]
NET = [
    ("process-prefix", "address"),
    ("process-prefix-len", "uint"),
    ("max-connections", "uint"),
    ("services", "uint"),
    ("connections", "uint"),
    ("drops", _DROPS),
]
STATES = (
    "none established syn-sent syn-recv fin-wait1 fin-wait2 time-wait close close-wait last-ack listen closing "
    "new-syn-recv"
).split()


def number(names, name):
    """The attribute type of a name."""
    return [each for each, _ in names].index(name) + 1


def split(address):
    """The bytes of "192.0.2.1:80"."""
    host, port = address.rsplit(":", 1)
    return socket.inet_aton(host), struct.pack("!H", int(port))


def encode(names, **values):
    """Attributes: an address is a string, another value the bytes of its payload."""
    encoded = b""
    for name, value in values.items():
        name = name.replace("_", "-")
        if isinstance(value, str):
            host, port = split(value)
            nest = netlink.attribute(1, host) + netlink.attribute(2, port)
            encoded += netlink.attribute(number(names, name), nest, nested=True)
        elif value is not None:
            encoded += netlink.attribute(number(names, name), value)
    return encoded


def decode(names, data):
    """A dictionary of attributes; addresses as strings."""
    decoded = {}
    for kind, payload in netlink.parse(data):
        name, form = names[kind - 1]
        if form is _ADDRESS:
            nest = dict(netlink.parse(payload))
            decoded[name] = f"{socket.inet_ntoa(nest[1])}:{struct.unpack('!H', nest[2])[0]}"
        elif isinstance(form, list):
            decoded[name] = decode(form, payload)
        elif form == "address":
            decoded[name] = socket.inet_ntoa(payload)
        else:
            decoded[name] = int.from_bytes(payload, "little")
            if form == "state":
                decoded[name] = STATES[decoded[name]]
    return decoded
