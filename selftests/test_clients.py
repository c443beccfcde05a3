# SPDX-License-Identifier: GPL-2.0
"""Clients, remote and local, and what they and the daemons see of each other.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80      service
                                 10.77.0.1..3:80   three daemons
"""

import os
import socket

from lib import capture, check, daemon, inject, packet, topology, wait
from lib.client import Client, who
from lib.ip import IPV4, endpoint
from lib.runner import test


def setup(version):
    net = topology.pair(version)
    daemon.start(*net.processes, namespace=net.server)
    return net


@test
def a_remote_client_is_served(net):
    net.control.serve(net.service, net.processes[0])
    process, _ = who(net.client, net.service)
    check.equal(process, net.processes[0], "the daemon that served")


@test
def a_client_on_the_server_is_served(net):
    net.control.serve(net.service, net.processes[0])
    process, _ = who(net.server, net.service)
    check.equal(process, net.processes[0], "the daemon that served")


@test
def each_daemon_sees_a_remote_clients_own_address_and_port(net):
    net.control.serve(net.service, *net.processes)
    _each_sees(net, net.client, net.client_address)


@test
def each_daemon_sees_a_local_clients_own_address_and_port(net):
    net.control.serve(net.service, *net.processes)
    _each_sees(net, net.server, net.host)


def _each_sees(net, namespace, address):
    served = set()
    for number in range(len(net.processes)):
        with Client(namespace, net.service, source=endpoint(address, 40000 + number)) as client:
            process, seen = client.who()
            check.equal(seen, endpoint(address, 40000 + number), f"the client's address as {process} sees it")
            check.equal(
                daemon.name(client.socket.getpeername()), net.service, "the daemon's address as the client sees it"
            )
            served.add(process)
    check.equal(served, set(net.processes), "the daemons that served")


@test
def a_client_on_the_server_with_its_veth_address_is_served(net):
    net.control.serve(net.service, net.processes[0])
    check.equal(
        who(net.server, net.service, source=endpoint(net.server_address, 40010)),
        (net.processes[0], endpoint(net.server_address, 40010)),
        "process and client",
    )


@test
def the_wire_shows_only_the_service_address(net):
    net.control.serve(net.service, *net.processes)
    with capture.Capture(net.client, "eth0") as wire:
        for _ in net.processes:
            with Client(net.client, net.service) as client:  # closed by the client
                client.who()
                client.download(50_000)
            with Client(net.client, net.service) as client:  # closed by the daemon
                client.send("close")
                client.ended()
            with Client(net.client, net.service) as client:  # reset by the daemon
                client.send("reset")
                check.raises(ConnectionResetError, client.socket.recv, 1)
            client = Client(net.client, net.service)  # reset by the client
            client.reset()
        for flags, name in (
            (packet.SYN | packet.ACK, "SYN-ACK"),
            (packet.FIN, "FIN"),
            (packet.RST, "RST"),
        ):
            wire.wait_for(
                lambda seen: seen.source == net.service and seen.flags & flags == flags, f"a {name} of the service"
            )
    check.equal(wire.lost, 0, "packets that the capture missed")
    check.equal(wire.addresses(), {net.client_address, net.host}, "addresses on the wire")


@test
def the_answer_of_a_time_wait_socket_comes_from_the_service_address(net):
    net.control.serve(net.service, net.processes[0])
    # The client's last ACK and its FIN may change places between two CPUs. TIME_WAIT answers the ACK then, and the
    # client, which is through, resets that: an RST that is not to end TIME_WAIT.
    net.server.sysctl("net/ipv4/tcp_rfc1337", 1)
    injector = inject.Injector(net.client)
    with capture.Capture(net.client, "eth0") as wire:
        client = Client(net.client, net.service)
        client.send("close")
        client.ended()
        client.close()
        # The daemon closed first: its side is in TIME_WAIT once it has the client's FIN.
        fin = wire.wait_for(lambda seen: seen.source == client.address and seen.flags & packet.FIN, "the client's FIN")
        last = wire.wait_for(
            lambda seen: seen.source == net.service and seen.acknowledgment == fin.sequence + 1, "the FIN acknowledged"
        )
        count = len(wire.segments())

        def answer():
            """The answer to the same FIN once more, as if that acknowledgment had been lost."""
            injector.segment(client.address, net.service, packet.FIN | packet.ACK, fin.sequence, fin.acknowledgment)
            return next((each for each in wire.segments()[count:] if not each.outgoing), None)

        again = wait.until(answer, "the FIN acknowledged again")
    check.equal(again.source, net.service, "the source of TIME_WAIT's answer")
    check.equal((again.flags, again.acknowledgment), (packet.ACK, last.acknowledgment), "what it acknowledges")
    check.equal(wire.addresses(), {net.client_address, net.host}, "addresses on the wire")


@test
def urgent_data_and_IP_options_pass(net):
    net.control.serve(net.service, net.processes[0])
    with Client(net.client, net.service) as client:
        if net.version is IPV4:
            client.socket.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x07\x07\x04\0\0\0\0\x01")  # record route
        else:  # extension headers of padding
            for header in (socket.IPV6_HOPOPTS, socket.IPV6_DSTOPTS):
                client.socket.setsockopt(socket.IPPROTO_IPV6, header, b"\0\0\x01\x04\0\0\0\0")
        client.who()
        client.socket.send(b"w")
        client.socket.send(b"!", socket.MSG_OOB)
        client.send("ho")  # urgent bytes are not part of the line
        check.equal(client.line().split()[0], net.processes[0], "the daemon's answer")


@test
def a_connection_that_the_client_has_half_closed_still_carries_the_other_half(net):
    net.control.serve(net.service, net.processes[0])
    with Client(net.client, net.service) as client:
        seed = os.getpid()
        client.send(f"get 300000 {seed}")
        client.socket.shutdown(socket.SHUT_WR)
        check.equal(daemon.receive_digest(client.socket, 300000), daemon.digest(seed, 300000), "the stream")
