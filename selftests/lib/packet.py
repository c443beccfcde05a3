# SPDX-License-Identifier: GPL-2.0
"""IP, ICMP and TCP as bytes: what a test builds, and what it saw on the wire."""

import dataclasses
import struct

from .ip import IPV4, IPV6, endpoint, pack, split, unpack, version_of

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
_NAMES = ((FIN, "FIN"), (SYN, "SYN"), (RST, "RST"), (PSH, "PSH"), (ACK, "ACK"), (URG, "URG"))
TCP, UDP = 6, 17
# IPv6's extension headers.
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60
# Types of ICMP errors, which quote a packet.
_ICMP_ERRORS = {IPV4: (3, 4, 5, 11, 12), IPV6: range(1, 128)}
# Types of ICMPv6 that computers of one link talk about themselves with: multicast listeners and neighbours.
_LINK_TALK = (*range(130, 138), 143)


def checksum(data):
    """The Internet checksum of RFC 1071."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ipv4(source, destination, payload, protocol=TCP, options=b"", fragment=0, identifier=0, ttl=64, length=None):
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
        pack(source),
        pack(destination),
    )
    header += options
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def ipv6(source, destination, payload, protocol=TCP, headers=(), ttl=64, length=None):
    """An IPv6 packet. `headers` are extension headers, (kind, all but the number of the next one) each.

    `length` is that of the whole packet, the first header included, as IPv4 has it.
    """
    kinds = [kind for kind, _ in headers] + [protocol]
    extensions = b"".join(bytes((following,)) + content for (_, content), following in zip(headers, kinds[1:]))
    total = len(extensions) + len(payload) if length is None else length - IPV6.header
    first = struct.pack("!IHBB16s16s", 6 << 28, total & 0xFFFF, kinds[0], ttl, pack(source), pack(destination))
    return first + extensions + payload


def ip(source, destination, payload, protocol=TCP, **more):
    """An IP packet of the addresses' version."""
    make = ipv4 if version_of(source) is IPV4 else ipv6
    return make(source, destination, payload, protocol, **more)


def fragment(source, destination, piece, offset, more, identifier, protocol=TCP):
    """A fragment: `piece` of what is behind the header, at `offset` bytes; `more` if others come behind it."""
    if version_of(source) is IPV4:
        flags = 0x2000 * bool(more) | offset // 8
        return ipv4(source, destination, piece, protocol, fragment=flags, identifier=identifier)
    header = (FRAGMENT, struct.pack("!BHI", 0, offset | bool(more), identifier))
    return ipv6(source, destination, piece, protocol, headers=[header])


def options_header(kind, options=b""):
    """An extension header of options, hop-by-hop or for the destination, padded as it must be."""
    length = -(-(len(options) + 2) // 8)
    padding = length * 8 - 2 - len(options)
    filler = bytes(padding) if padding < 2 else bytes((1, padding - 2)) + bytes(padding - 2)
    return kind, bytes((length - 1,)) + options + filler


def icmp(source, destination, kind, code, body, **more):
    """An ICMP message of the addresses' version; `body` is all behind the checksum."""
    version = version_of(source)
    message = struct.pack("!BBH", kind, code, 0) + body
    pseudo = _pseudo(source, destination, version.icmp, message) if version is IPV6 else b""
    message = message[:2] + struct.pack("!H", checksum(pseudo + message)) + message[4:]
    return ip(source, destination, message, version.icmp, **more)


def _pseudo(source, destination, protocol, segment):
    """What the checksum of a segment covers of its IP header."""
    form = "!HH" if version_of(source) is IPV4 else "!II"
    # For IPv4: zero, protocol and a length of 16 bits; for IPv6, a length of 32 bits first.
    numbers = (protocol, len(segment)) if version_of(source) is IPV4 else (len(segment), protocol)
    return pack(source) + pack(destination) + struct.pack(form, *numbers)


def tcp(source, destination, flags, sequence=0, acknowledgment=0, payload=b"", options=b"", offset=None, window=65535):
    """A TCP segment between two endpoints; `offset` lies about the header's words."""
    source, source_port = split(source)
    destination, destination_port = split(destination)
    words = 5 + len(options) // 4 if offset is None else offset
    fields = (source_port, destination_port, sequence & 0xFFFFFFFF, acknowledgment & 0xFFFFFFFF)
    segment = struct.pack("!HHIIBBHHH", *fields, words << 4, flags, window, 0, 0) + options + payload
    pseudo = _pseudo(source, destination, TCP, segment)
    return segment[:16] + struct.pack("!H", checksum(pseudo + segment)) + segment[18:]


def segment(source, destination, flags, *arguments, **more):
    """A whole packet of one TCP segment."""
    host, other = split(source)[0], split(destination)[0]
    return ip(host, other, tcp(source, destination, flags, *arguments, **more))


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


def _opened(data):
    """The version, protocol, hosts and start of what a packet holds; None where it is too short."""
    if len(data) >= 20 and data[0] >> 4 == 4:
        return IPV4, data[9], (unpack(data[12:16]), unpack(data[16:20])), (data[0] & 15) * 4
    if len(data) < 40 or data[0] >> 4 != 6:
        return None
    kind, start = data[6], IPV6.header
    while kind in (HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION) and len(data) >= start + 8:
        length = 8 if kind == FRAGMENT else (data[start + 1] + 1) * 8
        kind, start = data[start], start + length
    return IPV6, kind, (unpack(data[8:24]), unpack(data[24:40])), start


def ends(data):
    """The addresses in a packet's IP header."""
    opened = _opened(data)
    return opened[2] if opened else ()


def protocol(data):
    """The number of the protocol that a packet holds, or None."""
    opened = _opened(data)
    return opened and opened[1]


def parse(data, outgoing=False):
    """What a packet is, or None where it isn't a whole TCP header."""
    opened = _opened(data)
    if not opened or opened[1] != TCP or len(data) < opened[3] + 20:
        return None
    version, _, hosts, start = opened
    if version is IPV4:
        total, flags = struct.unpack_from("!H2xH", data, 2)
        dont_fragment = bool(flags & 0x4000)
    else:  # no router fragments it
        total, dont_fragment = struct.unpack_from("!H", data, 4)[0] + IPV6.header, True
    ports = struct.unpack_from("!HHIIBB", data, start)
    header = (ports[4] >> 4) * 4
    return Seen(
        endpoint(hosts[0], ports[0]),
        endpoint(hosts[1], ports[1]),
        ports[5],
        ports[2],
        ports[3],
        data[start + 20 : start + header],
        total,
        total - start - header,
        dont_fragment,
        outgoing,
    )


def hosts(data):
    """The addresses in a packet's IP header, and those of the packet that it quotes if it is an ICMP error."""
    opened = _opened(data)
    if not opened:
        return set()
    version, kind, found, start = opened
    found = set(found)
    if kind == version.icmp and len(data) > start + 8 and data[start] in _ICMP_ERRORS[version]:
        found |= hosts(data[start + 8 :])
    return found


def is_link_talk(data):
    """Whether a packet is about the link itself, as ARP is for IPv4: of multicast listeners or neighbours."""
    opened = _opened(data)
    if not opened or opened[0] is IPV4 or opened[1] != IPV6.icmp or len(data) <= opened[3]:
        return False
    return data[opened[3]] in _LINK_TALK
