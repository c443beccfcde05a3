# SPDX-License-Identifier: GPL-2.0
"""Processes that have no room for a connection, and what a client sees that nobody can take.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80      service
                                 10.77.0.1..2:80   listening sockets; who has them accepts when he likes
                                 10.77.0.9:80      nobody listens
"""

from lib import capture, check, daemon, topology, wait
from lib.client import Attempt, Client, refused
from lib.ip import host_of
from lib.packet import ACK, RST, SYN
from lib.runner import test

_BACKLOG = 2
# TCP lets one more wait than it was told to.
_ROOM = _BACKLOG + 1


def setup(version):
    return topology.pair(version)


def _listeners(net, *processes):
    return [daemon.listen(each, net.server, _BACKLOG) for each in processes]


def _queue(net, process):
    return net.control.process(net.service, process)["accept-queue"]


def _fill(net, *processes):
    """Opens connections that nobody accepts until all queues of these processes are full."""
    clients = [Client(net.client, net.service) for _ in range(_ROOM * len(processes))]
    full = dict.fromkeys(processes, _ROOM)
    wait.until(lambda: {each: _queue(net, each) for each in processes} == full, "the accept queues get full")
    return clients


def _not_answered(net):
    """An attempt whose first SYN got no answer, so that TCP sent it again, which got none, either."""
    with capture.Capture(net.client, "eth0") as wire:
        attempt = Attempt(net.client, net.service)
        mine = lambda seen: attempt.address in (seen.source, seen.destination)
        sent = lambda: [seen for seen in wire.segments() if mine(seen) and seen.outgoing]
        wait.until(lambda: len(sent()) >= 2, "TCP sends the SYN again")
        check.true(all(seen.flags & (SYN | ACK) == SYN for seen in sent()), "something else than SYNs was sent")
        check.equal([str(seen) for seen in wire.segments() if mine(seen) and not seen.outgoing], [], "answers")
    return attempt


@test
def process_get_shows_how_full_the_accept_queue_of_a_listener_is(net):
    net.control.serve(net.service, *net.processes[:1], net.process(9))
    check.true(
        "accept-queue" not in net.control.process(net.service, net.processes[0]), "a queue of one that does not listen"
    )
    (listener,) = _listeners(net, net.processes[0])
    shown = net.control.process(net.service, net.processes[0])
    check.equal((shown["accept-queue"], shown["accept-queue-max"]), (0, _BACKLOG), "the empty queue")
    clients = [Client(net.client, net.service) for _ in range(2)]
    wait.until(lambda: _queue(net, net.processes[0]) == 2, "two connections wait")
    listener.accept()
    check.equal(_queue(net, net.processes[0]), 1, "connections that wait once one was accepted")
    for client in clients:
        client.close()
    check.true(
        "accept-queue" not in net.control.process(net.service, net.process(9)), "a queue of one that does not listen"
    )
    listener.close()
    check.true(
        "accept-queue" not in net.control.process(net.service, net.processes[0]), "a queue of one that has closed"
    )


@test
def a_process_whose_accept_queue_is_full_is_passed_over_as_long_as_another_has_room(net):
    full, roomy = net.processes[:2]
    (listener,) = _listeners(net, full)
    net.control.serve(net.service, full)
    _fill(net, full)
    daemon.start(roomy, namespace=net.server)
    net.control.process_add(net.service, roomy)
    for scheduler in ("rr", "wrr", "lc", "wlc", "mh", "sh", "saq", "cpu"):
        net.control.service_set(net.service, scheduler=scheduler)
        for _ in range(4):
            with Client(net.client, net.service) as client:
                check.equal(client.who()[0], roomy, f"who serves, chosen by {scheduler}")
    check.equal(_queue(net, full), _ROOM, "connections that wait at the full one")
    check.equal(net.control.drops("no-process", net.service), 0, "connections refused")
    # As soon as there is room, its turn comes again.
    listener.accept()
    net.control.service_set(net.service, scheduler="rr")
    clients = [Client(net.client, net.service) for _ in range(2)]
    wait.until(lambda: _queue(net, full) == _ROOM, "one more connection waits at the one that was full")
    for client in clients:
        client.close()


@test
def a_process_without_a_listening_socket_is_passed_over_by_each_scheduler(net):
    net.control.serve(net.service, net.process(9), net.processes[0])
    daemon.start(net.processes[0], namespace=net.server)
    for scheduler in ("rr", "wrr", "lc", "wlc", "mh", "sh", "saq", "cpu"):
        net.control.service_set(net.service, scheduler=scheduler)
        for _ in range(4):
            with Client(net.client, net.service) as client:
                check.equal(client.who()[0], net.processes[0], f"who serves, chosen by {scheduler}")
    check.equal(net.control.drops("no-process", net.service), 0, "connections refused")


@test
def if_all_accept_queues_are_full_the_client_hears_nothing_and_gets_in_when_there_is_room(net):
    first, second = _listeners(net, *net.processes[:2])
    net.control.serve(net.service, *net.processes[:2], net.process(9))
    _fill(net, *net.processes[:2])
    before = net.control.drops("no-process", net.service)
    attempt = _not_answered(net)
    wait.until(lambda: net.control.drops("no-process", net.service) >= before + 2, "the refusals are counted", 1)
    check.equal(net.control.connections(net.service, client=attempt.address), [], "its entry")
    first.accept()
    check.equal(attempt.result(), "open", "what came of the attempt")
    check.equal(_queue(net, net.processes[1]), _ROOM, "connections that wait at the one that is still full")
    second.close()


@test
def if_nobody_listens_the_client_is_reset_at_once(net):
    net.control.serve(net.service, net.process(9))
    refused(net.client, net.service)


@test
def refusal_reset_resets_also_if_all_accept_queues_are_full(net):
    listeners = _listeners(net, net.processes[0])
    net.control.serve(net.service, net.processes[0], refusal="reset")
    _fill(net, net.processes[0])
    with capture.Capture(net.client, "eth0") as wire:
        refused(net.client, net.service)
        reset = wire.wait_for(lambda seen: seen.flags & RST and not seen.outgoing, "a reset")
        check.equal(reset.source, net.service, "its source")
        check.equal(host_of(reset.destination), net.client_address, "to whom it went")
    listeners[0].accept()
    Client(net.client, net.service).close()


@test
def refusal_retry_tells_the_client_nothing_also_if_nobody_listens(net):
    net.control.serve(net.service, net.processes[0], refusal="retry")
    attempt = _not_answered(net)
    wait.until(lambda: net.control.drops("no-process", net.service) >= 2, "the refusals are counted", 1)
    daemon.start(net.processes[0], namespace=net.server)
    check.equal(attempt.result(), "open", "what came of the attempt once somebody listens")


@test
def the_refusal_of_a_service_can_be_changed(net):
    net.control.serve(net.service, net.process(9), refusal="retry")
    _not_answered(net).close()
    net.control.service_set(net.service, refusal="tcp")
    refused(net.client, net.service)
    check.equal(net.control.service(net.service)["refusal"], "tcp", "the refusal that service-get shows")
