# SPDX-License-Identifier: GPL-2.0
"""Whom a registration belongs to, and that it ends with its owner.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80      service
                                 10.77.0.1..3:80   daemons, killed and started again
"""

import os
import signal
import time

from lib import background, check, daemon, dispatch, events, load, netlink, registrant, topology, wait
from lib.client import Client, refused, who
from lib.ip import IPV4
from lib.runner import test

_RATE = 500
_BALLAST = 96 << 20


def setup(version):
    return topology.pair(version)


def _registered(net, service=None):
    return {process for _, process in net.control.processes(service or net.service)}


def _served(net, connections):
    """Waits until the service has had so many more connections."""
    had = net.control.service(net.service)["stats"]["connections"]
    enough = lambda: net.control.service(net.service)["stats"]["connections"] >= had + connections
    wait.until(enough, f"the service gets {connections} more connections")


@test(only=IPV4)
def every_attempt_after_the_kill_9_of_an_owner_is_answered_by_a_living_process(net):
    """Some 250 a second on a slow computer; in a VM that counts instructions, whose clock waits, all 500."""
    net.control.service_add(net.service)
    # Owners that take a while to die: all that time their listening sockets are there.
    daemons = [load.answer(net.server, each, _BALLAST) for each in net.processes]
    for process, daemon_of in zip(net.processes, daemons):
        net.control.process_add(net.service, process, owner="pid", pid=daemon_of.pid)
    shown = []
    for number, victim in enumerate(daemons[:2]):
        with load.Load(net.client, net.service, _RATE) as attempts:
            _served(net, 500)
            os.kill(victim.pid, signal.SIGKILL)
            died = time.monotonic()
            _served(net, 1000)
        after = attempts.since(died)
        shown.append(f"{attempts.rate():.0f} a second, {after.total()} after the death")
        check.equal(set(after), set(net.processes[number + 1 :]), "what came of the attempts after the death")
        check.true(net.processes[number] in attempts.since(0), "the dead one had answered nothing before, either")
        left = set(net.processes[number + 1 :])
        wait.until(lambda: _registered(net) == left, "the processes after the death")
    return "; ".join(shown)


@test
def a_registration_ends_with_the_pid_that_owns_it_and_an_event_tells(net):
    net.control.service_add(net.service)
    (owner, other) = daemon.start(*net.processes[:2], namespace=net.server)
    net.control.process_add(net.service, net.processes[0], owner="pid", pid=owner.pid)
    net.control.process_add(net.service, net.processes[1], owner="pid", pid=other.pid)
    had = net.control.process(net.service, net.processes[0])
    check.equal((had["owner"], had["pid"]), ("pid", owner.pid), "its owner")
    with events.Events(net.server) as heard:
        owner.kill()
        gone = heard.find("process-del-ntf")
        check.equal(gone["process-address"], net.processes[0], "the process that the event names")
    check.equal(_registered(net), {net.processes[1]}, "processes after the death")
    check.equal(who(net.client, net.service)[0], net.processes[1], "who serves")


@test
def a_registration_ends_with_the_process_of_a_pidfd(net):
    net.control.service_add(net.service)
    (owner,) = daemon.start(net.processes[0], namespace=net.server)
    pidfd = os.pidfd_open(owner.pid)
    net.control.process_add(net.service, net.processes[0], owner="pid", pidfd=pidfd)
    os.close(pidfd)
    check.equal(net.control.process(net.service, net.processes[0])["pid"], owner.pid, "the owner's pid")
    check.equal(who(net.client, net.service)[0], net.processes[0], "who serves")
    owner.kill()
    wait.until(lambda: not _registered(net), "the registration ends")


@test
def without_a_pid_the_owner_is_the_process_that_asks(net):
    net.control.service_add(net.service)
    owner = registrant.start(net.control, net.service, net.processes[0], owner="pid")
    check.equal(net.control.process(net.service, net.processes[0])["pid"], owner.pid, "the owner's pid")
    owner.kill(signal.SIGTERM)
    wait.until(lambda: not _registered(net), "the registration ends")


@test
def a_registration_ends_with_the_socket_that_made_it(net):
    net.control.serve(net.service, net.processes[2])
    net.control.service_add(net.other_service)
    daemon.start(*net.processes, namespace=net.server)
    with net.server:
        owner, other = (dispatch.Dispatch(None) for _ in range(2))
        owner.socket(), other.socket()
    owner.process_add(net.service, net.processes[0], owner="socket")
    owner.process_add(net.other_service, net.processes[0], owner="socket")
    other.process_add(net.service, net.processes[1], owner="socket")
    check.equal(net.control.process(net.service, net.processes[0])["owner"], "socket", "its owner")
    clients = [Client(net.client, net.service) for _ in range(3)]
    served = [each.who() for each in clients]
    check.equal({process for process, _ in served}, set(net.processes), "who serves while both sockets are open")
    owner.socket().close()
    # No waiting: when the socket is closed, it is done.
    check.equal(_registered(net), set(net.processes[1:]), "processes once the socket is closed")
    check.equal(_registered(net, net.other_service), set(), "processes of the other service")
    check.equal({who(net.client, net.service)[0] for _ in range(6)}, set(net.processes[1:]), "who serves then")
    check.equal([each.who() for each in clients], served, "who serves the connections that were open")


@test
def a_registration_ends_with_its_socket_however_the_owner_of_that_died(net):
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV):
        net.control.service_add(net.service)
        owner = registrant.start(net.control, net.service, net.processes[0], owner="socket")
        daemon.start(net.processes[1], namespace=net.server)[0]
        net.control.process_add(net.service, net.processes[1])
        owner.kill(number)
        check.equal(_registered(net), {net.processes[1]}, f"processes after signal {number}")
        check.equal(who(net.client, net.service)[0], net.processes[1], "who serves")
        background.kill_all()
        net.control.service_del(net.service)


@test
def a_registration_without_owner_stays_when_who_made_it_is_gone(net):
    net.control.service_add(net.service)
    daemon.start(net.processes[1], namespace=net.server)
    owner = registrant.start(net.control, net.service, net.processes[0])
    net.control.process_add(net.service, net.processes[1], owner="pid", pid=os.getpid())
    owner.kill()
    # This one ends with its owner, and is asked for later: so the other had the time.
    child = registrant.start(net.control, net.service, net.processes[2], owner="pid")
    child.kill()
    wait.until(lambda: net.processes[2] not in _registered(net), "a registration with an owner ends")
    check.equal(_registered(net), set(net.processes[:2]), "processes")
    # Nobody listens there, so it is passed over.
    check.equal({who(net.client, net.service)[0] for _ in range(4)}, {net.processes[1]}, "who serves")


@test
def open_connections_of_a_dead_owner_end_the_way_TCP_ends_them(net):
    net.control.service_add(net.service)
    owner = registrant.start(net.control, net.service, net.processes[0], owner="pid")
    idle, busy = (Client(net.client, net.service) for _ in range(2))
    idle.who(), busy.who()
    os.kill(owner.pid, signal.SIGSTOP)
    busy.send("who")  # nobody will read it, so TCP resets this one
    wait.until(lambda: _unread(net), "the daemon's socket has bytes to read")
    owner.kill()
    idle.ended()
    check.raises(ConnectionResetError, busy.socket.recv, 1)
    refused(net.client, net.service)


def _unread(net):
    sockets = net.server.run("ss", "-Htn", "state", "established", "src", net.processes[0])
    return any(int(line.split()[0]) > 0 for line in sockets.splitlines())


@test
def an_address_can_be_registered_again_once_its_owner_is_dead(net):
    net.control.service_add(net.service)
    owner = registrant.start(net.control, net.service, net.processes[0], owner="pid")
    error = check.raises(netlink.NetlinkError, lambda: net.control.process_add(net.service, net.processes[0]))
    check.equal(error.name, "EEXIST", "the error of a second registration")
    owner.kill()
    wait.until(lambda: not _registered(net), "the registration ends")
    registrant.start(net.control, net.service, net.processes[0], owner="socket")
    check.equal(who(net.client, net.service)[0], net.processes[0], "who serves")
