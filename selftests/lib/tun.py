# SPDX-License-Identifier: GPL-2.0
"""A TUN device: what is written to it comes to the namespace as from a wire, as it is."""

import fcntl
import os
import select
import struct

from . import command
from .namespace import address

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000


class Tun:
    """A TUN device of a namespace."""

    def __init__(self, namespace, name, host, length):
        if not os.path.exists("/dev/net/tun"):
            command.run("modprobe", "tun")
        with namespace:
            self._file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(self._file, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
        namespace.batch(address(host, length, name), f"link set {name} up")

    def send(self, data):
        """Sends a packet; one that the driver itself refuses counts as sent."""
        while True:
            try:
                os.write(self._file, data)
                return
            except BlockingIOError:
                select.select([], [self._file], [])
            except OSError:  # not even an IP version in it
                return

    def drain(self):
        """Everything that came back so far."""
        came = []
        while select.select([self._file], [], [], 0)[0]:
            try:
                came.append(os.read(self._file, 1 << 16))
            except BlockingIOError:
                break
        return came

    def close(self):
        """Removes the device."""
        os.close(self._file)
