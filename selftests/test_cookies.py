# SPDX-License-Identifier: GPL-2.0
"""SYN cookies: handshakes of which neither TCP nor the layer keeps anything.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1, answers all SYNs by cookies
                                 192.0.2.1:80      service
                                 10.77.0.1..3:80   three daemons
    198.51.100.77                nobody there: the test makes its packets
"""

import contextlib
import os

from lib import capture, check, daemon, dispatch, family, inject, topology
from lib.client import Client, who
from lib.ip import endpoint
from lib.packet import ACK, PSH, RST, SYN
from lib.runner import test


def setup(version):
    net = topology.pair(version)
    net.server.sysctl("net/ipv4/tcp_syncookies", 2)
    net.server.ip(f"neigh replace {net.near(77)} lladdr 02:00:00:00:00:77 dev eth0")
    daemon.start(*net.processes, namespace=net.server)
    return net


def _cookies_received(net):
    """How many handshakes TCP accepted by cookie."""
    with net.server, open("/proc/thread-self/net/netstat", encoding="ascii") as file:
        names, values = (line.split() for line in list(file)[:2])
    return int(values[names.index("SyncookiesRecv")])


class _Handshake:
    """A handshake in two halves, made of single packets."""

    def __init__(self, net, wire, port):
        self._net, self._wire = net, wire
        self._send = inject.Injector(net.client)
        self.source = endpoint(net.near(77), port)
        self._send.segment(self.source, net.service, SYN, 1000)
        self.answer = self._answer(SYN | ACK, "a SYN-ACK")

    def _answer(self, flags, what):
        seen = lambda each: not each.outgoing and each.destination == self.source and each.flags & flags == flags
        return self._wire.wait_for(seen, what)

    def finish(self):
        """Acknowledges the cookie, with a question."""
        cookie = self.answer.sequence
        self._send.segment(self.source, self._net.service, PSH | ACK, 1001, cookie + 1, b"who\n")

    def served_by(self):
        """The process whose answer comes, from the service address."""
        answer = self._answer(PSH, "the daemon's answer")
        check.equal(answer.source, self._net.service, "the answer's source")
        (entry,) = self._net.control.connections(client=self.source)
        return entry["process-address"]

    def is_reset(self):
        """The second half must be reset."""
        self._answer(RST, "a reset")
        check.equal(self._net.control.connections(client=self.source), [], "entries")

    def reset(self):
        """Ends the connection."""
        self._send.segment(self.source, self._net.service, RST, 1005)


@test
def a_SYN_that_is_answered_by_a_cookie_keeps_no_entry(net):
    net.control.empty()
    net.control.serve(net.service, *net.processes)
    with capture.Capture(net.client, "eth0") as wire:
        for port in range(40000, 40020):
            _Handshake(net, wire, port)
    check.equal(net.control.connections(), [], "entries")
    check.equal(net.control.net()["connections"], 0, "connections that the namespace counts")
    check.equal(net.control.service(net.service)["stats"]["connections"], 0, "connections that the service counts")


@test
def a_handshake_by_cookie_ends_at_the_process_that_answered_its_SYN(net):
    net.control.serve(net.service, *net.processes)
    before = _cookies_received(net)
    with capture.Capture(net.client, "eth0") as wire:
        # All SYNs first: it is the cookie that tells whose handshake is which.
        handshakes = [_Handshake(net, wire, port) for port in range(41000, 41012)]
        for each in reversed(handshakes):
            each.finish()
        check.equal([each.served_by() for each in handshakes], net.processes * 4, "who serves, in turn of the SYNs")
        check.equal(
            {seen.source for seen in wire.segments() if not seen.outgoing}, {net.service}, "who answers on the wire"
        )
        for each in handshakes:
            each.reset()
    check.equal(_cookies_received(net) - before, 12, "handshakes that TCP accepted by cookie")
    check.equal(net.control.service(net.service)["stats"]["connections"], 12, "connections that the service counts")
    net.control.empty()


@test
def clients_remote_and_local_are_served_by_cookie(net):
    net.control.serve(net.service, *net.processes)
    counted = 0
    for namespace in (net.client, net.server):
        before = _cookies_received(net)
        served = [who(namespace, net.service)[0] for _ in range(6)]
        check.equal(sorted(served), sorted(net.processes * 2), f"who serves {namespace.name}")
        check.equal(_cookies_received(net) - before, 6, "handshakes that TCP accepted by cookie")
        counted += 6
        check.equal(
            net.control.service(net.service)["stats"]["connections"], counted, "connections that the service counts"
        )


@test
def a_handshake_by_cookie_ends_at_its_process_though_that_drains_or_has_lost_its_weight(net):
    net.control.serve(net.service, net.processes[0])
    with capture.Capture(net.client, "eth0") as wire:
        handshakes = [_Handshake(net, wire, 42000 + number) for number in range(3)]
        net.control.process_add(net.service, net.processes[1])
        open_one = Client(net.client, net.service, source=endpoint(net.client_address, 0))
        open_one.who()
        for handshake, settings in zip(handshakes, ({}, {"weight": 0})):
            net.control.process_set(net.service, net.processes[0], **settings)
            handshake.finish()
            check.equal(handshake.served_by(), net.processes[0], f"who serves with {settings}")
        # With a connection of its own it keeps draining.
        net.control.process_set(net.service, net.processes[0], state="draining")
        handshakes[2].finish()
        check.equal(handshakes[2].served_by(), net.processes[0], "who serves while it drains")
        for each in handshakes:
            each.reset()
        open_one.close()


def _is_reset_after(net, port, end, **settings):
    """A handshake by cookie with a process that comes to its end meanwhile must be reset; others serve."""
    process = net.process(4)
    net.control.service_add(net.service)
    net.control.process_add(net.service, process, **settings)
    with capture.Capture(net.client, "eth0") as wire:
        handshake = _Handshake(net, wire, port)
        net.control.process_add(net.service, net.processes[0])
        end(process)
        handshake.finish()
        handshake.is_reset()
    check.equal(who(net.client, net.service)[0], net.processes[0], "who serves afterwards")


@test
def a_handshake_by_cookie_of_a_process_that_is_down_is_reset(net):
    daemon.start(net.process(4), namespace=net.server)
    _is_reset_after(net, 43000, lambda process: net.control.process_set(net.service, process, state="down"))


@test
def a_handshake_by_cookie_of_a_process_that_is_dead_is_reset(net):
    (owner,) = daemon.start(net.process(4), namespace=net.server)
    _is_reset_after(net, 43001, lambda _: owner.kill(), owner="pid", pid=owner.pid)


@test
def a_handshake_by_cookie_of_a_dead_owner_does_not_end_at_its_successor(net):
    (owner,) = daemon.start(net.process(4), namespace=net.server)

    def end(process):
        owner.kill()
        daemon.start(process, namespace=net.server)

    _is_reset_after(net, 43002, end, owner="pid", pid=owner.pid)


@contextlib.contextmanager
def _user(number):
    """What is opened meanwhile is this user's."""
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)


@test
def a_handshake_by_cookie_does_not_end_at_another_users_listener_at_a_registrants_address(net):
    process, alice, bob = net.process(1, 1, 8080), 20001, 20002
    net.control.service_add(net.service, registrant_uid=alice, **family.prefix("registrant", *net.process_subnet(1)))
    with net.server, _user(alice):
        dispatch.Dispatch(None).process_add(net.service, process, owner="pid")
        listener = daemon.listen(process, None)
    with capture.Capture(net.client, "eth0") as wire:
        handshake = _Handshake(net, wire, 43010)
        listener.close()
        with net.server, _user(bob):
            others = daemon.listen(process, None)
        handshake.finish()
        handshake.is_reset()
        others.close()
        # Where it is the registrant's own, it gets the connection.
        with net.server, _user(alice):
            listener = daemon.listen(process, None)
        handshake = _Handshake(net, wire, 43011)
        handshake.finish()
        accepted, client = listener.accept()
    check.equal(daemon.name(client), handshake.source, "the client of the connection")
    accepted.close()
    handshake.reset()


@test
def an_acknowledgement_of_no_cookie_is_reset_and_makes_no_entry(net):
    net.control.serve(net.service, *net.processes)
    with capture.Capture(net.client, "eth0") as wire:
        handshake = _Handshake(net, wire, 44000)
        send = inject.Injector(net.client)
        for number, (source, acknowledged) in enumerate(
            [
                (handshake.source, handshake.answer.sequence + 0x10001),  # of another cookie
                (endpoint(net.near(77), 44001), handshake.answer.sequence + 1),  # from another port
                (endpoint(net.near(78), 44000), handshake.answer.sequence + 1),  # from another address
            ]
        ):
            net.server.ip(f"neigh replace {net.near(78)} lladdr 02:00:00:00:00:77 dev eth0")
            send.segment(source, net.service, ACK, 1001, acknowledged)
            reset = lambda seen: seen.flags & RST and seen.destination == source and not seen.outgoing
            check.equal(wire.wait_for(reset, f"a reset of number {number}").source, net.service, "the reset's source")
            check.equal(net.control.connections(client=source), [], "entries")
        # The true one is good still.
        handshake.finish()
        check.true(handshake.served_by() in net.processes, "nobody serves the true one")
        handshake.reset()
