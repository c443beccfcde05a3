# SPDX-License-Identifier: GPL-2.0
"""A bridge, and the namespaces that are plugged into it."""

from . import namespace


class Lan:
    """A bridge in a namespace, which has an address of its own there."""

    def __init__(self, where, name, host, length):
        self._where, self._name, self._length, self._ports = where, name, length, 0
        where.batch(
            f"link add {name} type bridge forward_delay 0 mcast_snooping 0",
            namespace.address(host, length, name),
            f"link set {name} up",
        )

    def plug(self, guest, device, *hosts):
        """Gives a namespace a device on the bridge, with these addresses."""
        port = f"{self._name}-{self._ports}"
        self._ports += 1
        self._where.batch(
            f"link add {port} type veth peer name {device} netns {guest.name}",
            f"link set {port} master {self._name} up",
        )
        guest.batch(
            *(namespace.address(host, self._length, device) for host in hosts),
            f"link set {device} up",
        )
