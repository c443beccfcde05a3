# SPDX-License-Identifier: GPL-2.0
"""Connections of several services to one process address, and dumps of some of all connections.

    client                                   server
    198.51.100.2, .16, .17, .32 eth0 ─────── eth0 198.51.100.1
                                             192.0.2.1:80, 192.0.2.2:80, 192.0.2.1:8000   services
                                             10.77.0.1..2:80                              two daemons
"""

import socket

from lib import capture, check, daemon, family, topology, wait
from lib.client import Client
from lib.ip import IPV4, endpoint, host_of
from lib.netlink import NLM_F_DUMP, NetlinkError
from lib.runner import test


def _services(net):
    return [net.service, net.other_service, endpoint(net.host, 8000)]


def _neighbours(net):
    """Two clients of one range."""
    return [net.near(16), net.near(17)]


def setup(version):
    net = topology.pair(version)
    net.add_clients(*_neighbours(net), net.near(32))
    daemon.start(net.processes[0], net.processes[1], namespace=net.server)
    return net


@test
def connections_of_several_services_to_one_process_find_back_to_the_address_that_each_client_used(net):
    for service in _services(net):
        net.control.serve(service, net.processes[0])
    for namespace in (net.client, net.server):
        with capture.Capture(net.client, "eth0") as wire:
            clients = [(service, Client(namespace, service)) for _ in range(2) for service in _services(net)]
            for service, client in clients:
                check.equal(
                    client.who(), (net.processes[0], client.address), f"process and client of a connection to {service}"
                )
                check.equal(daemon.name(client.socket.getpeername()), service, "whom the client talks to")
            for service, client in clients:
                check.equal(client.download(50_000, 7), daemon.digest(7, 50_000), f"a download from {service}")
            answers = {seen.source for seen in wire.segments() if not seen.outgoing}
        if namespace is net.client:
            check.equal(answers, set(_services(net)), "who answers on the wire")
        for service in _services(net):
            check.equal(
                net.control.process(service, net.processes[0])["connections"], 2, f"connections that {service} has there"
            )
        for _, client in clients:
            client.reset()
        net.control.empty()


@test
def one_client_port_serves_for_connections_to_several_services_at_different_processes(net):
    net.control.serve(_services(net)[0], net.processes[0])
    net.control.serve(_services(net)[1], net.processes[0], net.processes[1])
    source = endpoint(net.client_address, 55000)
    with (
        Client(net.client, _services(net)[0], source=source) as one,
        Client(net.client, _services(net)[1], source=source) as two,
    ):
        # To the first process both would look alike.
        check.equal(
            (one.who(), two.who()),
            ((net.processes[0], source), (net.processes[1], source)),
            "process and client of each",
        )


def _open(net):
    """Connections of four clients to two services, by client address: service and process."""
    net.control.serve(_services(net)[0], net.processes[0])
    net.control.serve(_services(net)[1], net.processes[0], net.processes[1])
    clients = []
    for source in (net.client_address, *_neighbours(net), net.near(32)):
        for service in _services(net)[:2]:
            clients.append(Client(net.client, service, source=endpoint(source, 0)))
    return clients, {client.address: (daemon.name(client.socket.getpeername()), client.who()[0]) for client in clients}


@test
def a_dump_has_the_connections_of_one_service_process_or_client_range_and_no_others(net):
    net.control.empty()
    clients, opened = _open(net)
    dump = lambda **filters: {
        each["client-address"]: (each["service-address"], each["process-address"])
        for each in net.control.connections(**filters)
    }
    check.equal(dump(), opened, "all connections")
    of = lambda condition: {client: served for client, served in opened.items() if condition(client, *served)}
    for service in _services(net):
        check.equal(dump(service=service), of(lambda _, its, __: its == service), f"connections of {service}")
    for process in (net.processes[0], net.processes[1], net.process(9)):
        check.equal(dump(process=process), of(lambda _, __, its: its == process), f"connections of {process}")
    bits = net.version.bits
    for prefix, length, hosts in (
        (net.near(16), bits - 4, _neighbours(net)),
        (net.near(16), bits, _neighbours(net)[:1]),
        (net.near(0), bits - 4, [net.client_address]),
        (net.near(0), net.near_length, [net.client_address, *_neighbours(net), net.near(32)]),
        (net.far(0), net.near_length, []),
    ):
        want = of(lambda client, *_: host_of(client) in hosts)
        check.equal(dump(**family.prefix("client", prefix, length)), want, f"connections of {prefix}/{length}")
    prefix = family.prefix("client", net.near(16), bits - 4)
    both = dump(service=_services(net)[1], process=net.processes[1], **prefix)
    of_both = of(
        lambda client, *its: its == (_services(net)[1], net.processes[1]) and host_of(client) in _neighbours(net)
    )
    check.equal(both, of_both, "connections that meet all conditions")
    for client in clients:
        client.reset()


@test
def a_dump_has_the_connections_in_one_state_and_no_others(net):
    net.control.empty()
    clients, opened = _open(net)
    half_closed, closed, *rest = clients
    half_closed.socket.shutdown(socket.SHUT_WR)  # the daemon closes, too, and nothing is left there
    half_closed.ended()
    closed.send("close")
    closed.ended()
    addresses = lambda state: {each["client-address"] for each in net.control.connections(state=state)}
    wait.until(lambda: addresses("fin-wait2") == {closed.address}, "the one that the daemon closed is in FIN_WAIT2")
    wait.until(lambda: half_closed.address not in addresses("established"), "the one that the client closed has ended")
    check.equal(addresses("established"), {client.address for client in rest}, "those that are established")
    check.equal(addresses("syn-sent"), set(), "those in a state that there is not")
    shown = {each["state"] for each in net.control.connections(state="established")}
    check.equal(shown, {"established"}, "the states that are shown")
    check.equal(len(net.control.connections(_services(net)[0], state="established")), 3, "those of one service")
    for client in clients:
        client.reset()


@test
def a_daemon_learns_by_client_and_process_address_which_service_the_client_used(net):
    ask = lambda **addresses: net.control.socket().request(
        family.CONNECTION_GET, family.encode(family.CONNECTION, **addresses)
    )
    for service in _services(net):
        net.control.serve(service, net.processes[0])
    for service in _services(net):
        with Client(net.client, service) as client:
            process, peer = client.who()
            (reply,) = ask(client_address=peer, process_address=process)
            shown = family.decode(family.CONNECTION, reply)
            check.equal(shown["service-address"], service, f"the service of {peer} as {process} learns it")
            both = lambda: ask(client_address=peer, process_address=process, service_address=service)
            error = check.raises(NetlinkError, both)
            check.equal(error.name, "EINVAL", "the error if service and process are named")
            error = check.raises(NetlinkError, lambda: ask(client_address=peer, process_address=net.processes[1]))
            check.equal(error.name, "ENOENT", "the error for a process that doesn't serve the client")


@test
def a_client_range_that_is_none_is_refused(net):
    name = "client-prefix" if net.version is IPV4 else "client-prefix-ipv6"
    length = net.near_length
    for prefix, length, path in ((net.near(1), length, [name]), (net.near(0), None, None), (None, length, None)):
        asked = family.encode(family.CONNECTION, **family.prefix("client", prefix, length))
        error = check.raises(NetlinkError, net.control.socket().request, family.CONNECTION_GET, asked, NLM_F_DUMP)
        check.equal(error.name, "EINVAL", f"the error of {prefix}/{length}")
        if path:
            check.equal(error.path, [family.number(family.CONNECTION, each) for each in path], "the offending attribute")
        else:
            missing = "client-prefix" if prefix is None else "client-prefix-len"
            check.equal(error.missing, [family.number(family.CONNECTION, missing)], "the missing attribute")
