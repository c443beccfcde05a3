# SPDX-License-Identifier: GPL-2.0
"""Packets that a test makes itself."""

import socket

from . import packet
from .ip import BOTH, IPV4, unpack


class Injector:
    """Sends packets of either version from a namespace as they are, by its routes."""

    def __init__(self, namespace):
        with namespace:
            self._sockets = {
                version: socket.socket(version.family, socket.SOCK_RAW, socket.IPPROTO_RAW) for version in BOTH
            }

    def send(self, data):
        """Sends a whole IP packet. With IPv4, the kernel sees to its length and IP checksum."""
        version = next(each for each in BOTH if each.number == data[0] >> 4)
        host = unpack(data[16:20] if version is IPV4 else data[24:40])
        self._sockets[version].sendto(data, (host, 0))

    def segment(self, source, destination, flags, *arguments, **more):
        """Sends one TCP segment."""
        self.send(packet.segment(source, destination, flags, *arguments, **more))
