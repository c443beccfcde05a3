# SPDX-License-Identifier: GPL-2.0
"""Packets whose device tells the checksum of all they hold, CHECKSUM_COMPLETE, as GRE with checksums does.

    client                           server
    198.51.100.2 eth0 ────────────── eth0 198.51.100.1
    203.0.113.2  out  ════ GRE ═════ in   203.0.113.1
                                     192.0.2.1:80      service
                                     10.77.0.1..3:80   three daemons
"""

import contextlib
import re

from lib import check, daemon, exchange, inject, kernel_log, packet, topology, tracing, wait
from lib.client import Client
from lib.ip import IPV4, endpoint
from lib.namespace import address
from lib.packet import ACK, PSH, SYN
from lib.runner import test

_COMPLETE = 2
_EVENT = "net/netif_rx_entry"


def setup(version):
    tracing.need()
    net = topology.pair(version)
    kind = "gre" if version is IPV4 else "ip6gre"
    for side, device, own, other in ((net.client, "out", 2, 1), (net.server, "in", 1, 2)):
        side.batch(
            f"link add {device} type {kind} local {net.near(own)} remote {net.near(other)} csum",
            address(net.far(own), net.near_length, device),
            f"link set {device} up",
        )
        # Without offloads GRE's receiver adds the packet up itself, and hands each on for itself.
        for each in ("eth0", device):
            side.run("ethtool", "-K", each, *"tx off rx off gro off".split())
    net.client.ip(f"{version.option} route add {net.host} via {net.far(1)} dev out")
    daemon.start(*net.processes, namespace=net.server)
    return net


@contextlib.contextmanager
def _complete(number):
    """At least so many packets come by the tunnel while this lasts, and the device tells the checksum of each."""
    with tracing.traced(_EVENT, only='name == "in"') as read:
        yield
        kinds = [int(kind) for kind in re.findall(r"dev=in .*ip_summed=(\d)", read())]
    check.true(len(kinds) >= number, f"{len(kinds)} packets were seen, which should be {number}")
    check.equal(set(kinds), {_COMPLETE}, "ip_summed of what came by the tunnel")


def _csum_errors(net):
    """How many segments the server's TCP dropped for their checksum."""
    with net.server, open("/proc/thread-self/net/snmp", encoding="ascii") as file:
        names, values = (line.split() for line in file if line.startswith("Tcp:"))
    return int(values[names.index("InCsumErrors")])


@test
def connections_whose_packets_come_with_the_checksum_of_all_they_hold_are_served(net):
    net.control.serve(net.service, *net.processes)
    since = kernel_log.mark()
    with _complete(100):
        exchange.everything(net.client, net.service, net.processes)
    check.equal(_csum_errors(net), 0, "segments dropped for their checksum")
    # What the kernel says when a packet is right that its device's checksum says is wrong.
    check.equal(kernel_log.lines(since, "hw csum failure"), [], "the kernel's log")


@test
def a_damaged_segment_with_the_checksum_of_all_it_holds_is_dropped(net):
    net.control.serve(net.service, *net.processes)
    send = inject.Injector(net.client)
    before = _csum_errors(net)
    with Client(net.client, net.service) as client, _complete(2):
        client.who()
        stranger = endpoint(net.far(2), 50000)
        damaged = bytearray(packet.segment(stranger, net.service, SYN, 1000))
        damaged[-4] ^= 1  # the checksum
        send.send(bytes(damaged))
        damaged = bytearray(packet.segment(client.address, net.service, ACK | PSH, 1, 1, b"stray"))
        damaged[-1] ^= 1
        send.send(bytes(damaged))
        wait.until(lambda: _csum_errors(net) == before + 2, "TCP counts both")
        check.equal(net.control.connections(client=stranger), [], "entries of the damaged SYN")
        client.who()
