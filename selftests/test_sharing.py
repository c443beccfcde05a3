# SPDX-License-Identifier: GPL-2.0
"""Which process gets a new connection.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80      service
                                 10.77.0.1..3:80   three daemons
"""

import collections
import os

from lib import background, check, daemon, topology, wait
from lib.client import Client, refused, who
from lib.runner import test


def setup(version):
    net = topology.pair(version)
    daemon.start(*net.processes, namespace=net.server)
    return net


def _answers(net, times):
    """How many of so many connections, one after the other, each process served."""
    return collections.Counter(who(net.client, net.service)[0] for _ in range(times))


@test
def three_daemons_share_300_connections_100_each(net):
    net.control.serve(net.service, *net.processes)
    check.equal(_answers(net, 300), dict.fromkeys(net.processes, 100), "connections by process")
    counted = {
        process: each["stats"]["connections"] for (_, process), each in net.control.processes(net.service).items()
    }
    check.equal(counted, dict.fromkeys(net.processes, 100), "connections by process as the module counted them")


@test
def open_connections_stay_with_their_process_while_others_are_assigned(net):
    net.control.serve(net.service, *net.processes)
    clients = [Client(net.client, net.service) for _ in range(9)]
    first = [client.who() for client in clients]
    _answers(net, 4)
    check.equal([client.who() for client in clients], first, "process and client of each connection, later")
    for client in clients:
        client.close()


@test
def the_processes_that_are_registered_share_evenly_after_each_change(net):
    first, second, third = net.processes
    net.control.serve(net.service, second)
    changes = [
        (net.control.process_add, first, {first, second}),
        (net.control.process_add, third, {first, second, third}),
        (net.control.process_del, second, {first, third}),
        (net.control.process_del, first, {third}),
        (net.control.process_add, second, {second, third}),
        (net.control.process_add, first, {first, second, third}),
    ]
    for change, process, left in changes:
        change(net.service, process)
        answers = _answers(net, 4 * len(left))
        check.equal(answers, dict.fromkeys(left, 4), f"answers after {change.__name__} of {process}")


@test
def connections_of_two_services_are_counted_apart(net):
    other = net.other_service
    net.control.serve(net.service, *net.processes)
    net.control.serve(other, *net.processes)
    answers = collections.Counter()
    for _ in range(6):
        answers[net.service, who(net.client, net.service)[0]] += 1
        answers[other, who(net.client, other)[0]] += 1
    check.equal(
        answers, {(s, p): 2 for s in (net.service, other) for p in net.processes}, "answers by service and process"
    )


@test
def processes_come_and_go_under_load_and_no_connection_is_lost(net):
    net.control.serve(net.service, *net.processes)
    load = [background.fork(_load, net, 60) for _ in range(2)]
    pids = {each.pid for each in load}
    changes = 0
    while any(_running(pid) for pid in pids):
        for process in net.processes[1:]:
            net.control.process_del(net.service, process)
        for process in net.processes[1:]:
            net.control.process_add(net.service, process)
        changes += 1
    check.equal([each.wait() for each in load], [0, 0], "exit statuses of the clients")
    check.true(changes > 3, f"the processes changed only {changes} times meanwhile")


def _running(pid):
    return not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)


def _load(net, times):
    for _ in range(times):
        process, _ = who(net.client, net.service)
        check.true(process in net.processes, f"served by {process}")


@test
def a_deleted_process_gets_no_new_connection_and_keeps_its_open_ones(net):
    first, second = net.processes[:2]
    net.control.serve(net.service, first)
    with Client(net.client, net.service) as client, Client(net.server, net.service) as local:
        check.equal(client.who()[0], first, "the process of the open connection")
        net.control.process_add(net.service, second)
        net.control.process_del(net.service, first)
        check.equal(_answers(net, 4), {second: 4}, "answers to new connections")
        for each in (client, local):
            check.equal(each.who()[0], first, "the process of the open connection after its deletion")
        check.equal(client.download(200_000), daemon.digest(1, 200_000), "a download's SHA-256 after its deletion")


@test
def a_deleted_service_gets_no_new_connection_and_keeps_its_open_ones(net):
    net.control.serve(net.service, net.processes[0])
    with Client(net.client, net.service) as client:
        client.who()
        net.control.service_del(net.service)
        refused(net.client, net.service)
        check.equal(client.who()[0], net.processes[0], "the open connection's process")
        check.equal(client.download(200_000), daemon.digest(1, 200_000), "a download's SHA-256")
        # One of the same address is another service.
        net.control.serve(net.service, net.processes[1])
        check.equal(who(net.client, net.service)[0], net.processes[1], "the new service's process")
        check.equal(client.who()[0], net.processes[0], "the open connection's process beside the new service")


@test
def a_new_connection_at_max_connections_is_refused_and_counted_and_no_other_is_touched(net):
    net.control.empty()
    before = net.control.net()["max-connections"]
    net.control.serve(net.service, *net.processes)
    try:
        net.control.limit(5)
        clients = [Client(net.client, net.service) for _ in range(5)]
        first = [client.who() for client in clients]
        for _ in range(3):
            refused(net.client, net.service)
        refused(net.server, net.service)
        check.equal(net.control.drops("connection-limit", net.service), 4, "connections refused at the limit")
        check.equal([client.who() for client in clients], first, "processes and clients of the open connections")
        net.control.limit(6)
        clients.append(Client(net.client, net.service))
        clients[-1].who()
        refused(net.client, net.service)
        clients.pop(0).close()
        # The entry ends some time after its connection did, and then there is room again.
        wait.until(lambda: net.control.net()["connections"] < 6, "an entry ends")
        clients.append(Client(net.client, net.service))
        clients[-1].who()
        net.control.limit(2)
        check.equal(clients[0].who(), first[1], "an open connection above a lowered limit")
        refused(net.client, net.service)
    finally:
        net.control.limit(before)
