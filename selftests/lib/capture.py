# SPDX-License-Identifier: GPL-2.0
"""What passes a device, seen as tcpdump sees it."""

import socket
import struct
import threading

from . import packet, wait

_ETH_P_ALL, _ETH_P_IP, _ETH_P_IPV6 = 3, 0x0800, 0x86DD
_OUTGOING = 4
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_SO_RCVBUFFORCE = 33


class Capture:
    """All IP packets of a device of a namespace while the `with` lasts, but those that are about the link itself."""

    def __init__(self, namespace, device):
        with namespace:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 64 << 20)
            self._socket.bind((device, _ETH_P_ALL))
        self._socket.settimeout(0.1)
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._done = False
        self.raw = []  # (bytes, whether outgoing)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done = True
        self._thread.join()
        # How many packets the capture missed: struct tpacket_stats.
        self.lost = struct.unpack("=II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))[1]
        self._socket.close()

    def _receive(self):
        while True:
            try:
                data, (_, protocol, kind, *_) = self._socket.recvfrom(256)
            except TimeoutError:
                if self._done:
                    return
                continue
            if protocol in (_ETH_P_IP, _ETH_P_IPV6) and not packet.is_link_talk(data):
                self.raw.append((data, kind == _OUTGOING))

    def segments(self):
        """The TCP segments so far."""
        return [seen for seen in (packet.parse(data, outgoing) for data, outgoing in list(self.raw)) if seen]

    def addresses(self):
        """All addresses in IP headers so far, those that ICMP errors quote included."""
        return {host for data, _ in list(self.raw) for host in packet.hosts(data)}

    def wait_for(self, condition, what):
        """Waits for a segment that meets the condition, and returns the first."""
        return wait.until(lambda: next((each for each in self.segments() if condition(each)), None), what)

    def next_numbers(self, source):
        """The sequence and acknowledgment numbers that the next segment from there would have."""
        sent = self.wait_for(
            lambda seen: seen.source == source and seen.flags & packet.ACK and not seen.payload, f"an ACK of {source}"
        )
        last = [seen for seen in self.segments() if seen.source == source][-1]
        return last.sequence + last.payload, max(sent.acknowledgment, last.acknowledgment)
