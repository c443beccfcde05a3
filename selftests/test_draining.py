# SPDX-License-Identifier: GPL-2.0
"""Processes that hand over: active, draining, down.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80      service
                                 10.77.0.1..3:80   three daemons
                                 10.77.0.4:80      a listening socket of the test itself
"""

import time

from lib import capture, check, daemon, events, load, topology, wait
from lib.client import Client, refused, who
from lib.ip import IPV4
from lib.packet import RST
from lib.runner import test

# The table is swept every 2 s, and an entry goes after two sweeps that find no socket.
_SWEEPS = 7


def setup(version):
    net = topology.pair(version)
    daemon.start(*net.processes, namespace=net.server)
    return net


def _state(net, process):
    return net.control.process(net.service, process)["state"]


def _both_ends(net):
    """A connection to a process that is this test: the client and the process's socket."""
    with daemon.listen(net.process(4), net.server) as listener:
        net.control.serve(net.service, net.process(4))
        client = Client(net.client, net.service)
        accepted, _ = listener.accept()
    accepted.settimeout(wait.DEADLINE)
    return client, accepted


def _is_reset(socket, whose):
    """This end must be reset."""
    try:
        got = socket.recv(1)
    except ConnectionResetError:
        return
    raise check.Failed(f"{whose} end: got {got!r} instead of a reset")


@test
def a_draining_process_gets_no_new_connection_and_keeps_those_that_it_has(net):
    net.control.serve(net.service, net.processes[0])
    with Client(net.client, net.service) as client, Client(net.server, net.service) as local:
        client.who(), local.who()
        net.control.process_add(net.service, net.processes[1])
        net.control.process_set(net.service, net.processes[0], state="draining")
        check.equal(
            {who(net.client, net.service)[0] for _ in range(6)}, {net.processes[1]}, "who serves new connections"
        )
        for each in (client, local):
            check.equal(each.who()[0], net.processes[0], "who serves the open connection")
            check.equal(each.download(200_000), daemon.digest(1, 200_000), "a download's SHA-256")
        check.equal(_state(net, net.processes[0]), "draining", "its state")
        wait.throughout(
            lambda: _state(net, net.processes[0]) == "draining", "its state while it has connections", _SWEEPS
        )
        check.equal(client.who()[0], net.processes[0], "who serves the open connection later")


@test
def a_draining_process_is_down_when_its_last_connection_has_ended_and_an_event_tells(net):
    net.control.serve(net.service, net.processes[0])
    clients = [Client(net.client, net.service) for _ in range(2)]
    for client in clients:
        client.who()
    with events.Events(net.server) as heard:
        net.control.process_set(net.service, net.processes[0], state="draining")
        check.equal(heard.next()[0], "process-set-ntf", "the event of its draining")
        clients[0].close()
        wait.until(lambda: net.control.process(net.service, net.processes[0])["connections"] == 1, "the first one ends")
        check.equal(_state(net, net.processes[0]), "draining", "its state with one left")
        check.equal(heard.pending(), [], "events while it has one left")
        clients[1].close()
        name, drained = heard.next()
        check.equal((name, drained["process-address"]), ("process-drained-ntf", net.processes[0]), "the event")
        check.equal((drained["state"], drained["connections"]), ("down", 0), "its state and connections, in the event")
    check.equal(_state(net, net.processes[0]), "down", "its state")
    refused(net.client, net.service)


@test
def a_process_without_connections_is_drained_at_once(net):
    net.control.serve(net.service, net.processes[0])
    with events.Events(net.server) as heard:
        net.control.process_set(net.service, net.processes[0], state="draining", drain_timeout=3_600_000)
        drained = heard.find("process-drained-ntf")
    check.equal((drained["state"], drained["connections"]), ("down", 0), "its state and connections, in the event")
    check.true("drain-timeout" not in net.control.process(net.service, net.processes[0]), "it has time to drain still")


@test
def a_process_whose_connections_are_all_in_TIME_WAIT_is_drained_and_their_entries_stay(net):
    client, accepted = _both_ends(net)
    accepted.close()
    client.ended()
    with events.Events(net.server) as heard:
        net.control.process_set(net.service, net.process(4), state="draining")
        states = lambda: [each["state"] for each in net.control.connections(net.service)]
        # Its end is heard before it is acknowledged.
        acknowledged = lambda: states() == ["fin-wait2"]
        wait.until(acknowledged, "the client acknowledges the end")
        wait.throughout(acknowledged, "the connection that the process has closed", _SWEEPS)
        check.equal(_state(net, net.process(4)), "draining", "its state while the client has not closed")
        client.close()
        check.equal(heard.find("process-drained-ntf", 10 * wait.SCALE)["state"], "down", "its state, in the event")
    check.equal(states(), ["time-wait"], "the states of its entries")
    net.server.run("ss", "-K", "-t", "state", "time-wait")


@test(only=IPV4)
def a_process_drains_under_load_and_no_connection_is_lost(net):
    net.control.serve(net.service, *net.processes)
    with events.Events(net.server) as heard, load.Load(net.client, net.service, 200) as attempts:
        # For each in turn: no new ones, then back.
        for process in net.processes:
            served = net.control.process(net.service, process)["stats"]["connections"]
            enough = lambda: net.control.process(net.service, process)["stats"]["connections"] > served + 20
            wait.until(enough, f"{process} gets connections")
            net.control.process_set(net.service, process, state="draining")
            since = time.monotonic()
            while heard.find("process-drained-ntf")["process-address"] != process:
                pass
            total = net.control.process(net.service, process)["stats"]["connections"]
            had = net.control.service(net.service)["stats"]["connections"]
            enough = lambda: net.control.service(net.service)["stats"]["connections"] > had + 50
            wait.until(enough, "others get connections meanwhile")
            drained = net.control.process(net.service, process)
            check.equal(drained["stats"]["connections"], total, f"connections that {process} ever had, while down")
            print(f"{process} drained in {time.monotonic() - since:.1f} s")
            net.control.process_set(net.service, process, state="active")
    print(f"{len(attempts.attempts)} attempts")
    check.equal(set(attempts.since(0)), set(net.processes), "what came of all attempts")


@test
def a_process_can_become_active_again_from_each_state(net):
    net.control.serve(net.service, net.processes[0])
    for state in ("draining", "down", "active"):
        with Client(net.client, net.service) as client:
            client.who()
            net.control.process_set(net.service, net.processes[0], state=state)
            check.equal(_state(net, net.processes[0]), state, "its state")
            if state != "active":
                refused(net.client, net.service)
            net.control.process_set(net.service, net.processes[0], state="active")
            check.equal(_state(net, net.processes[0]), "active", f"its state after {state}")
            check.equal(who(net.client, net.service)[0], net.processes[0], "who serves")
            if state != "down":
                check.equal(client.who()[0], net.processes[0], "who serves the open connection")
    # What drained and became active is not put down when its connections end.
    net.control.empty()
    check.equal(_state(net, net.processes[0]), "active", "its state without connections")
    # Nor when the layer looks for who is drained.
    net.control.process_add(net.service, net.processes[1])
    with events.Events(net.server) as heard:
        net.control.process_set(net.service, net.processes[1], state="draining")
        check.equal(heard.find("process-drained-ntf")["process-address"], net.processes[1], "who is drained")
    check.equal(_state(net, net.processes[0]), "active", "its state when another one is drained")


@test
def after_the_deadline_the_rest_is_reset_at_both_ends(net):
    client, accepted = _both_ends(net)
    timeout = int(2000 * wait.SCALE)
    since = time.monotonic()
    with events.Events(net.server) as heard, capture.Capture(net.client, "eth0") as wire:
        net.control.process_set(net.service, net.process(4), state="draining", drain_timeout=timeout)
        left = net.control.process(net.service, net.process(4))["drain-timeout"]
        check.true(0 < left <= timeout, f"{left} ms are left of {timeout}")
        wait.until(
            lambda: net.control.process(net.service, net.process(4))["drain-timeout"] < left,
            "the time that is left gets less",
        )
        _is_reset(client.socket, "the client's")
        check.true(time.monotonic() - since >= timeout / 1000, "the reset came before the deadline")
        _is_reset(accepted, "the process's")
        reset = wire.wait_for(lambda seen: seen.flags & RST and not seen.outgoing, "a reset on the wire")
        check.equal((reset.source, reset.destination), (net.service, client.address), "its source and destination")
        check.equal(
            heard.find("process-drained-ntf")["process-address"], net.process(4), "the process that is drained then"
        )
    check.equal(_state(net, net.process(4)), "down", "its state")


@test
def who_ends_before_the_deadline_is_not_reset(net):
    client, accepted = _both_ends(net)
    net.control.process_set(net.service, net.process(4), state="draining", drain_timeout=3_600_000)
    accepted.sendall(b"bye\n")
    accepted.close()
    check.equal(client.line(), "bye", "what the process said last")
    client.ended()
    client.close()
    wait.until(lambda: _state(net, net.process(4)) == "down", "it is drained")
    check.true("drain-timeout" not in net.control.process(net.service, net.process(4)), "it has time to drain still")


@test
def a_deadline_can_be_put_off_and_active_takes_it_back(net):
    client, accepted = _both_ends(net)
    short = int(1500 * wait.SCALE)
    for settings in ({"drain_timeout": 3_600_000}, {}):
        net.control.process_set(net.service, net.process(4), state="draining", drain_timeout=short)
        net.control.process_set(net.service, net.process(4), state="draining", **settings)
        left = net.control.process(net.service, net.process(4)).get("drain-timeout")
        check.equal(left is not None, bool(settings), f"whether time is left: {left}")
    net.control.process_set(net.service, net.process(4), state="draining", drain_timeout=short)
    net.control.process_set(net.service, net.process(4), state="active")
    check.true("drain-timeout" not in net.control.process(net.service, net.process(4)), "there is a deadline still")
    time.sleep(2 * short / 1000)
    accepted.sendall(b"still\n")
    check.equal(client.line(), "still", "what the process says past the deadline")
    check.equal(_state(net, net.process(4)), "active", "its state")
    client.close()
    accepted.close()


@test
def down_resets_all_that_a_process_has_at_once(net):
    client, accepted = _both_ends(net)
    with (
        daemon.listen(net.process(4), net.server),
        Client(net.client, net.service) as waiting,
        Client(net.server, net.service) as local,
    ):
        net.control.process_set(net.service, net.process(4), weight=0)
        net.control.process_add(net.service, net.processes[0])
        with Client(net.client, net.service) as other:
            check.equal(other.who()[0], net.processes[0], "who serves a connection of another process")
            net.control.process_set(net.service, net.process(4), state="down")
            # No waiting: when the request is answered, it is done.
            accepted.setblocking(False)
            _is_reset(accepted, "the process's")
            for each, whose in (
                (client, "the client's"),
                (waiting, "a client's that waits"),
                (local, "a local client's"),
            ):
                _is_reset(each.socket, whose)
            check.equal(other.who()[0], net.processes[0], "who serves the connection of the other process")
        check.equal(
            {who(net.client, net.service)[0] for _ in range(4)}, {net.processes[0]}, "who serves new connections"
        )
    check.equal(_state(net, net.process(4)), "down", "its state")
    wait.until(lambda: net.control.process(net.service, net.process(4))["connections"] == 0, "its entries end")


@test
def a_process_may_be_registered_in_each_state(net):
    net.control.serve(net.service, net.processes[1])
    for state in ("draining", "down"):
        net.control.process_add(net.service, net.processes[0], state=state)
        check.equal({who(net.client, net.service)[0] for _ in range(4)}, {net.processes[1]}, "who serves")
        net.control.process_set(net.service, net.processes[0], state="active")
        check.equal(
            {who(net.client, net.service)[0] for _ in range(4)}, {net.processes[0], net.processes[1]}, "who serves then"
        )
        net.control.process_del(net.service, net.processes[0])


@test(only=IPV4)
def a_handover_under_load_loses_no_connection(net):
    net.control.serve(net.service, net.processes[0])
    with Client(net.client, net.service) as kept:
        kept.who()
        with load.Load(net.client, net.service, 200) as attempts:
            served = lambda process: net.control.process(net.service, process)["stats"]["connections"]
            wait.until(lambda: served(net.processes[0]) > 50, "the old one serves")
            net.control.process_add(net.service, net.processes[1])
            net.control.process_set(net.service, net.processes[0], state="draining")
            handed_over = time.monotonic()
            wait.until(lambda: served(net.processes[1]) > 50, "the new one serves")
        check.equal(kept.who()[0], net.processes[0], "who serves the connection that was open")
    check.equal(set(attempts.since(0)), {net.processes[0], net.processes[1]}, "what came of all attempts")
    check.equal(set(attempts.since(handed_over)), {net.processes[1]}, "who answered the attempts afterwards")
