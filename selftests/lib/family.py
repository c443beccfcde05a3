# SPDX-License-Identifier: GPL-2.0
"""The numbers of the family tcp_dispatch, as its specification orders them."""

import struct

from . import ip, netlink

NAME = "tcp_dispatch"

SERVICE_ADD, SERVICE_DEL, SERVICE_GET = 1, 2, 3
PROCESS_ADD, PROCESS_DEL, PROCESS_GET = 4, 5, 6
CONNECTION_ADD, CONNECTION_DEL, CONNECTION_GET = 7, 8, 9
NET_GET, NET_SET = 10, 11
SERVICE_SET, PROCESS_SET = 12, 13
EVENTS = {
    14: "service-add-ntf",
    15: "service-set-ntf",
    16: "service-del-ntf",
    17: "process-add-ntf",
    18: "process-set-ntf",
    19: "process-del-ntf",
    20: "process-drained-ntf",
    21: "refused-ntf",
}
EVENTS_GROUP = "events"
NOBODY = 0xFFFFFFFF

STATES = (
    "none established syn-sent syn-recv fin-wait1 fin-wait2 time-wait close close-wait last-ack listen closing "
    "new-syn-recv"
).split()
SCHEDULERS = "rr wrr lc wlc mh sh saq cpu".split()
REFUSALS = "tcp reset retry".split()
PROCESS_STATES = "active draining down".split()
OWNERS = "none socket pid".split()
REFUSED_REASONS = "no-process connection-limit signed".split()

_ADDRESS = [("ipv4", "address"), ("port", "port"), ("ipv6", "address")]
_STATS = [(name, "uint") for name in ("connections", "packets-in", "bytes-in", "packets-out", "bytes-out")]
_DROPS = [
    (name, "uint")
    for name in ("no-process", "connection-limit", "conflict", "no-memory", "outside", "no-connection", "signed")
]
SERVICE = [
    ("service-address", _ADDRESS),
    ("processes", "uint"),
    ("connections", "uint"),
    ("stats", _STATS),
    ("drops", _DROPS),
    ("scheduler", SCHEDULERS),
    ("refusal", REFUSALS),
    ("affinity-timeout", "u32"),
    ("affinity-prefix-len", "u8"),
    ("registrant-uid", "u32"),
    ("registrant-gid", "u32"),
    ("registrant-prefix", "address"),
    ("registrant-prefix-len", "u8"),
    ("registrant-prefix-ipv6", "address"),
]
PROCESS = [
    ("service-address", _ADDRESS),
    ("process-address", _ADDRESS),
    ("connections", "uint"),
    ("stats", _STATS),
    ("drops", _DROPS),
    ("weight", "u32"),
    ("state", PROCESS_STATES),
    ("drain-timeout", "u32"),
    ("cpus", "string"),
    ("owner", OWNERS),
    ("pid", "u32"),
    ("pidfd", "u32"),
    ("uid", "u32"),
    ("accept-queue", "u32"),
    ("accept-queue-max", "u32"),
]
CONNECTION = [
    ("client-address", _ADDRESS),
    ("service-address", _ADDRESS),
    ("process-address", _ADDRESS),
    ("state", STATES),
    ("age", "uint"),
    ("client-prefix", "address"),
    ("client-prefix-len", "u8"),
    ("client-prefix-ipv6", "address"),
]
REFUSED = [
    ("service-address", _ADDRESS),
    ("client-address", _ADDRESS),
    ("reason", REFUSED_REASONS),
    ("count", "uint"),
]
NET = [
    ("process-prefix", "address"),
    ("process-prefix-len", "uint"),
    ("max-connections", "uint"),
    ("services", "uint"),
    ("connections", "uint"),
    ("drops", _DROPS),
    ("process-prefix-ipv6", "address"),
    ("process-prefix-ipv6-len", "uint"),
]
_SIZES = {"u8": 1, "u32": 4}


def content_of(event):
    """The attribute set of an event."""
    return {"service": SERVICE, "process": PROCESS, "refused": REFUSED}[event.split("-")[0]]


def number(names, name):
    """The attribute type of a name."""
    return [each for each, _ in names].index(name) + 1


def split(address):
    """The bytes of an endpoint's host and port."""
    host, port = ip.split(address)
    return ip.pack(host), struct.pack("!H", port)


def halves(host, port):
    """The attributes of an address, from the bytes of its host and port."""
    return netlink.attribute(1 if len(host) == 4 else 3, host) + netlink.attribute(2, port)


def prefix(name, host, length):
    """The attributes of a range that an object has one of, "client" or "registrant", by the range's version."""
    which = f"{name}_prefix" if host is None or ip.version_of(host) is ip.IPV4 else f"{name}_prefix_ipv6"
    return {which: host, f"{name}_prefix_len": length}


def encode(names, **values):
    """Attributes: values as `decode` gives them, or the bytes of a payload. What is None is left out."""
    encoded = b""
    for name, value in values.items():
        name = name.replace("_", "-")
        if value is not None:
            kind = number(names, name)
            form = names[kind - 1][1]
            encoded += netlink.attribute(kind, _payload(form, value), nested=form is _ADDRESS)
    return encoded


def _payload(form, value):
    if isinstance(value, bytes):
        return value
    if form is _ADDRESS:
        return halves(*split(value))
    if form == "address":
        return ip.pack(value)
    if form == "string":
        return value.encode() + b"\0"
    if isinstance(form, list):
        return struct.pack("=I", form.index(value))
    return value.to_bytes(_SIZES[form], "little")


def decode(names, data):
    """A dictionary of attributes; addresses as strings."""
    decoded = {}
    for kind, payload in netlink.parse(data):
        name, form = names[kind - 1]
        if form is _ADDRESS:
            nest = dict(netlink.parse(payload))
            decoded[name] = ip.endpoint(ip.unpack(nest.get(1) or nest[3]), struct.unpack("!H", nest[2])[0])
        elif form == "address":
            decoded[name] = ip.unpack(payload)
        elif form == "string":
            decoded[name] = payload.rstrip(b"\0").decode()
        elif isinstance(form, list) and isinstance(form[0], str):
            decoded[name] = form[int.from_bytes(payload, "little")]
        elif isinstance(form, list):
            decoded[name] = decode(form, payload)
        else:
            decoded[name] = int.from_bytes(payload, "little")
    return decoded
