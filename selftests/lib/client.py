# SPDX-License-Identifier: GPL-2.0
"""The client's end of a connection to a daemon."""

import errno
import select
import socket
import struct

from . import check, daemon, ip, wait


class Client:
    """An open connection to a `daemon`."""

    def __init__(self, namespace, address, source=None, timeout=wait.DEADLINE, mss=None, device=None):
        host, port = ip.split(address)
        with namespace:
            self.socket = socket.socket(ip.version_of(host).family)
        self.socket.settimeout(timeout)
        if mss:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, mss)
        if device:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        try:
            if source:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self.socket.bind(ip.split(source))
            self.socket.connect((host, port))
        except BaseException:
            self.socket.close()
            raise
        self.address = daemon.name(self.socket.getsockname())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, line):
        """Sends a line."""
        self.socket.sendall(line.encode() + b"\n")

    def line(self):
        """Receives a line."""
        got = b""
        while not got.endswith(b"\n"):
            more = self.socket.recv(4096)
            check.true(more, f"the connection ended after {got!r}")
            got += more
        return got.decode().rstrip("\n")

    def receive(self, length):
        """Receives exactly so many bytes."""
        got = bytearray()
        while len(got) < length:
            more = self.socket.recv(length - len(got))
            check.true(more, f"the connection ended after {len(got)} of {length} bytes")
            got += more
        return bytes(got)

    def who(self):
        """The daemon's own address and the client's address as the daemon sees it."""
        self.send("who")
        return tuple(self.line().split())

    def download(self, length, seed=1):
        """Receives a stream and returns its SHA-256."""
        self.send(f"get {length} {seed}")
        return daemon.receive_digest(self.socket, length)

    def upload(self, length, seed=1):
        """Sends a stream and returns the SHA-256 of what the daemon got."""
        self.send(f"put {length}")
        for part in daemon.stream(seed, length):
            self.socket.sendall(part)
        return self.line()

    def ended(self):
        """Waits for the other side's FIN."""
        check.equal(self.socket.recv(1), b"", "bytes before the connection's end")

    def close(self):
        """Closes the connection."""
        self.socket.close()

    def reset(self):
        """Resets the connection."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Attempt:
    """A connection that the client is trying to open: its first SYN is on its way."""

    def __init__(self, namespace, address, source=None):
        host, port = ip.split(address)
        with namespace:
            self._socket = socket.socket(ip.version_of(host).family)
        self._socket.setblocking(False)
        if source:
            self._socket.bind(ip.split(source))
        self._socket.connect_ex((host, port))
        self.address = daemon.name(self._socket.getsockname())

    def result(self, seconds=wait.DEADLINE):
        """What came of it in time: "open", the name of an error such as "ECONNREFUSED", or None."""
        if not select.select([], [self._socket], [], seconds)[1]:
            return None
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return errno.errorcode[error] if error else "open"

    def close(self):
        """Gives it up."""
        self._socket.close()


def who(namespace, address, **options):
    """One connection: which daemon serves it, and whom it sees."""
    with Client(namespace, address, **options) as client:
        return client.who()


def refused(namespace, address, **options):
    """A connection that must be refused by a reset."""
    check.raises(ConnectionRefusedError, lambda: Client(namespace, address, **options).close())
