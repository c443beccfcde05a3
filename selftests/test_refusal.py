# SPDX-License-Identifier: GPL-2.0
"""Connections and segments that nobody is to serve.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80     service
                                 192.0.2.1:8080   a daemon without dispatch
                                 10.77.0.1:80     daemon
                                 10.77.0.9:80     nobody listens
"""

import ipaddress
import socket

from lib import capture, check, daemon, inject, topology, wait
from lib.client import Client, refused, who
from lib.ip import IPV4, IPV6, endpoint, port_of, split
from lib.netlink import NetlinkError
from lib.packet import ACK, FIN, PSH, RST, SYN
from lib.runner import test


def _direct(net):
    return endpoint(net.host, 8080)


def setup(version):
    net = topology.pair(version)
    daemon.start(net.processes[0], _direct(net), namespace=net.server)
    return net


def _refused_by(net, address, namespace=None):
    """Connects in vain; the reset must come from the address that was asked."""
    with capture.Capture(net.client, "eth0") as wire:
        refused(net.client, address)
        # A connection of the test before may still be closing.
        first = wire.wait_for(lambda seen: seen.flags & (SYN | ACK) == SYN, "a SYN")
        reset = wire.wait_for(lambda seen: seen.flags & RST and seen.destination == first.source, "a reset")
        check.equal(reset.source, address, "the reset's source")
        check.equal(reset.acknowledgment, (first.sequence + 1) & 0xFFFFFFFF, "the reset's acknowledgment")
        check.equal(wire.addresses(), {net.client_address, net.host}, "addresses on the wire")
    refused(net.server, address)


@test
def a_service_without_process_refuses_at_once(net):
    net.control.service_add(net.service)
    _refused_by(net, net.service)
    check.equal(net.control.drops("no-process", net.service), 2, "connections refused for want of a process")
    check.equal(net.control.connections(net.service), [], "its entries")


@test
def a_service_whose_last_process_was_deleted_refuses_at_once(net):
    net.control.serve(net.service, net.processes[0])
    check.equal(who(net.client, net.service)[0], net.processes[0], "the process that served before")
    net.control.process_del(net.service, net.processes[0])
    _refused_by(net, net.service)


@test
def a_port_of_the_service_address_that_is_closed_refuses(net):
    net.control.serve(net.service, net.processes[0])
    _refused_by(net, endpoint(net.host, 81))


@test
def a_process_that_does_not_listen_refuses_from_the_service_address(net):
    net.control.serve(net.service, net.process(9))
    _refused_by(net, net.service)


@test
def a_process_that_does_not_listen_is_passed_over(net):
    net.control.serve(net.service, net.process(9), net.processes[0])
    for _ in range(4):
        check.equal(who(net.client, net.service)[0], net.processes[0], "the daemon that served")


@test
def a_process_that_is_bound_to_a_device_is_passed_over(net):
    bound = net.process(7)
    with net.server, socket.create_server(split(bound), family=net.version.family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        net.control.serve(net.service, bound)
        _refused_by(net, net.service)
        net.control.process_add(net.service, net.processes[0])
        for _ in range(4):
            check.equal(who(net.client, net.service)[0], net.processes[0], "the daemon that served")


@test
def a_daemon_on_another_port_of_the_service_address_is_served_without_dispatch(net):
    net.control.serve(net.service, net.processes[0])
    for namespace in (net.client, net.server):
        check.equal(who(namespace, _direct(net))[0], _direct(net), "the daemon that served")
    check.equal(net.control.connections(client=None, service=_direct(net)), [], "entries of its connections")


@test
def a_listener_on_the_service_address_itself_serves_again_once_the_service_is_gone(net):
    address = endpoint(net.host, 8081)
    daemon.start(address, namespace=net.server)
    net.control.serve(address, net.processes[0])
    check.equal(
        who(net.client, address)[0], net.processes[0], "who serves a service with a listener of the same address"
    )
    net.control.service_del(address)
    check.equal(who(net.client, address)[0], address, "who serves after the service's deletion")


@test
def a_segment_of_an_unknown_connection_reaches_TCP_as_it_came(net):
    net.control.serve(net.service, net.processes[0])
    send = inject.Injector(net.client)
    before = net.control.service(net.service)["stats"]
    with capture.Capture(net.client, "eth0") as wire:
        for port, flags in enumerate((ACK, PSH | ACK, FIN | ACK, SYN | ACK, SYN | FIN | ACK), 41000):
            source = endpoint(net.client_address, port)
            send.segment(source, net.service, flags, 1000, 5000, b"data" if flags & PSH else b"")
            reset = wire.wait_for(
                lambda seen: seen.flags & RST and seen.destination == source and not seen.outgoing,
                f"TCP's reset for flags {flags:#x}",
            )
            check.equal(reset.source, net.service, "the reset's source")
            check.equal(reset.sequence, 5000, f"the reset's sequence number for flags {flags:#x}")
    made = [each for each in net.control.connections(net.service) if port_of(each["client-address"]) // 100 == 410]
    check.equal(made, [], "entries")
    check.equal(net.control.service(net.service)["stats"], before, "what the service counted")


@test
def what_a_listener_ignores_is_ignored_while_a_process_listens(net):
    strays = (FIN, PSH, 0, SYN | FIN)
    send = inject.Injector(net.client)

    def answered(expected, first):
        """Sends strays and an ACK from client ports from the first on; the flags that are answered with a reset."""
        flags = {endpoint(net.client_address, port): each for port, each in enumerate((*strays, ACK), first)}
        with capture.Capture(net.client, "eth0") as wire:
            for source, each in flags.items():
                send.segment(source, net.service, each, 1000, 0, b"data" if each & PSH else b"")
            resets = lambda: {
                flags[seen.destination] for seen in wire.segments() if seen.flags & RST and not seen.outgoing
            }
            wait.until(lambda: resets() >= expected, "the answers")
        return resets()

    net.control.serve(net.service, net.process(9), net.processes[0])
    check.equal(answered({ACK}, 43000), {ACK}, "flags that are answered where a process listens")
    net.control.process_del(net.service, net.processes[0])
    check.equal(answered({*strays, ACK}, 43100), {*strays, ACK}, "flags that are answered where none does")
    made = [each for each in net.control.connections(net.service) if port_of(each["client-address"]) // 1000 == 43]
    check.equal(made, [], "entries")


@test
def a_reset_of_an_unknown_connection_is_not_answered(net):
    net.control.serve(net.service, net.processes[0])
    send = inject.Injector(net.client)
    with capture.Capture(net.client, "eth0") as wire:
        send.segment(endpoint(net.client_address, 42000), net.service, RST, 1000)
        send.segment(endpoint(net.client_address, 42000), net.service, RST | ACK, 1000, 5000)
        # What comes after them is answered: so they were not.
        send.segment(endpoint(net.client_address, 42001), net.service, ACK, 1000, 5000)
        answer = lambda seen: seen.flags & RST and seen.destination == endpoint(net.client_address, 42001)
        wire.wait_for(answer, "an answer to an ACK")
        answered = {seen.destination for seen in wire.segments() if not seen.outgoing}
    check.true(endpoint(net.client_address, 42000) not in answered, f"{answered} were answered")


@test
def a_connection_whose_entry_was_deleted_is_reset_by_TCP(net):
    net.control.serve(net.service, net.processes[0])
    client = Client(net.client, net.service)
    client.who()
    net.control.connection_del(client.address, net.service)
    check.equal(net.control.connections(client=client.address), [], "its entry")
    client.send("who")
    check.raises(ConnectionResetError, client.socket.recv, 1)
    wait.until(lambda: not net.control.connections(client=client.address), "no new entry")


@test(only=IPV6)
def a_client_at_a_link_local_address_is_refused_from_the_service_address(net):
    net.control.serve(net.service, net.processes[0])
    host = "fe80::77"
    net.client.ip(f"addr add {host}/64 dev eth0 nodad")
    with capture.Capture(net.client, "eth0") as wire:
        connect = lambda: Client(net.client, net.service, source=endpoint(host, 43000), device="eth0")
        check.raises(ConnectionRefusedError, connect)
        reset = wire.wait_for(lambda seen: seen.flags & RST, "a reset")
        check.equal(reset.source, net.service, "the reset's source")
        check.true(net.process_host(1) not in wire.addresses(), "a process address on the wire")
    check.equal(net.control.drops("no-process", net.service), 1, "connections refused")
    check.equal(net.control.connections(client=endpoint(host, 43000)), [], "its entries")


@test(only=IPV4)
def no_connection_is_assigned_by_hand_to_a_broadcast_address(net):
    net.control.serve(net.service, net.processes[0])
    everyone = endpoint(str(ipaddress.ip_network(net.near_network).broadcast_address), 43000)
    error = check.raises(NetlinkError, net.control.connection_add, everyone, net.service, net.processes[0])
    check.equal((error.name, error.message), ("EADDRNOTAVAIL", "the address of many, not of a client"), "the error")
    check.equal(net.control.connections(client=everyone), [], "its entries")


@test
def a_connection_that_was_assigned_by_hand_goes_to_that_process(net):
    net.control.serve(net.service, net.process(9), net.processes[0])
    source = endpoint(net.client_address, 43000)
    net.control.connection_add(source, net.service, net.processes[0])
    check.equal(who(net.client, net.service, source=source)[0], net.processes[0], "the process that served")
