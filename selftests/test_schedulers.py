# SPDX-License-Identifier: GPL-2.0
"""How a service chooses the process of a new connection.

    client                                    server
    198.51.100.2, .100 to .159 eth0 ───────── eth0 198.51.100.1
                                              192.0.2.1:80      service
                                              10.77.0.1..3:80   three daemons

The distributions themselves are tested on the host, rust/core/tests/. Here it is that the module asks for
the right one, and gives it what is true.
"""

import collections
import os

from lib import check, daemon, family, topology, wait
from lib.client import Client, refused, who
from lib.ip import endpoint
from lib.runner import test


def _clients(net):
    return [net.near(number) for number in range(100, 160)]


def setup(version):
    net = topology.pair(version)
    net.add_clients(*_clients(net))
    daemon.start(*net.processes, namespace=net.server)
    return net


def _serve(net, scheduler, *weights):
    """A service with these weights of its processes."""
    net.control.service_add(net.service, scheduler=scheduler)
    for process, weight in zip(net.processes, weights):
        net.control.process_add(net.service, process, weight=weight)


def _answers(net, times):
    """How many of so many connections, one after the other, each process served."""
    return collections.Counter(who(net.client, net.service)[0] for _ in range(times))


def _open(net, times):
    """So many connections that stay open, and how many each process has."""
    clients, held = [], collections.Counter()
    for _ in range(times):
        clients.append(Client(net.client, net.service))
        held[clients[-1].who()[0]] += 1  # by then it has been accepted
    return clients, held


def _by_client(net):
    """Which process serves each of many clients."""
    return {client: who(net.client, net.service, source=endpoint(client, 0))[0] for client in _clients(net)}


@test
def rr_gives_each_process_the_same_whatever_its_weight(net):
    _serve(net, "rr", 1, 5, 100)
    check.equal(_answers(net, 9), dict.fromkeys(net.processes, 3), "connections by process")


@test
def wrr_gives_each_process_as_much_as_its_weight(net):
    _serve(net, "wrr", 10, 20, 30)
    check.equal(
        _answers(net, 12), {net.processes[0]: 2, net.processes[1]: 4, net.processes[2]: 6}, "connections by process"
    )
    net.control.process_set(net.service, net.processes[2], weight=10)
    check.equal(
        _answers(net, 8),
        {net.processes[0]: 2, net.processes[1]: 4, net.processes[2]: 2},
        "connections by process with another weight",
    )


@test
def lc_chooses_the_process_with_the_fewest_connections(net):
    _serve(net, "lc", 1, 100)
    clients, held = _open(net, 4)
    check.equal(held, {net.processes[0]: 2, net.processes[1]: 2}, "open connections by process")
    net.control.process_add(net.service, net.processes[2])
    more, held = _open(net, 2)
    check.equal(held, {net.processes[2]: 2}, "who got the next two, one of them having none")
    for client in clients + more:
        client.close()


@test
def wlc_chooses_the_process_with_the_fewest_connections_for_its_weight(net):
    _serve(net, "wlc", 1, 3)
    clients, held = _open(net, 8)
    check.equal(held, {net.processes[0]: 2, net.processes[1]: 6}, "open connections by process")
    for client in clients:
        client.close()


@test
def sh_gives_a_client_to_the_same_process_each_time(net):
    _serve(net, "sh", 1, 1, 1)
    _is_stable_and_spread(net)
    before = _by_client(net)
    net.control.process_set(net.service, net.processes[1], weight=0)
    moved = {client for client, process in _by_client(net).items() if process != before[client]}
    check.equal(moved, {client for client in _clients(net) if before[client] == net.processes[1]}, "clients that moved")


@test
def mh_moves_only_the_clients_of_a_process_that_leaves(net):
    _serve(net, "mh", 1, 1, 1)
    _is_stable_and_spread(net)
    before = _by_client(net)
    its_own = {client for client in _clients(net) if before[client] == net.processes[1]}
    for leave in (
        lambda: net.control.process_set(net.service, net.processes[1], weight=0),
        lambda: net.control.process_set(net.service, net.processes[1], weight=1, state="draining"),
        lambda: net.control.process_del(net.service, net.processes[1]),
    ):
        leave()
        now = _by_client(net)
        check.equal({client for client in _clients(net) if now[client] != before[client]}, its_own, "clients that moved")
    net.control.process_add(net.service, net.processes[1])
    back = _by_client(net)
    moved = {client for client in _clients(net) if back[client] != now[client]}
    check.equal({back[client] for client in moved}, {net.processes[1]}, "where clients moved when it came again")


@test
def mh_moves_only_the_clients_of_a_process_that_stops_listening(net):
    listener = daemon.listen(net.process(4), net.server)
    _serve(net, "mh", 1, 1, 1)
    net.control.process_add(net.service, net.process(4))
    listener.close()
    first = _by_client(net)
    check.equal(set(first.values()), set(net.processes), "who serves")
    net.control.process_del(net.service, net.process(4))
    now = _by_client(net)
    stayed = sum(now[client] == first[client] for client in _clients(net))
    check.true(
        stayed >= len(_clients(net)) * 2 // 3, f"{stayed} of {len(_clients(net))} clients stayed with their process"
    )


def _is_stable_and_spread(net):
    first = _by_client(net)
    check.equal(_by_client(net), first, "who serves each client, the second time")
    spread = collections.Counter(first.values())
    check.equal(set(spread), set(net.processes), "the processes that have clients")
    check.true(min(spread.values()) >= len(_clients(net)) // 10, f"hardly even: {spread}")


@test
def mh_and_sh_give_clients_in_proportion_to_the_weights(net):
    for scheduler in ("mh", "sh"):
        _serve(net, scheduler, 1, 9)
        served = collections.Counter(_by_client(net).values())
        check.true(
            served[net.processes[1]] > 3 * served[net.processes[0]] > 0, f"{scheduler}: clients by process: {served}"
        )
        net.control.service_del(net.service)


@test
def saq_chooses_the_shortest_accept_queue_and_then_the_fewest_connections(net):
    slow, slower, idle = net.process(4), net.process(5), net.process(6)
    listeners = [daemon.listen(each, net.server) for each in (slow, slower, idle)]
    waiting = []
    for process, connections in ((slow, 1), (slower, 2)):
        net.control.serve(net.service, process)
        waiting += [Client(net.client, net.service) for _ in range(connections)]
        queue = lambda: net.control.process(net.service, process)["accept-queue"]
        wait.until(lambda: queue() == connections, f"{connections} connections wait at {process}")
        net.control.service_del(net.service)
    net.control.service_add(net.service, scheduler="saq")
    net.control.process_add(net.service, slower, slow, idle)
    queues = lambda: [net.control.process(net.service, each)["accept-queue"] for each in (idle, slow, slower)]
    for expected in ([1, 1, 2], [2, 1, 2], [2, 2, 2]):
        waiting.append(Client(net.client, net.service))
        # Where two queues are as short, the fewest connections count; of those that tie in both, any.
        wait.until(lambda: sum(queues()) == sum(expected), "the connection waits")
        check.equal(sorted(queues()), sorted(expected), "connections that wait")
    # All queues are as long. The connections of one were accepted: that doesn't count.
    for _ in range(2):
        listeners[2].accept()
    check.equal(queues(), [0, 2, 2], "connections that wait")
    waiting.append(Client(net.client, net.service))
    wait.until(lambda: queues() == [1, 2, 2], "the next connection waits where the queue was the shortest")
    for client in waiting:
        client.close()


@test
def saq_looks_at_connections_where_queues_are_as_short(net):
    _serve(net, "lc", 1, 1)
    net.control.process_set(net.service, net.processes[1], weight=0)
    clients, _ = _open(net, 3)
    net.control.process_set(net.service, net.processes[1], weight=1)
    net.control.service_set(net.service, scheduler="saq")
    more, held = _open(net, 3)
    check.equal(held, {net.processes[1]: 3}, "who got the next three")
    for client in clients + more:
        client.close()


@test
def cpu_chooses_a_process_whose_cpus_include_the_one_that_received_the_packet(net):
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise check.Skip("this computer has one CPU")
    net.control.service_add(net.service, scheduler="cpu")
    for process, cpu in zip(net.processes[:2], cpus):
        net.control.process_add(net.service, process, cpus=str(cpu))
    try:
        for turn in range(3):
            for process, cpu in zip(net.processes[:2], cpus):
                # A veth device delivers on the CPU that sends.
                os.sched_setaffinity(0, [cpu])
                check.equal(_answers(net, 4), {process: 4}, f"who serves what CPU {cpu} received, turn {turn}")
        # One that is on all of them shares with each.
        os.sched_setaffinity(0, [cpus[0]])
        net.control.process_add(net.service, net.processes[2], cpus=f"{cpus[0]}-{cpus[1]}")
        check.equal(
            _answers(net, 4), {net.processes[0]: 2, net.processes[2]: 2}, "who serves what the first CPU received"
        )
        # Nobody is there: all share.
        for process in net.processes:
            net.control.process_set(net.service, process, cpus=str(cpus[1]) if process == net.processes[1] else "")
        check.equal(
            _answers(net, 3),
            {net.processes[0]: 1, net.processes[1]: 1, net.processes[2]: 1},
            "who serves where nobody is",
        )
    finally:
        os.sched_setaffinity(0, cpus)


@test
def by_no_scheduler_a_process_of_weight_zero_gets_new_connections_and_it_keeps_those_it_has(net):
    for scheduler in family.SCHEDULERS:
        _serve(net, scheduler, 1)
        with Client(net.client, net.service) as client:
            check.equal(client.who()[0], net.processes[0], "who serves the open connection")
            net.control.process_add(net.service, net.processes[1], weight=65535)
            net.control.process_set(net.service, net.processes[0], weight=0)
            check.equal(_answers(net, 4), {net.processes[1]: 4}, f"who serves, chosen by {scheduler}")
            net.control.process_set(net.service, net.processes[1], weight=0)
            refused(net.client, net.service)
            check.equal(client.who()[0], net.processes[0], "who serves the open connection afterwards")
        net.control.service_del(net.service)


@test
def the_scheduler_of_a_service_can_be_changed_at_any_time(net):
    _serve(net, "rr", 1, 1, 0)
    for scheduler in family.SCHEDULERS * 2:
        net.control.service_set(net.service, scheduler=scheduler)
        check.equal(net.control.service(net.service)["scheduler"], scheduler, "the scheduler that service-get shows")
        served = set(_answers(net, 2))
        check.true(served <= {net.processes[0], net.processes[1]}, f"who serves, chosen by {scheduler}: {served}")
    # What is shown is also what is done.
    net.control.process_set(net.service, net.processes[0], weight=3)
    for scheduler, share in (("wrr", 3), ("rr", 2), ("wrr", 3)):
        net.control.service_set(net.service, scheduler=scheduler)
        check.equal(
            _answers(net, 4),
            {net.processes[0]: share, net.processes[1]: 4 - share},
            f"who serves, chosen by {scheduler}",
        )
    check.equal(net.control.service(net.service)["processes"], 3, "its processes")


@test
def a_service_is_round_robin_and_a_process_of_weight_one_unless_set(net):
    net.control.serve(net.service, net.processes[0])
    settings = net.control.service(net.service)
    want = {"scheduler": "rr", "refusal": "tcp", "affinity-timeout": 0, "affinity-prefix-len": net.version.bits}
    check.equal({name: settings[name] for name in want}, want, "the service's settings")
    shown = net.control.process(net.service, net.processes[0])
    want = {"weight": 1, "state": "active", "owner": "none"}
    check.equal({name: shown[name] for name in want}, want, "the registration")
    check.equal({"cpus", "pid", "uid", "drain-timeout"} & set(shown), set(), "what it doesn't have")
