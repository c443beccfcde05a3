# SPDX-License-Identifier: GPL-2.0
"""Process addresses don't exist outside of the server.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
    route 10.77.0.0/16 to it     192.0.2.1:80     service
    sends what it likes          10.77.0.1:80     daemon
"""

import socket

from lib import capture, check, daemon, inject, packet, topology, wait
from lib.client import Client, who
from lib.ip import IPV4, endpoint, host_of, split
from lib.packet import ACK, FIN, PSH, RST, SYN
from lib.runner import test


def setup(version):
    net = topology.pair(version)
    daemon.start(net.processes[0], namespace=net.server)
    net.control.serve(net.service, net.processes[0])
    # The IP layer alone would not stop any of it.
    for name in ("all", "eth0") if version is IPV4 else ():
        net.server.sysctl(f"net/ipv4/conf/{name}/rp_filter", 0)
        net.server.sysctl(f"net/ipv4/conf/{name}/accept_local", 1)
    net.control.service_del(net.service)
    return net


def _dropped(net, send):
    """Calls `send` and waits until the module has counted one packet more from outside."""
    before = net.control.drops("outside")
    send()
    wait.until(lambda: net.control.drops("outside") > before, "the drop is counted")
    check.equal(net.control.drops("outside"), before + 1, "packets dropped because they came from outside")


@test
def a_SYN_from_outside_to_a_process_address_is_dropped_without_an_answer(net):
    net.control.serve(net.service, net.processes[0])
    send = inject.Injector(net.client)
    with capture.Capture(net.client, "eth0") as wire:
        _dropped(net, lambda: send.segment(endpoint(net.client_address, 44000), net.processes[0], SYN, 1000))
        _dropped(net, lambda: send.segment(endpoint(net.client_address, 44000), net.process(9, 9, 1), SYN, 1000))
        # Packets keep their order: an answer would have come before this one.
        who(net.client, net.service)
        check.equal([str(seen) for seen in wire.segments() if net.is_process_host(host_of(seen.source))], [], "answers")
    check.equal(net.control.connections(client=endpoint(net.client_address, 44000)), [], "entries")


@test
def a_connection_to_a_process_address_from_outside_is_not_made(net):
    before = net.control.drops("outside")
    with net.client:
        probe = socket.socket(net.version.family)
    probe.setblocking(False)
    probe.connect_ex((net.process_host(1), 80))
    # The SYN and its first repetition: nothing has answered in between.
    wait.until(lambda: net.control.drops("outside") >= before + 2, "two SYNs are dropped")
    check.raises(BlockingIOError, probe.recv, 1)
    probe.close()


@test
def segments_from_outside_to_the_process_on_an_open_connections_ports_are_dropped(net):
    """Early demux would find the process's socket by client and process address."""
    net.control.serve(net.service, net.processes[0])
    send = inject.Injector(net.client)
    with capture.Capture(net.client, "eth0") as wire, Client(net.client, net.service) as client:
        client.who()
        sequence, acknowledgment = wire.next_numbers(client.address)
        for flags, data in ((PSH | ACK, b"reset\n"), (RST | ACK, b""), (FIN | ACK, b""), (SYN, b"")):
            _dropped(net, lambda: send.segment(client.address, net.processes[0], flags, sequence, acknowledgment, data))
        check.equal(client.who()[0], net.processes[0], "the connection's process afterwards")
        check.equal(wire.addresses(), {net.client_address, net.host, net.process_host(1)}, "addresses on the wire")
        answers = [seen for seen in wire.segments() if not seen.outgoing]
        check.true(not any(net.is_process_host(host_of(seen.source)) for seen in answers), "something answered")


@test
def a_segment_from_outside_to_a_process_is_dropped_wherever_its_ports_are(net):
    """The ports by which such packets are told from others are behind what stands between IP's header and TCP's."""
    net.control.serve(net.service, net.processes[0])
    send = inject.Injector(net.client)
    with capture.Capture(net.client, "eth0") as wire, Client(net.client, net.service) as client:
        client.who()
        numbers = wire.next_numbers(client.address)
        ends = (client.address, net.processes[0])
        segment = packet.tcp(*ends, RST | ACK, *numbers)
        hosts = [host_of(end) for end in ends]
        for words in (1, 5, 10) if net.version is IPV4 else ():
            # No operation, and the end of the options.
            options = b"\x01" * (4 * words - 1) + b"\x00"
            _dropped(net, lambda: send.send(packet.ipv4(*hosts, segment, options=options)))
        for length in (4, 60) if net.version is not IPV4 else ():
            # An option that who doesn't know it skips.
            header = packet.options_header(packet.DESTINATION, bytes((0x1E, length)) + bytes(length))
            _dropped(net, lambda: send.send(packet.ipv6(*hosts, segment, headers=(header,))))
        check.equal(client.who()[0], net.processes[0], "the connection's process afterwards")


@test
def a_packet_from_outside_with_a_process_address_as_source_is_dropped(net):
    net.control.serve(net.service, net.processes[0])
    send = inject.Injector(net.client)
    with Client(net.server, net.service, source=endpoint(net.server_address, 45000)) as local:
        local.who()
        # The local client's connection, as its socket would see it if the source were translated.
        for flags in (RST, RST | ACK, SYN, SYN | ACK, PSH | ACK):
            _dropped(
                net, lambda: send.segment(net.processes[0], local.address, flags, 1, 1, b"x" if flags & PSH else b"")
            )
        _dropped(net, lambda: send.segment(net.processes[0], net.service, SYN, 1))
        check.equal(local.who()[0], net.processes[0], "the local connection's process afterwards")
    check.equal(net.control.connections(client=net.processes[0]), [], "entries with a process address as client")


@test
def a_fragmented_segment_from_outside_to_a_process_address_is_dropped(net):
    whole = packet.tcp(endpoint(net.client_address, 46000), net.processes[0], SYN, 1, payload=bytes(40))
    hosts = (net.client_address, host_of(net.processes[0]))
    send = inject.Injector(net.client)

    def both():
        send.send(packet.fragment(*hosts, whole[:24], 0, True, 9))
        send.send(packet.fragment(*hosts, whole[24:], 24, False, 9))

    _dropped(net, both)


@test
def a_client_on_the_server_may_connect_to_a_process_address(net):
    check.equal(who(net.server, net.processes[0])[0], net.processes[0], "the daemon that served without dispatch")
    net.control.serve(net.service, net.processes[0])
    check.equal(who(net.server, net.processes[0])[0], net.processes[0], "the daemon that served beside a service")
    check.equal(who(net.server, net.service)[0], net.processes[0], "the daemon that served the service")


@test
def a_packet_from_outside_cannot_reset_a_local_clients_direct_connection_to_a_process(net):
    send = inject.Injector(net.client)
    source = endpoint(net.server_address, 48000)
    with capture.Capture(net.server, "lo") as wire, Client(net.server, net.processes[0], source=source) as direct:
        direct.who()
        answer = wire.wait_for(lambda seen: seen.source == net.processes[0] and seen.payload, "the daemon's answer")
        after = answer.sequence + answer.payload
        # Early demux finds the client's socket by it.
        _dropped(net, lambda: send.segment(net.processes[0], direct.address, RST | ACK, after, answer.acknowledgment))
        check.equal(direct.who()[0], net.processes[0], "the direct connection's process afterwards")


@test
def what_a_process_sends_outside_of_any_connection_does_not_leave(net):
    before = net.control.drops("no-connection")
    with net.server:
        probe = socket.socket(net.version.family)
    probe.setblocking(False)
    probe.bind((net.process_host(1), 0))
    with capture.Capture(net.client, "eth0") as wire:
        probe.connect_ex((net.client_address, 9))
        wait.until(lambda: net.control.drops("no-connection") > before, "the drop is counted")
        net.control.serve(net.service, net.processes[0])
        who(net.client, net.service)
        check.equal(wire.addresses(), {net.client_address, net.host}, "addresses on the wire")
    probe.close()


@test
def what_a_process_sends_by_UDP_is_not_taken_for_a_connections_segment(net):
    """The same four numbers as a connection's, but another protocol."""
    net.control.serve(net.service, net.processes[0])
    with net.server:
        process = socket.socket(net.version.family, socket.SOCK_DGRAM)
    process.bind((net.process_host(1), 80))
    with capture.Capture(net.client, "eth0") as wire, Client(net.client, net.service) as client:
        client.who()
        before = net.control.service(net.service)["stats"]["packets-out"]
        process.sendto(bytes(64), split(client.address))
        check.equal(net.control.service(net.service)["stats"]["packets-out"], before, "packets that the service counted")
        check.equal(client.who()[0], net.processes[0], "who serves afterwards")
        # Packets keep their order: what was sent before the second answer is seen before it.
        answers = lambda: [seen for seen in wire.segments() if seen.source == net.service and seen.payload]
        wait.until(lambda: len(answers()) >= 2, "the capture has both answers")
        check.equal([data for data, _ in wire.raw if packet.protocol(data) == packet.UDP], [], "UDP packets on the wire")
    process.close()
