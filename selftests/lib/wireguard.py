# SPDX-License-Identifier: GPL-2.0
"""WireGuard links, set up as `wg` does it, by netlink."""

import ipaddress
import os
import socket
import struct

from . import ip, namespace, netlink

_GET_DEVICE, _SET_DEVICE = 0, 1
_IFNAME, _PRIVATE_KEY, _PUBLIC_KEY, _LISTEN_PORT, _PEERS = 2, 3, 4, 6, 8
_PEER_PUBLIC_KEY, _PEER_ENDPOINT, _PEER_ALLOWED = 1, 4, 9
_ALLOWED_FAMILY, _ALLOWED_ADDRESS, _ALLOWED_LENGTH = 1, 2, 3
_PORT = 51820


def link(left, left_address, left_outer, right, right_address, right_outer, device="wg0"):
    """Joins two namespaces by WireGuard between their outer addresses. An address is HOST/LENGTH."""
    ends = ((left, left_address, left_outer), (right, right_address, right_outer))
    keys = []
    for where, address, _ in ends:
        where.batch(f"link add {device} type wireguard", namespace.address(*address.split("/"), device))
        keys.append(_own_key(where, device))
    for (where, *_), (_, address, outer), key in zip(ends, reversed(ends), reversed(keys)):
        _peer(where, device, key, outer, address.split("/")[0])
        where.ip(f"link set {device} up")


def _name(device):
    return netlink.attribute(_IFNAME, device.encode() + b"\0")


def _own_key(where, device):
    """Gives the device a new private key; returns the public one."""
    with where:
        control = netlink.Socket("wireguard")
    values = netlink.attribute(_PRIVATE_KEY, os.urandom(32)) + netlink.attribute(_LISTEN_PORT, struct.pack("=H", _PORT))
    control.request(_SET_DEVICE, _name(device) + values)
    (reply,) = control.dump(_GET_DEVICE, _name(device))
    control.close()
    return dict(netlink.parse(reply))[_PUBLIC_KEY]


def _peer(where, device, key, outer, inner):
    """Names the other end: its key, where it is, and the address that is behind it."""
    family = ip.version_of(outer).family
    place = struct.pack("=H", family) + struct.pack("!H", _PORT)
    place += ip.pack(outer) + bytes(8) if family == socket.AF_INET else bytes(4) + ip.pack(outer) + bytes(4)
    version = ip.version_of(inner)
    allowed = netlink.attribute(_ALLOWED_FAMILY, struct.pack("=H", version.family))
    allowed += netlink.attribute(_ALLOWED_ADDRESS, ipaddress.ip_address(inner).packed)
    allowed += netlink.attribute(_ALLOWED_LENGTH, struct.pack("=B", version.bits))
    peer = netlink.attribute(_PEER_PUBLIC_KEY, key) + netlink.attribute(_PEER_ENDPOINT, place)
    peer += netlink.attribute(_PEER_ALLOWED, netlink.attribute(0, allowed, True), True)
    with where:
        control = netlink.Socket("wireguard")
    control.request(_SET_DEVICE, _name(device) + netlink.attribute(_PEERS, netlink.attribute(0, peer, True), True))
    control.close()
