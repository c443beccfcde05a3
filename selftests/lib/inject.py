# SPDX-License-Identifier: GPL-2.0
"""Packets that a test makes itself."""

import socket

from . import packet


class Injector:
    """Sends packets from a namespace as they are, by its routes."""

    def __init__(self, namespace):
        with namespace:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def send(self, data):
        """Sends a whole IPv4 packet. The kernel sees to its length and IP checksum."""
        self._socket.sendto(data, (socket.inet_ntoa(data[16:20]), 0))

    def segment(self, source, destination, flags, *arguments, **more):
        """Sends one TCP segment."""
        self.send(packet.segment(source, destination, flags, *arguments, **more))
