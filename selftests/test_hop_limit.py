# SPDX-License-Identifier: GPL-2.0
"""Packets whose hop limit ends on the way, to the service and from it.

    client                 outer                     inner                    server
    198.51.100.2 eth0 ──── left          right ───── left         right ───── eth0 203.0.113.1
                           198.51.100.1  198.18.0.1  198.18.0.2   203.0.113.2 192.0.2.1:80     service
                                                                              192.0.2.1:8080   without dispatch
                                                                              10.77.0.1..3:80  processes

    2001:db8:1::2 and ::1, 2001:db8:18::1 and ::2, 2001:db8:2::2 and ::1
"""

import contextlib
import dataclasses
import errno
import socket

from lib import capture, check, daemon, dispatch, namespace, packet, topology, wait
from lib.client import Attempt, Client
from lib.ip import IPV4, IPV6, endpoint, host_of, port_of
from lib.packet import ACK, SYN
from lib.runner import test

_HOPS = {IPV4: (socket.IPPROTO_IP, socket.IP_TTL), IPV6: (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)}
_RECVERR = {IPV4: (socket.IPPROTO_IP, 11), IPV6: (socket.IPPROTO_IPV6, 25)}
_EXCEEDED = {IPV4: (11, 0), IPV6: (3, 0)}


@dataclasses.dataclass
class Net(topology.Pair):
    inner: namespace.Namespace

    def direct(self):
        """The address of a daemon without dispatch."""
        return endpoint(self.host, 8080)

    def routers(self):
        """The routers' addresses that a client gets to know, the nearest first."""
        return [self.near(1), self.wild(2)]


def setup(version):
    client, outer, inner, server = (namespace.Namespace(name, version) for name in ("client", "outer", "inner", "server"))
    addresses = topology.ADDRESSES[version]
    near = lambda number: f"{addresses.near(number)}/{addresses.near_length}"
    middle = lambda number: f"{addresses.wild(number)}/{addresses.wild_length}"
    far = lambda number: f"{addresses.far(number)}/{addresses.near_length}"
    namespace.link(client, "eth0", near(2), outer, "left", near(1))
    namespace.link(outer, "right", middle(1), inner, "left", middle(2))
    namespace.link(inner, "right", far(2), server, "eth0", far(1))
    for side, gateway in (
        (client, addresses.near(1)),
        (outer, addresses.wild(2)),
        (inner, addresses.wild(1)),
        (server, addresses.far(2)),
    ):
        side.ip(f"{version.option} route add default via {gateway}")
    inner.ip(f"{version.option} route add {addresses.host}/{version.bits} via {addresses.far(1)}")
    server.batch(namespace.address(addresses.host, version.bits, "lo"))
    for router in (outer, inner):
        router.forward(version)
    return Net(client, server, dispatch.Dispatch(server, version).up(), addresses, inner)


def _hops(net, address):
    """The addresses that traceroute finds on the way to a TCP port, one a hop."""
    host, port = host_of(address), str(port_of(address))
    wait_long = str(int(wait.DEADLINE))
    shown = net.client.run(
        "traceroute", net.version.option, "-T", "-p", port, "-n", "-q", "1", "-N", "1", "-w", wait_long, "-m", "6", host
    )
    return [line.split()[1] for line in shown.splitlines()[1:]]


@test
def traceroute_to_a_service_shows_the_routers_and_the_service_address(net):
    daemon.start(*net.processes, net.direct(), namespace=net.server)
    net.control.serve(net.service, *net.processes)
    for address in (net.direct(), net.service):
        check.equal(_hops(net, address), [*net.routers(), net.host], f"the hops on the way to {address}")
    # It takes back what it began.
    net.control.empty()
    check.equal(net.control.service(net.service)["stats"]["connections"], 1, "connections that the service had")


@contextlib.contextmanager
def _listener(net, address):
    """A listening socket of this test behind an address, and what it is bound to."""
    process = net.process(9) if address == net.service else address
    if address == net.service:
        net.control.serve(net.service, process)
    with daemon.listen(process, net.server) as listener:
        listener.settimeout(wait.DEADLINE)
        yield listener


def _exceeded(net, wire):
    """How many ICMP errors of the inner router came that say that the hop limit ended."""
    return sum(_is_exceeded(net, data) for data, outgoing in list(wire.raw) if not outgoing)


def _is_exceeded(net, data):
    if packet.protocol(data) != net.version.icmp or packet.ends(data)[0] != net.far(2):
        return False
    start = net.version.header
    return tuple(data[start : start + 2]) == _EXCEEDED[net.version]


def _both(net):
    return (net.direct(), net.service)


@test
def an_answer_whose_hop_limit_ends_on_the_way_is_sent_again_and_the_connection_goes_on(net):
    hops = _HOPS[net.version]
    for address in _both(net):
        with _listener(net, address) as listener, Client(net.client, address) as client:
            accepted, _ = listener.accept()
            usual = accepted.getsockopt(*hops)
            with accepted, capture.Capture(net.server, "eth0") as wire:
                accepted.setsockopt(*hops, 1)
                accepted.sendall(b"late")
                # The first one and one that was sent again: an error does not end the connection.
                wait.until(lambda: _exceeded(net, wire) >= 2, f"two errors of the router for {address}")
                accepted.setsockopt(*hops, usual)
                check.equal(client.receive(4), b"late", f"what {address} sends until it arrives")
                client.socket.sendall(b"thanks")
                check.equal(accepted.recv(9), b"thanks", f"what {address} gets")
            hosts = sorted(host for host in wire.addresses() if net.is_process_host(host))
            check.equal(hosts, [], "process addresses in what passed, quotes included")


@test
def a_process_that_asks_for_errors_learns_that_a_hop_limit_ended(net):
    hops = _HOPS[net.version]
    for address in _both(net):
        with _listener(net, address) as listener, Client(net.client, address):
            accepted, _ = listener.accept()
            with accepted:
                accepted.setsockopt(*_RECVERR[net.version], 1)
                accepted.setsockopt(*hops, 1)
                accepted.sendall(b"lost")
                accepted.settimeout(wait.DEADLINE)
                error = check.raises(OSError, accepted.recv, 1)
                check.equal(errno.errorcode.get(error.errno), "EHOSTUNREACH", f"the error of a connection to {address}")


@test
def a_handshake_whose_SYN_ACK_does_not_get_far_is_begun_again(net):
    hops = _HOPS[net.version]
    for address in _both(net):
        with _listener(net, address) as listener, capture.Capture(net.server, "eth0") as wire:
            bound = daemon.name(listener.getsockname())
            half_open = lambda: net.server.run("ss", "-Htan", "state", "syn-recv", "src", bound)
            usual = listener.getsockopt(*hops)
            listener.setsockopt(*hops, 1)
            attempt = Attempt(net.client, address)
            wire.wait_for(lambda seen: seen.source == address and seen.flags == SYN | ACK, "the SYN-ACK")
            wait.until(lambda: _exceeded(net, wire), "the router's error")
            # TCP takes it for the end of a handshake with IPv4 alone.
            if net.version is IPV4:
                wait.until(lambda: not half_open(), f"the half-open connection at {bound} ends")
            else:
                check.true(half_open(), f"the half-open connection at {bound} is gone")
            listener.setsockopt(*hops, usual)
            check.equal(attempt.result(), "open", f"what comes of the connection to {address}")
            listener.accept()[0].close()
            attempt.close()
