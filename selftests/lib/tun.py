# SPDX-License-Identifier: GPL-2.0
"""A TUN device: what is written to it comes to the namespace as from a wire, as it is."""

import fcntl
import os
import select
import struct

from . import command
from .namespace import address

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI, _IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
# struct virtio_net_hdr, of which the kernel wants no more than this unless told.
_HEADER = 10


class Tun:
    """A TUN device of a namespace.

    With `offloads`, what is sent begins with a struct virtio_net_hdr, as a virtual machine's network card has it.
    """

    def __init__(self, namespace, name, host, length, offloads=False):
        self._skip = _HEADER if offloads else 0
        flags = _IFF_TUN | _IFF_NO_PI | (_IFF_VNET_HDR if offloads else 0)
        if not os.path.exists("/dev/net/tun"):
            command.run("modprobe", "tun")
        with namespace:
            self._file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(self._file, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
        namespace.batch(address(host, length, name), f"link set {name} up")

    def send(self, data):
        """Sends a packet, and says whether the driver took it: it wants at least a version of IP in it."""
        while True:
            try:
                os.write(self._file, data)
                return True
            except BlockingIOError:
                select.select([], [self._file], [])
            except OSError:
                return False

    def fileno(self):
        """For select: readable when something came back."""
        return self._file

    def drain(self):
        """Everything that came back so far."""
        came = []
        while select.select([self._file], [], [], 0)[0]:
            try:
                came.append(os.read(self._file, 1 << 17)[self._skip :])
            except BlockingIOError:
                break
        return came

    def close(self):
        """Removes the device."""
        os.close(self._file)
