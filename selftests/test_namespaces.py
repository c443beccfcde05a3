# SPDX-License-Identifier: GPL-2.0
"""Each network namespace has a dispatch layer of its own, which ends with it.

    client-1 eth0 ── eth0 server-1        client-2 eth0 ── eth0 server-2
    198.51.100.2     192.0.2.1:80         198.51.100.2     192.0.2.1:80
                     10.77.0.1..3:80                       10.77.0.1..3:80

The two pairs are alike, and not joined.
"""

from lib import check, daemon, dispatch, module, namespace, netlink, topology
from lib.client import Client, refused, who
from lib.runner import test
from lib.topology import CLIENT, PROCESSES, SERVICE


def setup():
    pairs = [topology.pair(suffix=f"-{number}") for number in (1, 2)]
    daemon.start(*PROCESSES[:2], namespace=pairs[0].server)
    daemon.start(PROCESSES[2], namespace=pairs[1].server)
    return pairs


@test
def two_namespaces_with_the_same_service_address_do_not_meet(pairs):
    first, second = pairs
    first.control.serve(SERVICE, *PROCESSES[:2])
    refused(second.client, SERVICE)
    check.equal(second.control.services(), {}, "services of the other namespace")
    second.control.serve(SERVICE, PROCESSES[2])
    for _ in range(4):
        check.true(who(first.client, SERVICE)[0] in PROCESSES[:2], "first namespace's process")
        check.equal(who(second.client, SERVICE)[0], PROCESSES[2], "second namespace's process")
    check.equal(set(second.control.processes()), {(SERVICE, PROCESSES[2])}, "the second namespace's processes")
    check.equal(second.control.service(SERVICE)["stats"]["connections"], 4, "the second namespace's connections")
    first.control.service_del(SERVICE)
    refused(first.client, SERVICE)
    check.equal(who(second.client, SERVICE)[0], PROCESSES[2], "the second's process after the first's service ended")


@test
def the_same_client_and_service_tuple_in_two_namespaces_is_two_connections(pairs):
    source = f"{CLIENT}:52000"
    pairs[0].control.serve(SERVICE, PROCESSES[0])
    pairs[1].control.serve(SERVICE, PROCESSES[2])
    with Client(pairs[0].client, SERVICE, source=source) as one, Client(pairs[1].client, SERVICE, source=source) as two:
        check.equal(one.who(), (PROCESSES[0], source), "process and client in the first")
        check.equal(two.who(), (PROCESSES[2], source), "process and client in the second")
        for pair, process in zip(pairs, (PROCESSES[0], PROCESSES[2])):
            (entry,) = pair.control.connections(client=source)
            check.equal(entry["process-address"], process, "the process in the table")


@test
def a_namespace_without_the_layer_has_no_services_and_is_served_by_TCP(pairs):
    client = pairs[0].client
    here = dispatch.Dispatch(client)
    check.equal(here.services(), {}, "services")
    check.equal(here.net()["connections"], 0, "connections")
    daemon.start(f"{CLIENT}:8080", namespace=client)
    check.equal(who(pairs[0].server, f"{CLIENT}:8080")[0], f"{CLIENT}:8080", "the daemon")


@test
def a_namespace_deleted_with_connections_open_is_freed(pairs):
    pair = topology.pair(suffix="-3")
    daemons = daemon.start(*PROCESSES, namespace=pair.server)
    pair.control.serve(SERVICE, *PROCESSES)
    clients = [Client(pair.client, SERVICE) for _ in range(20)]
    local = [Client(pair.server, SERVICE) for _ in range(5)]
    for client in clients + local:
        client.who()
    for client in clients[:5]:  # some end in TIME_WAIT on the server
        client.send("close")
        client.ended()
    for number in range(20):  # some have no socket at all
        pair.control.connection_add(f"{CLIENT}:{60000 + number}", SERVICE, PROCESSES[0])
    check.true(len(pair.control.connections()) >= 45, "connections in the table before the deletion")
    # A socket holds its namespace: the last of them to go takes it along, long before a sweep of the table.
    pair.control.forget_sockets()
    pair.client.delete()
    pair.server.delete()
    for client in clients + local:
        client.reset()
    for each in daemons:
        each.kill()
    pair.server.gone()
    pair.client.gone()
    check.equal(who_serves(pairs[0]), PROCESSES[0], "who serves in another namespace")
    # Nothing of it may be in the way of unloading.
    module.unload()
    module.load()
    for each in pairs:
        each.control.forget_sockets()
        each.control.up()


def who_serves(pair):
    """Serves by one process and asks which."""
    pair.control.serve(SERVICE, PROCESSES[0])
    return who(pair.client, SERVICE)[0]


@test
def namespaces_come_and_go_by_the_dozen(pairs):
    for round_ in range(3):
        made = [dispatch.Dispatch(namespace.Namespace(f"many-{number}")) for number in range(4)]
        for each in made:
            each.up()
            each.serve(SERVICE, *PROCESSES)
        check.equal([len(each.processes()) for each in made], [3] * 4, f"processes by namespace, round {round_}")
        for each in made:
            each.forget_sockets()
            each.namespace.delete()
        for each in made:
            each.namespace.gone()


@test
def a_netlink_socket_speaks_of_the_namespace_it_was_made_in(pairs):
    pairs[0].control.service_add(SERVICE)
    with pairs[1].server:
        there = netlink.Socket("tcp_dispatch")
    with pairs[0].server:
        check.equal(there.dump(3), [], "services that a socket of the other namespace sees")
