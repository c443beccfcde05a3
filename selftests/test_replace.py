# SPDX-License-Identifier: GPL-2.0
"""`dispatchctl replace`: a process takes over from another.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80   service
                                 10.77.0.1:80   a daemon: the old one
                                 10.77.0.2:80   the new one, once a test starts it
"""

import signal

from lib import check, daemon, load, topology, wait
from lib.client import Client, who
from lib.runner import test
from lib.tool import Tool
from lib.topology import PROCESSES, SERVICE

_OLD, _NEW, _OTHER = PROCESSES


def setup():
    net = topology.pair()
    daemon.start(_OLD, namespace=net.server)
    return net


def _replace(net, *options, old=_OLD, new=_NEW):
    return Tool(net.server, "dispatchctl", "replace", SERVICE, old, new, *options)


def _fails(net, *options, status=1, **names):
    """It must fail; returns what it said, on one line."""
    tool = _replace(net, *options, **names)
    check.equal(tool.status(), status, f"the exit status; it said {tool.stderr}")
    check.equal(tool.stdout, "", "standard output of a failure")
    return tool.stderr.replace("\n", " ")


def _settings(net):
    """What was set of each process."""
    names = ("weight", "state", "cpus", "owner", "drain-timeout")
    found = net.control.processes(SERVICE)
    return {address: [each.get(name) for name in names] for (_, address), each in found.items()}


def _state(net, process):
    return net.control.process(SERVICE, process)["state"]


@test
def the_new_one_takes_over_when_it_listens_and_the_old_one_drains(net):
    net.control.serve(SERVICE, _OLD)
    tool = _replace(net, "--wait")
    with Client(net.client, SERVICE) as kept:
        kept.who()
        wait.until(lambda: net.control.process(SERVICE, _NEW), "the new one is registered")
        check.equal({who(net.client, SERVICE)[0] for _ in range(4)}, {_OLD}, "who serves before the new one listens")
        check.equal(_state(net, _OLD), "active", "the old one's state till then")
        daemon.start(_NEW, namespace=net.server)
        wait.until(lambda: _state(net, _OLD) == "draining", "the old one drains")
        check.equal({who(net.client, SERVICE)[0] for _ in range(4)}, {_NEW}, "who serves then")
        check.equal(kept.who()[0], _OLD, "who serves the connection that was open")
        check.true(not tool.has_ended(), "it has ended before the connection")
    check.equal(tool.status(), 0, f"the exit status; it said {tool.stderr}")
    check.equal((_state(net, _OLD), _state(net, _NEW)), ("down", "active"), "the states at the end")


@test
def the_new_one_gets_the_weight_and_the_CPUs_of_the_old_one(net):
    net.control.service_add(SERVICE)
    net.control.process_add(SERVICE, _OLD, weight=300, cpus="0-1")
    daemon.start(_NEW, namespace=net.server)
    check.equal(_replace(net).status(), 0, "the exit status")
    new = net.control.process(SERVICE, _NEW)
    want = {"weight": 300, "cpus": "0-1", "state": "active", "owner": "none"}
    check.equal({name: new.get(name) for name in want}, want, "the new one's registration")


@test
def one_that_is_registered_keeps_its_own_settings_and_becomes_active(net):
    net.control.serve(SERVICE, _OLD)
    net.control.process_add(SERVICE, _NEW, weight=5, state="down")
    daemon.start(_NEW, namespace=net.server)
    check.equal(_replace(net).status(), 0, "the exit status")
    check.equal(net.control.process(SERVICE, _NEW)["weight"], 5, "its weight")
    check.equal({who(net.client, SERVICE)[0] for _ in range(4)}, {_NEW}, "who serves")


@test
def an_old_one_that_drains_or_is_down_is_replaced_as_well(net):
    net.control.serve(SERVICE, _OLD)
    daemon.start(_NEW, namespace=net.server)
    for state in ("draining", "down"):
        net.control.process_set(SERVICE, _OLD, state=state)
        check.equal(_replace(net, "--wait").status(), 0, f"the exit status with the old one {state}")
        check.equal((_state(net, _OLD), _state(net, _NEW)), ("down", "active"), "the states at the end")
        net.control.process_del(SERVICE, _NEW)


@test
def if_the_new_one_never_listens_nothing_has_changed(net):
    net.control.service_add(SERVICE)
    net.control.process_add(SERVICE, _OLD, weight=4)
    net.control.process_add(SERVICE, _OTHER, state="down")
    before = _settings(net)
    with Client(net.client, SERVICE) as kept:
        kept.who()
        for new in (_NEW, _OTHER):
            shown = _fails(net, "--timeout", "1s", new=new)
            for word in (SERVICE, _OLD, new, "within 1 s", "nothing has changed", "--timeout"):
                check.true(word in shown, f"not a good explanation: {shown}")
            check.equal(_settings(net), before, "what is registered")
        check.equal(kept.who()[0], _OLD, "who serves the connection that was open")
    check.equal({who(net.client, SERVICE)[0] for _ in range(4)}, {_OLD}, "who serves")


@test
def interrupted_it_takes_back_what_it_did(net):
    net.control.serve(SERVICE, _OLD)
    before = _settings(net)
    for number in (signal.SIGINT, signal.SIGTERM):
        tool = _replace(net, "--timeout", "1h")
        wait.until(lambda: net.control.process(SERVICE, _NEW), "the new one is registered")
        tool.signal(number)
        check.equal(tool.status(), 128 + number, "the exit status")
        check.true("nothing has changed" in tool.stderr, f"not a good explanation: {tool.stderr}")
        check.equal(_settings(net), before, "what is registered")


@test
def what_the_old_one_has_after_the_drain_timeout_is_reset(net):
    net.control.serve(SERVICE, _OLD)
    daemon.start(_NEW, namespace=net.server)
    with Client(net.client, SERVICE) as kept:
        kept.who()
        tool = _replace(net, "--drain-timeout", f"{int(1500 * wait.SCALE)}ms", "--wait")
        wait.until(lambda: _state(net, _OLD) == "draining", "the old one drains")
        check.equal(kept.who()[0], _OLD, "who serves the connection that was open")
        check.raises(ConnectionResetError, kept.socket.recv, 1)
    check.equal(tool.status(), 0, f"the exit status; it said {tool.stderr}")
    check.equal(_state(net, _OLD), "down", "the old one's state")


@test
def a_replacement_that_makes_no_sense_is_refused_with_the_reason(net):
    net.control.serve(SERVICE, _OLD)
    before = _settings(net)
    shown = _fails(net, old=_OTHER)
    check.true(_OTHER in shown and "ENOENT" in shown and "process list" in shown, f"OLD is not there: {shown}")
    shown = _fails(net, new="10.78.0.1:80")
    check.true("10.78.0.1:80" in shown and "EADDRNOTAVAIL" in shown, f"NEW is not of the range: {shown}")
    check.true("10.77.0.0/16" in shown, f"the range isn't named: {shown}")
    check.true("the same" in _fails(net, new=_OLD, status=2), "OLD and NEW are the same")
    check.equal(_settings(net), before, "what is registered")
    # A new one without weight would leave nobody.
    net.control.process_add(SERVICE, _NEW, weight=0)
    shown = _fails(net)
    check.true("--weight 1" in shown, f"NEW has no weight: {shown}")
    check.equal(_state(net, _OLD), "active", "the old one's state")


@test
def no_connection_attempt_is_lost_while_a_process_is_replaced(net):
    net.control.serve(SERVICE, _OLD)
    served = lambda process: net.control.process(SERVICE, process)["stats"]["connections"]
    with load.Load(net.client, SERVICE, 100) as attempts:
        wait.until(lambda: served(_OLD) > 50, "the old one serves")
        tool = _replace(net)
        wait.until(lambda: net.control.process(SERVICE, _NEW), "the new one is registered")
        daemon.start(_NEW, namespace=net.server)
        check.equal(tool.status(), 0, f"the exit status; it said {tool.stderr}")
        wait.until(lambda: served(_NEW) > 50, "the new one serves")
    check.equal(set(attempts.since(0)), {_OLD, _NEW}, "what came of all attempts")
