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
from lib.runner import test
from lib.topology import PROCESSES, SERVICE

_OTHER = f"{topology.OTHER_HOST}:80"
_RATE = 500
_BALLAST = 96 << 20


def setup():
    return topology.pair()


def _registered(net, service=SERVICE):
    return {process for _, process in net.control.processes(service)}


def _served(net, connections):
    """Waits until the service has had so many more connections."""
    had = net.control.service(SERVICE)["stats"]["connections"]
    enough = lambda: net.control.service(SERVICE)["stats"]["connections"] >= had + connections
    wait.until(enough, f"the service gets {connections} more connections")


@test
def every_attempt_after_the_kill_9_of_an_owner_is_answered_by_a_living_process(net):
    """Some 250 a second on a slow computer; in a VM that counts instructions, whose clock waits, all 500."""
    net.control.service_add(SERVICE)
    # Owners that take a while to die: all that time their listening sockets are there.
    daemons = [load.answer(net.server, each, _BALLAST) for each in PROCESSES]
    for process, daemon_of in zip(PROCESSES, daemons):
        net.control.process_add(SERVICE, process, owner="pid", pid=daemon_of.pid)
    shown = []
    for number, victim in enumerate(daemons[:2]):
        with load.Load(net.client, SERVICE, _RATE) as attempts:
            _served(net, 500)
            os.kill(victim.pid, signal.SIGKILL)
            died = time.monotonic()
            _served(net, 1000)
        after = attempts.since(died)
        shown.append(f"{attempts.rate():.0f} a second, {after.total()} after the death")
        check.equal(set(after), set(PROCESSES[number + 1 :]), "what came of the attempts after the death")
        check.true(PROCESSES[number] in attempts.since(0), "the dead one had answered nothing before, either")
        check.equal(_registered(net), set(PROCESSES[number + 1 :]), "processes after the death")
    return "; ".join(shown)


@test
def a_registration_ends_with_the_pid_that_owns_it_and_an_event_tells(net):
    net.control.service_add(SERVICE)
    (owner, other) = daemon.start(*PROCESSES[:2], namespace=net.server)
    net.control.process_add(SERVICE, PROCESSES[0], owner="pid", pid=owner.pid)
    net.control.process_add(SERVICE, PROCESSES[1], owner="pid", pid=other.pid)
    had = net.control.process(SERVICE, PROCESSES[0])
    check.equal((had["owner"], had["pid"]), ("pid", owner.pid), "its owner")
    with events.Events(net.server) as heard:
        owner.kill()
        gone = heard.find("process-del-ntf")
        check.equal(gone["process-address"], PROCESSES[0], "the process that the event names")
    check.equal(_registered(net), {PROCESSES[1]}, "processes after the death")
    check.equal(who(net.client, SERVICE)[0], PROCESSES[1], "who serves")


@test
def a_registration_ends_with_the_process_of_a_pidfd(net):
    net.control.service_add(SERVICE)
    (owner,) = daemon.start(PROCESSES[0], namespace=net.server)
    pidfd = os.pidfd_open(owner.pid)
    net.control.process_add(SERVICE, PROCESSES[0], owner="pid", pidfd=pidfd)
    os.close(pidfd)
    check.equal(net.control.process(SERVICE, PROCESSES[0])["pid"], owner.pid, "the owner's pid")
    check.equal(who(net.client, SERVICE)[0], PROCESSES[0], "who serves")
    owner.kill()
    wait.until(lambda: not _registered(net), "the registration ends")


@test
def without_a_pid_the_owner_is_the_process_that_asks(net):
    net.control.service_add(SERVICE)
    owner = registrant.start(net.control, SERVICE, PROCESSES[0], owner="pid")
    check.equal(net.control.process(SERVICE, PROCESSES[0])["pid"], owner.pid, "the owner's pid")
    owner.kill(signal.SIGTERM)
    wait.until(lambda: not _registered(net), "the registration ends")


@test
def a_registration_ends_with_the_socket_that_made_it(net):
    net.control.serve(SERVICE, PROCESSES[2])
    net.control.service_add(_OTHER)
    daemon.start(*PROCESSES, namespace=net.server)
    with net.server:
        owner, other = (dispatch.Dispatch(None) for _ in range(2))
        owner.socket(), other.socket()
    owner.process_add(SERVICE, PROCESSES[0], owner="socket")
    owner.process_add(_OTHER, PROCESSES[0], owner="socket")
    other.process_add(SERVICE, PROCESSES[1], owner="socket")
    check.equal(net.control.process(SERVICE, PROCESSES[0])["owner"], "socket", "its owner")
    clients = [Client(net.client, SERVICE) for _ in range(3)]
    served = [each.who() for each in clients]
    check.equal({process for process, _ in served}, set(PROCESSES), "who serves while both sockets are open")
    owner.socket().close()
    # No waiting: when the socket is closed, it is done.
    check.equal(_registered(net), set(PROCESSES[1:]), "processes once the socket is closed")
    check.equal(_registered(net, _OTHER), set(), "processes of the other service")
    check.equal({who(net.client, SERVICE)[0] for _ in range(6)}, set(PROCESSES[1:]), "who serves then")
    check.equal([each.who() for each in clients], served, "who serves the connections that were open")


@test
def a_registration_ends_with_its_socket_however_the_owner_of_that_died(net):
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV):
        net.control.service_add(SERVICE)
        owner = registrant.start(net.control, SERVICE, PROCESSES[0], owner="socket")
        daemon.start(PROCESSES[1], namespace=net.server)[0]
        net.control.process_add(SERVICE, PROCESSES[1])
        owner.kill(number)
        check.equal(_registered(net), {PROCESSES[1]}, f"processes after signal {number}")
        check.equal(who(net.client, SERVICE)[0], PROCESSES[1], "who serves")
        background.kill_all()
        net.control.service_del(SERVICE)


@test
def a_registration_without_owner_stays_when_who_made_it_is_gone(net):
    net.control.service_add(SERVICE)
    daemon.start(PROCESSES[1], namespace=net.server)
    owner = registrant.start(net.control, SERVICE, PROCESSES[0])
    net.control.process_add(SERVICE, PROCESSES[1], owner="pid", pid=os.getpid())
    owner.kill()
    # This one ends with its owner, and is asked for later: so the other had the time.
    child = registrant.start(net.control, SERVICE, PROCESSES[2], owner="pid")
    child.kill()
    wait.until(lambda: PROCESSES[2] not in _registered(net), "a registration with an owner ends")
    check.equal(_registered(net), set(PROCESSES[:2]), "processes")
    # Nobody listens there, so it is passed over.
    check.equal({who(net.client, SERVICE)[0] for _ in range(4)}, {PROCESSES[1]}, "who serves")


@test
def open_connections_of_a_dead_owner_end_the_way_TCP_ends_them(net):
    net.control.service_add(SERVICE)
    owner = registrant.start(net.control, SERVICE, PROCESSES[0], owner="pid")
    idle, busy = (Client(net.client, SERVICE) for _ in range(2))
    idle.who(), busy.who()
    os.kill(owner.pid, signal.SIGSTOP)
    busy.send("who")  # nobody will read it, so TCP resets this one
    wait.until(lambda: _unread(net), "the daemon's socket has bytes to read")
    owner.kill()
    idle.ended()
    check.raises(ConnectionResetError, busy.socket.recv, 1)
    refused(net.client, SERVICE)


def _unread(net):
    sockets = net.server.run("ss", "-Htn", "state", "established", "src", PROCESSES[0].split(":")[0])
    return any(int(line.split()[0]) > 0 for line in sockets.splitlines())


@test
def an_address_can_be_registered_again_once_its_owner_is_dead(net):
    net.control.service_add(SERVICE)
    owner = registrant.start(net.control, SERVICE, PROCESSES[0], owner="pid")
    error = check.raises(netlink.NetlinkError, lambda: net.control.process_add(SERVICE, PROCESSES[0]))
    check.equal(error.name, "EEXIST", "the error of a second registration")
    owner.kill()
    wait.until(lambda: not _registered(net), "the registration ends")
    registrant.start(net.control, SERVICE, PROCESSES[0], owner="socket")
    check.equal(who(net.client, SERVICE)[0], PROCESSES[0], "who serves")
