# SPDX-License-Identifier: GPL-2.0
"""Each network namespace has a dispatch layer of its own, which ends with it.

    client-1 eth0 ── eth0 server-1        client-2 eth0 ── eth0 server-2
    198.51.100.2     192.0.2.1:80         198.51.100.2     192.0.2.1:80
                     10.77.0.1..3:80                       10.77.0.1..3:80

The two pairs are alike, and not joined.
"""

from lib import check, daemon, dispatch, module, namespace, netlink, topology
from lib.client import Client, refused, who
from lib.ip import endpoint
from lib.runner import test


def setup(version):
    pairs = [topology.pair(version, suffix=f"-{number}") for number in (1, 2)]
    daemon.start(*pairs[0].processes[:2], namespace=pairs[0].server)
    daemon.start(pairs[1].processes[2], namespace=pairs[1].server)
    return pairs


@test
def two_namespaces_with_the_same_service_address_do_not_meet(pairs):
    first, second = pairs
    net = first
    first.control.serve(net.service, *net.processes[:2])
    refused(second.client, net.service)
    check.equal(second.control.services(), {}, "services of the other namespace")
    second.control.serve(net.service, net.processes[2])
    for _ in range(4):
        check.true(who(first.client, net.service)[0] in net.processes[:2], "first namespace's process")
        check.equal(who(second.client, net.service)[0], net.processes[2], "second namespace's process")
    check.equal(set(second.control.processes()), {(net.service, net.processes[2])}, "the second namespace's processes")
    check.equal(second.control.service(net.service)["stats"]["connections"], 4, "the second namespace's connections")
    first.control.service_del(net.service)
    refused(first.client, net.service)
    check.equal(
        who(second.client, net.service)[0], net.processes[2], "the second's process after the first's service ended"
    )


@test
def the_same_client_and_service_tuple_in_two_namespaces_is_two_connections(pairs):
    net = pairs[0]
    source = endpoint(net.client_address, 52000)
    pairs[0].control.serve(net.service, net.processes[0])
    pairs[1].control.serve(net.service, net.processes[2])
    with (
        Client(pairs[0].client, net.service, source=source) as one,
        Client(pairs[1].client, net.service, source=source) as two,
    ):
        check.equal(one.who(), (net.processes[0], source), "process and client in the first")
        check.equal(two.who(), (net.processes[2], source), "process and client in the second")
        for pair, process in zip(pairs, (net.processes[0], net.processes[2])):
            (entry,) = pair.control.connections(client=source)
            check.equal(entry["process-address"], process, "the process in the table")


@test
def a_namespace_without_the_layer_has_no_services_and_is_served_by_TCP(pairs):
    net = pairs[0]
    client = pairs[0].client
    here = dispatch.Dispatch(client)
    check.equal(here.services(), {}, "services")
    check.equal(here.net()["connections"], 0, "connections")
    daemon.start(endpoint(net.client_address, 8080), namespace=client)
    check.equal(
        who(pairs[0].server, endpoint(net.client_address, 8080))[0], endpoint(net.client_address, 8080), "the daemon"
    )


@test
def a_namespace_deleted_with_connections_open_is_freed(pairs):
    pair = topology.pair(pairs[0].version, suffix="-3")
    daemons = daemon.start(*pair.processes, namespace=pair.server)
    pair.control.serve(pair.service, *pair.processes)
    clients = [Client(pair.client, pair.service) for _ in range(20)]
    local = [Client(pair.server, pair.service) for _ in range(5)]
    for client in clients + local:
        client.who()
    for client in clients[:5]:  # some end in TIME_WAIT on the server
        client.send("close")
        client.ended()
    for number in range(20):  # some have no socket at all
        pair.control.connection_add(endpoint(pair.client_address, 60000 + number), pair.service, pair.processes[0])
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
    check.equal(who_serves(pairs[0]), pair.processes[0], "who serves in another namespace")
    # Nothing of it may be in the way of unloading.
    module.unload()
    module.load()
    for each in pairs:
        each.control.forget_sockets()
        each.control.up()


def who_serves(pair):
    """Serves by one process and asks which."""
    pair.control.serve(pair.service, pair.processes[0])
    return who(pair.client, pair.service)[0]


@test
def namespaces_come_and_go_by_the_dozen(pairs):
    net = pairs[0]
    for round_ in range(3):
        made = [
            dispatch.Dispatch(namespace.Namespace(f"many-{number}", net.version), net.version) for number in range(4)
        ]
        for each in made:
            each.up()
            each.serve(net.service, *net.processes)
        check.equal([len(each.processes()) for each in made], [3] * 4, f"processes by namespace, round {round_}")
        for each in made:
            each.forget_sockets()
            each.namespace.delete()
        for each in made:
            each.namespace.gone()


@test
def a_netlink_socket_speaks_of_the_namespace_it_was_made_in(pairs):
    net = pairs[0]
    pairs[0].control.service_add(net.service)
    with pairs[1].server:
        there = netlink.Socket("tcp_dispatch")
    with pairs[0].server:
        check.equal(there.dump(3), [], "services that a socket of the other namespace sees")
