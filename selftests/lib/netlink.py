# SPDX-License-Identifier: GPL-2.0
"""Generic netlink on a bare socket: the bytes a test sends are the bytes the kernel gets."""

import errno
import socket
import struct

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
_NLM_F_DUMP_INTR, _NLM_F_CAPPED, _NLM_F_ACK_TLVS = 0x10, 0x100, 0x200
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLA_F_NESTED = 0x8000
_NLA_TYPE = 0x3FFF
_SOL_NETLINK = 270
_CAP_ACK, _EXT_ACK, _STRICT = 10, 11, 12
_GENL_ID_CTRL, _CTRL_CMD_GETFAMILY = 16, 3
_CTRL_ATTR_FAMILY_ID, _CTRL_ATTR_FAMILY_NAME, _CTRL_ATTR_MCAST_GROUPS = 1, 2, 7
_CTRL_ATTR_MCAST_GRP_NAME, _CTRL_ATTR_MCAST_GRP_ID = 1, 2
_ADD_MEMBERSHIP = 1
_ERR_MSG, _ERR_OFFSET, _ERR_MISS_TYPE, _ERR_MISS_NEST = 1, 2, 5, 6


class NetlinkError(Exception):
    """The kernel's answer to a request that it refused."""

    def __init__(self, code, request, attributes):
        self.code = code
        self.message = attributes.get(_ERR_MSG, b"").rstrip(b"\0").decode()
        offset = attributes.get(_ERR_OFFSET)
        self.offset = offset and struct.unpack("=I", offset)[0]
        missing = attributes.get(_ERR_MISS_TYPE)
        self.missing = missing and struct.unpack("=I", missing)[0]
        nest = attributes.get(_ERR_MISS_NEST)
        if missing:
            outer = path_to(request, struct.unpack("=I", nest)[0]) if nest else []
            self.missing = [*outer, self.missing]
        # The attribute types that lead to the offending attribute.
        self.path = path_to(request, self.offset) if self.offset else None
        super().__init__(f"{self.name}: {self.message!r} attribute {self.path} missing {self.missing}")

    @property
    def name(self):
        """The error's name, as EINVAL."""
        return errno.errorcode.get(self.code, str(self.code))


def attribute(kind, payload, nested=False):
    """One attribute, padded."""
    length = 4 + len(payload)
    kind |= _NLA_F_NESTED if nested else 0
    return struct.pack("=HH", length, kind) + payload + bytes(-length % 4)


def parse(data):
    """Yields (type, payload) of attributes."""
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4 or length > len(data):
            raise ValueError(f"attribute of length {length} in {len(data)} bytes")
        yield kind & _NLA_TYPE, data[4:length]
        data = data[(length + 3) & ~3 :]


def path_to(message, offset):
    """The types of the attributes that enclose or are the one at `offset` of a message."""
    path, start, end = [], 20, len(message)
    while start + 4 <= end:
        length, kind = struct.unpack_from("=HH", message, start)
        if start <= offset < start + length:
            path.append(kind & _NLA_TYPE)
            if offset == start:
                return path
            start, end = start + 4, start + length
        else:
            start += max(4, (length + 3) & ~3)
    return path


class Socket:
    """A generic netlink socket of the calling thread's namespace."""

    def __init__(self, family, version=1):
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
        self._socket.settimeout(120)
        for option in (_CAP_ACK, _EXT_ACK, _STRICT):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind((0, 0))
        self._sequence = 0
        self._version = version
        self.interrupted = False
        self._groups = {}
        self.family = self._resolve(family) if isinstance(family, str) else family

    def _resolve(self, name):
        asked = attribute(_CTRL_ATTR_FAMILY_NAME, name.encode() + b"\0")
        self.family, self._version, version = _GENL_ID_CTRL, 2, self._version
        (reply,) = self.request(_CTRL_CMD_GETFAMILY, asked)
        self._version = version
        answer = dict(parse(reply))
        for _, group in parse(answer.get(_CTRL_ATTR_MCAST_GROUPS, b"")):
            group = dict(parse(group))
            name = group[_CTRL_ATTR_MCAST_GRP_NAME].rstrip(b"\0").decode()
            (self._groups[name],) = struct.unpack("=I", group[_CTRL_ATTR_MCAST_GRP_ID])
        return struct.unpack("=H", answer[_CTRL_ATTR_FAMILY_ID])[0]

    def join(self, group):
        """Has the family's messages to a multicast group come, too."""
        self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, self._groups[group])

    def receive_buffer(self, size):
        """Sets for how many bytes of messages there is room; the kernel doubles it."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    def close(self):
        """Closes the socket."""
        self._socket.close()

    def message(self, command, attributes=b"", flags=NLM_F_ACK):
        """The bytes of a request."""
        self._sequence += 1
        body = struct.pack("=BBH", command, self._version, 0) + attributes
        return struct.pack("=IHHII", 16 + len(body), self.family, NLM_F_REQUEST | flags, self._sequence, 0) + body

    def request(self, command, attributes=b"", flags=NLM_F_ACK):
        """Sends a request; returns the attributes of each message that answers it."""
        message = self.message(command, attributes, flags)
        self.send(message)
        return list(self.answers(message))

    def dump(self, command, attributes=b""):
        """All that a dump gives. `interrupted` tells whether something changed meanwhile."""
        return self.request(command, attributes, NLM_F_DUMP)

    def send(self, message):
        """Sends any bytes."""
        self._socket.send(message)

    def receive(self):
        """Receives a datagram."""
        return self._socket.recv(1 << 17)

    def pending(self, timeout=0):
        """Receives a datagram if one comes in time, else gives None; b"" if some were lost."""
        before = self._socket.gettimeout()
        self._socket.settimeout(timeout)
        try:
            return self.receive()
        except (BlockingIOError, TimeoutError):
            return None
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                return b""
            raise
        finally:
            self._socket.settimeout(before)

    def answers(self, request):
        """Yields the attributes of the messages that answer a request, up to its end."""
        self.interrupted = False
        sequence = struct.unpack_from("=I", request, 8)[0]
        while True:
            data = self.receive()
            while data:
                length, kind, flags, number, _ = struct.unpack_from("=IHHII", data)
                message, data = data[16:length], data[(length + 3) & ~3 :]
                if number != sequence:
                    continue
                self.interrupted |= bool(flags & _NLM_F_DUMP_INTR)
                if kind in (_NLMSG_ERROR, _NLMSG_DONE):
                    self._finish(kind, flags, message, request)
                    return
                yield message[4:]

    @staticmethod
    def _finish(kind, flags, message, request):
        """Raises what the last message reports."""
        code = -struct.unpack_from("=i", message)[0] if len(message) >= 4 else 0
        if code <= 0:
            return
        start = 4
        if kind == _NLMSG_ERROR:
            start = 20 if flags & _NLM_F_CAPPED else 4 + struct.unpack_from("=I", message, 4)[0]
        extended = dict(parse(message[start:])) if flags & _NLM_F_ACK_TLVS else {}
        raise NetlinkError(code, request, extended)
