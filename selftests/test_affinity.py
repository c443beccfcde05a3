# SPDX-License-Identifier: GPL-2.0
"""Clients that come back to the process that they had.

    client                                   server
    198.51.100.2, .16..18, .32 eth0 ──────── eth0 198.51.100.1
                                             192.0.2.1:80      service, round robin
                                             10.77.0.1..3:80   three daemons
"""

import time

from lib import check, daemon, topology, wait
from lib.client import Client, who
from lib.ip import endpoint
from lib.runner import test

# Three of one range of 28 bits, one of another.


def _neighbours(net):
    """Three clients of one range of 16 addresses."""
    return [net.near(number) for number in (16, 17, 18)]


def setup(version):
    net = topology.pair(version)
    net.add_clients(*_neighbours(net), net.near(32))
    daemon.start(*net.processes, namespace=net.server)
    return net


def _served(net, times, source=None):
    """Who served a client's next connections."""
    return [who(net.client, net.service, source=source and endpoint(source, 0))[0] for _ in range(times)]


@test
def a_client_comes_back_to_its_process_and_others_are_spread(net):
    net.control.serve(net.service, *net.processes, affinity_timeout=600)
    found = {}
    for client in _neighbours(net):
        found[client] = set(_served(net, 4, client))
        check.equal(len(found[client]), 1, f"processes that served {client}")
    # Each further connection of a client had its turn; so the clients are not all with one.
    check.true(len(set.union(*found.values())) > 1, "all clients came to one process")


@test
def without_affinity_a_client_is_given_to_each_process_in_turn(net):
    net.control.serve(net.service, *net.processes)
    check.equal(sorted(_served(net, 6)), sorted(net.processes * 2), "who served one client")


@test
def a_prefix_length_makes_a_range_of_addresses_one_client(net):
    net.control.serve(net.service, *net.processes, affinity_timeout=600, affinity_prefix_len=net.version.bits - 4)
    served = {process for client in _neighbours(net) for process in _served(net, 2, client)}
    check.equal(len(served), 1, "processes that served the range")


@test
def another_range_is_another_client(net):
    net.control.serve(net.service, *net.processes, affinity_timeout=600, affinity_prefix_len=net.version.bits - 4)
    (first,) = _served(net, 1, _neighbours(net)[0])
    (second,) = _served(net, 1, net.near(32))
    check.true(first != second, "a second range followed the first instead of taking its turn")
    check.equal(_served(net, 2, _neighbours(net)[1]), [first] * 2, "who serves the first range")
    check.equal(_served(net, 2, net.near(32)), [second] * 2, "who serves the second range")


@test
def affinity_ends_its_time_after_the_last_new_connection(net):
    timeout = int(3 * wait.SCALE)
    net.control.serve(net.service, *net.processes, affinity_timeout=timeout)
    begun, last, connections, in_time = time.monotonic(), 0, 0, 0
    had = None
    # Each new connection begins the time anew, so that it lasts longer than once. The next turn must
    # not be that of the process which the client has.
    while time.monotonic() < begun + timeout + 2 or connections % 3 == 0:
        start = time.monotonic()
        (served,) = _served(net, 1)
        if time.monotonic() - last < timeout - 1:
            check.equal(served, had, "who serves in time")
            in_time += 1
        had, last = served, start
        connections += 1
        time.sleep(0.3)
    check.true(in_time, "no connection came in time")
    time.sleep(timeout + 1.1)  # the kernel counts whole seconds
    check.true(_served(net, 1) != [had], "the process serves the client when the time is over")


@test
def affinity_never_holds_on_to_a_process_that_takes_no_new_connections(net):
    net.control.serve(net.service, *net.processes[:2], affinity_timeout=600)
    for what, leave, come_back in (
        ("draining", {"state": "draining"}, {"state": "active"}),
        ("down", {"state": "down"}, {"state": "active"}),
        ("of weight 0", {"weight": 0}, {"weight": 1}),
    ):
        (had,) = _served(net, 1)
        (other,) = set(net.processes[:2]) - {had}
        # An open one keeps the process draining.
        with Client(net.client, net.service) as client:
            check.equal(client.who()[0], had, "who serves the open connection")
            net.control.process_set(net.service, had, **leave)
            check.equal(_served(net, 3), [other] * 3, f"who serves while {had} is {what}")
            net.control.process_set(net.service, had, **come_back)
        # From then on it is with the other.
        check.equal(_served(net, 2), [other] * 2, f"who serves after {had} was {what}")


@test
def affinity_never_holds_on_to_a_process_that_is_gone(net):
    first, second = net.processes[0], net.process(4)
    (owner,) = daemon.start(second, namespace=net.server)
    net.control.service_add(net.service, affinity_timeout=600)
    net.control.process_add(net.service, second, owner="pid", pid=owner.pid)
    check.equal(_served(net, 2), [second] * 2, "who serves")
    net.control.process_add(net.service, first)
    check.equal(_served(net, 2), [second] * 2, "who serves beside another")
    owner.kill()
    check.equal(_served(net, 2), [first] * 2, "who serves after the death")
    # One of the same address is another process.
    daemon.start(second, namespace=net.server)
    net.control.process_add(net.service, second)
    check.equal(_served(net, 2), [first] * 2, "who serves beside a successor at the dead one's address")


@test
def affinity_never_holds_on_to_a_process_that_does_not_listen_or_has_no_room(net):
    full = net.process(5)
    listener = daemon.listen(full, net.server, backlog=1)
    net.control.serve(net.service, full, affinity_timeout=600)
    waiting = [Client(net.client, net.service) for _ in range(2)]
    queue = lambda: net.control.process(net.service, full)["accept-queue"]
    wait.until(lambda: queue() == 2, "its accept queue gets full")
    net.control.process_add(net.service, net.processes[0])
    check.equal(_served(net, 2), [net.processes[0]] * 2, "who serves while the queue is full")
    listener.close()
    check.equal(_served(net, 2), [net.processes[0]] * 2, "who serves when it has closed")
    for client in waiting:
        client.close()
