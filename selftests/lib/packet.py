# SPDX-License-Identifier: GPL-2.0
"""IPv4 and TCP as bytes: what a test builds, and what it saw on the wire."""

import dataclasses
import socket
import struct

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
_NAMES = ((FIN, "FIN"), (SYN, "SYN"), (RST, "RST"), (PSH, "PSH"), (ACK, "ACK"), (URG, "URG"))


def checksum(data):
    """The Internet checksum of RFC 1071."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ipv4(source, destination, payload, protocol=6, options=b"", fragment=0, identifier=0, ttl=64, length=None):
    """An IPv4 packet; `fragment` is the flags and offset field."""
    words = 5 + len(options) // 4
    total = words * 4 + len(payload) if length is None else length
    header = struct.pack(
        "!BBHHHBBH4s4s",
        0x40 | (words & 15),
        0,
        total & 0xFFFF,
        identifier,
        fragment,
        ttl,
        protocol,
        0,
        socket.inet_aton(source),
        socket.inet_aton(destination),
    )
    header += options
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def tcp(source, destination, flags, sequence=0, acknowledgment=0, payload=b"", options=b"", offset=None, window=65535):
    """A TCP segment between "address:port" and "address:port"; `offset` lies about the header's words."""
    source, source_port = source.rsplit(":", 1)
    destination, destination_port = destination.rsplit(":", 1)
    words = 5 + len(options) // 4 if offset is None else offset
    fields = (int(source_port), int(destination_port), sequence & 0xFFFFFFFF, acknowledgment & 0xFFFFFFFF)
    segment = struct.pack("!HHIIBBHHH", *fields, words << 4, flags, window, 0, 0) + options + payload
    pseudo = socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!HH", 6, len(segment))
    return segment[:16] + struct.pack("!H", checksum(pseudo + segment)) + segment[18:]


def segment(source, destination, flags, *arguments, **more):
    """A whole packet of one TCP segment."""
    host, other = source.rsplit(":", 1)[0], destination.rsplit(":", 1)[0]
    return ipv4(host, other, tcp(source, destination, flags, *arguments, **more))


@dataclasses.dataclass
class Seen:
    """A TCP segment that was seen on the wire."""

    source: str
    destination: str
    flags: int
    sequence: int
    acknowledgment: int
    options: bytes
    length: int
    payload: int
    dont_fragment: bool
    outgoing: bool = False

    def __str__(self):
        flags = ",".join(name for bit, name in _NAMES if self.flags & bit)
        return f"{self.source} > {self.destination} {flags} seq {self.sequence} length {self.length}"

    @property
    def mss(self):
        """The MSS option's value."""
        options = self.options
        while options and options[0] != 0:
            if options[0] == 1:
                options = options[1:]
                continue
            if options[0] == 2:
                return struct.unpack_from("!H", options, 2)[0]
            options = options[max(2, options[1]) :]
        return None


def parse(data, outgoing=False):
    """What a packet is, or None where it isn't a whole TCP header."""
    if len(data) < 20 or data[0] >> 4 != 4 or data[9] != 6:
        return None
    start = (data[0] & 15) * 4
    if len(data) < start + 20:
        return None
    total, fragment = struct.unpack_from("!H2xH", data, 2)
    ports = struct.unpack_from("!HHIIBB", data, start)
    header = (ports[4] >> 4) * 4
    return Seen(
        f"{socket.inet_ntoa(data[12:16])}:{ports[0]}",
        f"{socket.inet_ntoa(data[16:20])}:{ports[1]}",
        ports[5],
        ports[2],
        ports[3],
        data[start + 20 : start + header],
        total,
        total - start - header,
        bool(fragment & 0x4000),
        outgoing,
    )
