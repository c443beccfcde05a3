# SPDX-License-Identifier: GPL-2.0
"""Hostile packets. Each is a function of seed and number, so that any can be sent again.

    generator = Generator(seed, addresses)
    generator.packet(17)    # what a TUN device with offloads takes: struct virtio_net_hdr, then the packet

What no one can know beforehand is in `honest` and `live`: sequence numbers of connections that are open. With
others, the same packets differ in these numbers and their checksums alone.

Addresses are bytes here and headers are made in one go: Python in an emulated computer is slow.
"""

import hashlib
import struct

from .ip import IPV4, IPV6, endpoint, pack, split
from .packet import ACK, DESTINATION, FIN, FRAGMENT, HOP_BY_HOP, PSH, ROUTING, RST, SYN, TCP, UDP

# So many packets in a row have the same victims.
ROUND = 2000
VICTIMS = 8
# Fragments come so many in a row, and so many rows of a hundred are fragments.
_ROW, _FRAGMENTS = 8, 8
_MSS = (0, 1, 2, 47, 48, 255, 256, 535, 536, 1219, 1220, 1459, 1460, 1461, 9000, 32767, 32768, 65534, 65535)
# How far off a number is that is nearly right: by the window, and where the comparison turns.
_NEAR = (1, -1, 2, 1000, -1000, 65534, 65535, 65536, -65536, 1 << 20, 1 << 30, 0x7FFFFFFF, 0x80000000, 0x80000001)
_FLAGS = (SYN, ACK, PSH | ACK, FIN | ACK, RST, RST | ACK, SYN | ACK, FIN, 0, 255)
_OPTIONS = (0, 1, 2, 3, 4, 5, 8, 14, 19, 28, 29, 30, 34, 69, 253, 254, 255)
_IPV4_OPTIONS = (0, 1, 7, 25, 68, 130, 131, 133, 134, 136, 137, 148, 255)
_EXTENSIONS = (HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION, 50, 51, 59, 135, 139, 140, 253, 6, 17, 58)
_MARTIANS = {
    IPV4: "127.0.0.1 0.0.0.0 255.255.255.255 224.0.0.1 240.0.0.1 169.254.0.1 10.77.255.255 198.19.255.255",
    IPV6: "::1 :: ff02::1 ff0e::1 fe80::1 ::ffff:192.0.2.1 ::192.0.2.1 64:ff9b::c000:201 fd77::ffff:ffff:ffff:ffff",
}
_ERRORS = {IPV4: (3, 3, 3, 4, 5, 11, 12), IPV6: (1, 2, 2, 3, 4, 100, 137)}
# Kinds of many segments in one, and what is none.
_GSO = (0, 1, 2, 3, 4, 5, 0x80, 0x81, 0x84)
_NO_OFFLOAD = bytes(10)


class _Chance:
    """What is random in one packet."""

    def __init__(self, *key):
        self._key = repr(key).encode()
        self._refills = 0
        self._refill()

    def _refill(self):
        self._refills += 1
        digest = hashlib.blake2b(self._key, salt=self._refills.to_bytes(4)).digest()
        self._pool = int.from_bytes(digest)

    def below(self, end):
        """A number from 0 on, less than `end`."""
        if self._pool < end << 32:
            self._refill()
        self._pool, drawn = divmod(self._pool, end)
        return drawn

    def one_in(self, number):
        """True once in so many times."""
        return not self.below(number)

    def of(self, choices):
        """One of a sequence."""
        return choices[self.below(len(choices))]

    def bytes(self, length):
        """Random bytes."""
        self._refills += 1
        return hashlib.shake_128(self._key + b"%d" % self._refills).digest(length)


def _packed(address):
    host, port = split(address)
    return pack(host), port


def _sum(data):
    """The sum in ones' complement: 2**16 is 1 where numbers are taken modulo 2**16 - 1."""
    return int.from_bytes(data if len(data) % 2 == 0 else data + b"\0") % 0xFFFF


class Generator:
    """The packets of a seed, of the version of IP of `addresses`.

    They are about what the file that uses them sets up: at `services`, `processes` and the others, which are
    given in order of their roles. `honest` are (client, service, sequence, acknowledgment) of connections whose
    segments must be off by half of all numbers, so that none of them is in order by chance.
    """

    def __init__(self, seed, addresses, services, processes, victim, honest=()):
        self.version = addresses.version
        self.live = {}  # by round and victim: what the service's side sent last, and the client's next number
        self._seed, self._addresses = seed, addresses
        self._asked = None, None
        self._services, self._processes = [_packed(each) for each in services], [_packed(each) for each in processes]
        self._victim, self._honest = _packed(victim), [(_packed(a), _packed(b), c, d) for a, b, c, d in honest]
        others = [(addresses.host, 81), (addresses.server_address, 80), (addresses.process_host(200), 80)]
        self._targets = 4 * self._services + self._processes + [(pack(host), port) for host, port in others]
        own = (addresses.host, addresses.server_address, addresses.wild(1), addresses.client_address)
        martians = [pack(host) for host in _MARTIANS[self.version].split()]
        self._odd = martians + [pack(host) for host in own] + [host for host, _ in self._processes]
        self._strangers = pack(addresses.wild(0))[:-2]
        kinds = (
            (14, self._syn),
            (14, self._segment),
            (12, self._to_victim),
            (10, self._to_honest),
            (6, self._cookie),
            (14, self._header),
            (10, self._error),
            (10, self._spoofed),
            (4, self._junk),
        )
        self._chosen = [kind for share, kind in kinds for _ in range(share)]

    def kind(self, number):
        """The name of what a packet is made as, before it is cut or changed."""
        if self._in_fragments(number):
            return "fragment"
        return _Chance(self._seed, number).of(self._chosen).__name__.strip("_")

    def victim(self, number, which):
        """The client, the service and the client's first sequence number of a victim in a packet's round."""
        chance = _Chance(self._seed, "victim", number // ROUND, which)
        client = endpoint(self._addresses.wild(2 + which), 20000 + number // ROUND % 20000)
        return client, chance.below(1 << 32)

    def packet(self, number):
        """What is written to the TUN device as number so and so."""
        chance = _Chance(self._seed, number)
        if self._in_fragments(number):
            return self._offload(chance, self._fragment(chance, self._row(number), number % _ROW))
        make = chance.of(self._chosen)
        data = make(chance, number)
        if make != self._to_honest:
            data = self._spoil(chance, data)
        return self._offload(chance, data)

    def _row(self, number):
        return _Chance(self._seed, "row", number // _ROW)

    def _in_fragments(self, number):
        """Whether a packet is of a row of fragments."""
        if self._asked[0] != number // _ROW:
            self._asked = number // _ROW, _Chance(self._seed, "fragments", number // _ROW).below(100) < _FRAGMENTS
        return self._asked[1]

    def _spoil(self, chance, data):
        """Cuts one in eight anywhere, puts bytes behind one in 32, and changes bits of one in 16."""
        if chance.one_in(8):
            return data[: chance.below(len(data) + 1)]
        if chance.one_in(32):
            return data + chance.bytes(1 + chance.below(64))
        if chance.one_in(16):
            data = bytearray(data)
            for _ in range(1 + chance.below(3)):
                data[chance.below(len(data))] ^= 1 << chance.below(8)
        return bytes(data)

    def _offload(self, chance, data):
        """Says in one of eight that the checksum is to be finished, or that it is many segments in one. Some lie."""
        if not chance.one_in(8) or not data:
            return _NO_OFFLOAD + data
        start = self.version.header if self.version is IPV6 else (data[0] & 15) * 4
        offset, head = 16, start + 20
        kind = chance.of((0, 1 if self.version is IPV4 else 4))
        if chance.one_in(3):
            start, offset = chance.of((start, chance.below(80), 65535)), chance.of((16, 6, chance.below(80)))
            kind, head = chance.of(_GSO), chance.of((head, chance.below(200), 65535))
        size = chance.of((1, 8, 536, 1448, 65535, chance.below(65536))) if kind else 0
        return struct.pack("<BBHHHH", chance.of((1, 1, 1, 0, 2, 3)), kind, head, size, start, offset) + data

    def _stranger(self, chance):
        """An address and port of nobody's; now and then an odd port."""
        port = chance.of((0, 80, 8080, 65535)) if chance.one_in(32) else 1024 + chance.below(64512)
        return self._strangers + bytes((1, chance.below(256))), port

    def _ip(
        self, source, destination, payload, protocol=TCP, options=b"", fragment=0, identifier=0, ttl=64, total=None
    ):
        """A packet. With IPv6, `options` are extension headers, and `protocol` is what the first header says."""
        if self.version is IPV6:
            length = len(options) + len(payload) if total is None else total
            start = struct.pack("!IHBB", 6 << 28, length & 0xFFFF, protocol, ttl)
            return start + source + destination + options + payload
        length = 20 + len(options) + len(payload) if total is None else total
        words = 5 + len(options) // 4
        start = struct.pack("!BBHHHBB", 0x40 | words & 15, 0, length & 0xFFFF, identifier, fragment, ttl, protocol)
        rest = source + destination + options
        return start + struct.pack("!H", 0xFFFF - _sum(start + rest)) + rest + payload

    @staticmethod
    def _tcp(source, destination, flags, sequence, acknowledgment, payload=b"", options=b"", words=None, wrong=0):
        """A segment. `words` is the data offset, if it lies; `wrong` is what the checksum is off by."""
        words = 5 + len(options) // 4 if words is None else words
        start = struct.pack(
            "!HHIIBBH",
            source[1],
            destination[1],
            sequence & 0xFFFFFFFF,
            acknowledgment & 0xFFFFFFFF,
            (words & 15) << 4 | flags >> 8,
            flags & 255,
            65535,
        )
        rest = b"\0\0" + options + payload
        pseudo = _sum(source[0]) + _sum(destination[0]) + TCP + 18 + len(rest)
        total = (pseudo + _sum(start) + _sum(rest) + wrong) % 0xFFFF
        return start + struct.pack("!H", 0xFFFF - total) + rest

    def _whole(self, source, destination, *arguments, **more):
        return self._ip(source[0], destination[0], self._tcp(source, destination, *arguments, **more))

    @staticmethod
    def _some_options(chance):
        """TCP's options: right ones, ones that lie, and an MSS anywhere among them."""
        before = bytes((1,)) * chance.below(8)
        for _ in range(chance.below(3)):
            kind = chance.of(_OPTIONS)
            before += bytes((kind, chance.of((0, 1, 2, 3, 4, 8, 10, 18, 40, 255)))) + chance.bytes(chance.below(10))
        mss = chance.of(_MSS) if chance.one_in(2) else chance.below(65536)
        options = before + struct.pack("!BBH", 2, chance.of((4, 4, 4, 4, 4, 4, 0, 1, 2, 3, 5, 40, 255)), mss)
        options = options[: 4 * chance.below(11)]
        return options + bytes(-len(options) % 4)

    def _syn(self, chance, _):
        """A good one, but for its options."""
        flags = SYN | chance.of((0, 0, 0, 0xC0, 0x1C0, PSH, 32))
        payload = b"" if chance.below(8) else chance.bytes(chance.below(100))
        options = self._some_options(chance)
        return self._whole(
            self._stranger(chance), chance.of(self._services), flags, chance.below(1 << 32), 0, payload, options
        )

    def _segment(self, chance, _):
        """Any flags, any data offset, a checksum that is right or not."""
        return self._whole(
            self._stranger(chance),
            chance.of(self._targets),
            chance.below(512),
            chance.below(1 << 32),
            chance.below(1 << 32),
            b"" if chance.one_in(2) else chance.bytes(chance.below(60)),
            self._some_options(chance) if chance.one_in(2) else b"",
            chance.below(16) if chance.one_in(3) else None,
            1 + chance.below(0xFFFE) if chance.one_in(3) else 0,
        )

    def _to_victim(self, chance, number):
        """Of the tuple of an open connection, with sequence numbers that are right, nearly so, or not at all."""
        which = chance.below(VICTIMS)
        client, first = self.victim(number, which)
        sequence, acknowledgment = self.live.get((number // ROUND, which), (first + 1, 0))
        off = lambda: chance.of((0, 0, chance.of(_NEAR), chance.below(1 << 32)))
        flags = chance.of((ACK, PSH | ACK, ACK | 32)) if chance.below(4) else chance.of(_FLAGS)
        payload = b"" if chance.one_in(3) else chance.bytes(chance.of((1, 8, 100, 1400)))
        options = self._some_options(chance) if chance.one_in(4) else b""
        numbers = sequence + off(), acknowledgment + off()
        return self._whole(_packed(client), self._victim, flags, *numbers, payload, options)

    def _wrong(self, chance, number):
        return number + (1 << 31) + chance.below(1 << 30) - (1 << 29)

    def _to_honest(self, chance, number):
        """Of the tuple of a connection that must not suffer."""
        if not self._honest:
            return self._segment(chance, number)
        client, service, sequence, acknowledgment = chance.of(self._honest)
        numbers = self._wrong(chance, sequence), self._wrong(chance, acknowledgment)
        payload = b"" if chance.one_in(2) else chance.bytes(chance.below(1400))
        return self._whole(client, service, chance.of(_FLAGS), *numbers, payload)

    def _cookie(self, chance, _):
        """The end of a handshake that had no beginning."""
        options = b"\1\1\x08\x0a" + chance.bytes(8) if chance.one_in(2) else b""
        numbers = chance.below(1 << 32), chance.below(1 << 32)
        return self._whole(self._stranger(chance), chance.of(self._services), ACK, *numbers, b"who\n", options)

    def _header(self, chance, _):
        """An IP header that lies, or has options or extension headers of any kind."""
        source, destination = self._stranger(chance), chance.of(self._targets)
        flags = chance.of((SYN, SYN, ACK, PSH | ACK))
        segment = self._tcp(source, destination, flags, chance.below(1 << 32), 1, bytes(chance.below(20)))
        total = None if chance.below(3) else chance.of((0, 1, 19, 20, 39, 40, 41, 60, 61, 1500, 65535))
        ttl = chance.of((64, 0, 1, 255))
        protocol, options = (self._ipv4_options if self.version is IPV4 else self._extensions)(chance)
        data = self._ip(source[0], destination[0], segment, protocol, options, total=total, ttl=ttl)
        if chance.one_in(4):
            data = bytes((chance.below(256),)) + data[1:]  # version and IPv4's header length
        return data

    def _ipv4_options(self, chance):
        options = b""
        for _ in range(chance.below(4)):
            length = chance.of((2, 3, 4, 7, 8, 11, chance.below(256)))
            options += bytes((chance.of(_IPV4_OPTIONS), length, chance.below(48))) + chance.bytes(max(0, length - 3))
        options = options[: 4 * chance.below(11)]
        return TCP, options + bytes(-len(options) % 4)

    def _extensions(self, chance):
        kinds = [chance.of(_EXTENSIONS) for _ in range(chance.of((0, 1, 1, 2, 3, 9)))]
        if chance.one_in(2):  # such as may be there, in such an order
            kinds = [kind for kind in (HOP_BY_HOP, DESTINATION, ROUTING, FRAGMENT, DESTINATION) if chance.one_in(2)]
        headers = b""
        for following in [*kinds[1:], TCP][: len(kinds)]:
            words = chance.of((0, 0, 1, 2))
            # All of it one option of padding, or anything.
            size = words * 8 + 6
            content = bytes((1, size - 2)) + bytes(size - 2) if chance.below(3) else chance.bytes(size)
            claimed = words if chance.below(6) else chance.of((0, 1, 7, 31, 255))
            headers += bytes((following, claimed)) + content
        return (kinds[0] if kinds else TCP), headers

    def _fragment(self, chance, row, index):
        """One of a row of pieces that are cut small, overlap, come in any order, and don't all come."""
        source, destination = self._stranger(row), row.of(self._targets)
        payload = row.bytes(64)
        segment = self._tcp(source, destination, row.of((SYN, SYN, ACK)), row.below(1 << 32), 1, payload)
        size = 8 * row.of((1, 2, 3))
        identifier, straight = row.below(1 << 16), row.one_in(2)
        at = size * (index if straight else chance.below(len(segment) // size + 1))
        if chance.one_in(8):
            at = chance.of((at + 8, max(0, at - 8), 65528, 65520, 8))
        size += 8 * chance.below(4) if chance.one_in(8) else 0
        piece = segment[at : at + size] if at < len(segment) else chance.bytes(chance.of((0, 7, 8, 24)))
        more = at + size < len(segment) if chance.below(16) else chance.one_in(2)
        if self.version is IPV4:
            where = 0x2000 * more | at // 8
            return self._ip(source[0], destination[0], piece, fragment=where, identifier=identifier)
        header = struct.pack("!BBHI", TCP, 0, at & 0xFFF8 | more, identifier)
        return self._ip(source[0], destination[0], piece, FRAGMENT, header)

    def _error(self, chance, number):
        """An ICMP error that quotes a connection, truly or not, as whole as it likes."""
        numbers = chance.below(1 << 32), 0
        ends = [chance.of(self._targets), self._stranger(chance)]
        way = chance.below(4)
        if way == 0 and self._honest:
            client, service, _, sent = chance.of(self._honest)
            ends, numbers = [service, client], (self._wrong(chance, sent), 0)
        elif way == 1:
            which = chance.below(VICTIMS)
            client = self.victim(number, which)[0]
            sent = self.live.get((number // ROUND, which), (0, 0))[1]
            ends, numbers = [self._victim, _packed(client)], (sent + chance.of((0, 0, -1, 1, 1000)), 0)
        elif chance.one_in(4):
            ends.reverse()
        # The tail is cut off first, so the quote's addresses and ports stay what they were chosen as.
        quoted = self._tcp(*ends, chance.of((ACK, SYN | ACK)), *numbers)[: chance.of((20, 20, 8, 8, 7, 4, 1, 0, 13))]
        protocol, options = TCP, b""
        if chance.one_in(3):
            protocol, options = (self._ipv4_options if self.version is IPV4 else self._extensions)(chance)
        quote = self._ip(ends[0][0], ends[1][0], quoted, protocol, options)
        if way and chance.one_in(8):
            quote = bytes((chance.below(256),)) + quote[1 : chance.below(len(quote) + 1)]
        kind = chance.of(_ERRORS[self.version]) if chance.below(8) else chance.below(256)
        word = struct.pack("!I", chance.of((0, 1, 67, 68, 552, 576, 1279, 1280, 1400, 65535, chance.below(1 << 32))))
        source = chance.of(self._odd) if chance.one_in(4) else self._stranger(chance)[0]
        ends = source, chance.of(self._targets)[0]
        return self._icmp(*ends, kind, chance.below(17), word + quote, chance.of((64, 255)))

    def _icmp(self, source, destination, kind, code, body, ttl):
        total = (kind << 8 | code) + _sum(body)
        if self.version is IPV6:
            total += _sum(source) + _sum(destination) + 4 + len(body) + IPV6.icmp
        message = struct.pack("!BBH", kind, code, 0xFFFF - total % 0xFFFF) + body
        return self._ip(source, destination, message, self.version.icmp, ttl=ttl)

    def _spoofed(self, chance, _):
        """From or to addresses that aren't the sender's or can't be, those of processes above all."""
        spoofed = (chance.of(self._odd), chance.of((0, 80, 8080, 65535, chance.below(65536))))
        if chance.one_in(3):
            spoofed = chance.of(self._processes)
        pair = [spoofed, chance.of(self._targets)]
        if chance.one_in(6):
            pair = [self._stranger(chance), spoofed]
        return self._whole(*pair, chance.of(_FLAGS), chance.below(1 << 32), chance.below(1 << 32))

    def _junk(self, chance, _):
        """Anything behind a header of IP."""
        protocol = chance.of((TCP, TCP, self.version.icmp, UDP, chance.below(256)))
        data = chance.bytes(chance.below(80))
        if chance.below(5) and len(data) >= 4:
            data = data[:2] + struct.pack("!H", chance.of(self._services)[1]) + data[4:]
        return self._ip(self._stranger(chance)[0], chance.of(self._targets)[0], data, protocol)
