# SPDX-License-Identifier: GPL-2.0
"""IPv4 and IPv6 in one namespace.

    client                           server
    198.51.100.2     eth0 ────────── eth0 198.51.100.1
    2001:db8:1::2                    eth0 2001:db8:1::1
                                     192.0.2.1:80, [2001:db8::1]:80   services
                                     10.77.0.1..3:80                  three daemons
                                     [fd77::1..3]:80                  three daemons
"""

import socket

from lib import background, capture, check, daemon, topology, wait
from lib.client import Client, refused, who
from lib.ip import BOTH, IPV4, IPV6, endpoint, host_of
from lib.runner import test

_FOUR, _SIX = topology.ADDRESSES[IPV4], topology.ADDRESSES[IPV6]
# A port whose daemons are dual-stack.
_PORT = 8000


def setup():
    net = topology.pair(*BOTH)
    daemon.start(*_FOUR.processes, *_SIX.processes, namespace=net.server)
    return net


def _serve(net):
    for addresses in (_FOUR, _SIX):
        net.control.serve(addresses.service, *addresses.processes)


def _start_dual_stack(net, host):
    """Starts a daemon with an IPv6 socket that takes IPv4, too."""
    with net.server:
        listener = socket.socket(socket.AF_INET6)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, _PORT))
    listener.listen(16)
    return background.fork(daemon.serve, listener, keep=[listener.fileno()])


def _mapped(host, port):
    """An IPv4 address as an IPv6 socket has it."""
    return endpoint(f"::ffff:{host}", port)


def _listens(net, service, process):
    return "accept-queue" in net.control.process(service, process)


@test
def an_IPv6_socket_bound_to_an_IPv4_process_address_serves_an_IPv4_service(net):
    process = _FOUR.process(1, port=_PORT)
    _start_dual_stack(net, f"::ffff:{host_of(process)}")
    net.control.serve(_FOUR.service, process)
    check.true(_listens(net, _FOUR.service, process), "its listener is not seen")
    for namespace, host in ((net.client, _FOUR.client_address), (net.server, _FOUR.server_address)):
        source = endpoint(host, 40100)
        with Client(namespace, _FOUR.service, source=source) as client:
            want = (_mapped(host_of(process), _PORT), _mapped(host, 40100))
            check.equal(client.who(), want, f"process and client, as the daemon sees them from {namespace.name}")
            (entry,) = net.control.connections(client=source)
            check.equal((entry["process-address"], entry["state"]), (process, "established"), "the connection's entry")
            check.equal(client.download(300_000), daemon.digest(1, 300_000), "a download's SHA-256")
            check.equal(client.upload(300_000), daemon.digest(1, 300_000), "an upload's SHA-256")


@test
def a_socket_bound_to_all_addresses_of_both_versions_serves_services_of_both(net):
    _start_dual_stack(net, "::")
    processes = {addresses: addresses.process(4, port=_PORT) for addresses in (_FOUR, _SIX)}
    for addresses, process in processes.items():
        net.control.serve(addresses.service, process)
        check.true(_listens(net, addresses.service, process), f"the listener of {process} is not seen")
    for addresses, process in processes.items():
        source = endpoint(addresses.client_address, 40200)
        with Client(net.client, addresses.service, source=source) as client:
            seen = source if addresses is _SIX else _mapped(_FOUR.client_address, 40200)
            its_own = process if addresses is _SIX else _mapped(host_of(process), _PORT)
            check.equal(client.who(), (its_own, seen), "process and client as the daemon sees them")
            check.equal(client.download(300_000), daemon.digest(1, 300_000), "a download's SHA-256")


@test
def an_IPv6_socket_that_takes_no_IPv4_does_not_serve_an_IPv4_service(net):
    with net.server:
        listener = socket.socket(socket.AF_INET6)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.bind(("::", _PORT + 1))
    listener.listen(16)
    process = _FOUR.process(4, port=_PORT + 1)
    net.control.serve(_FOUR.service, process)
    check.true(not _listens(net, _FOUR.service, process), "a listener is seen that takes no IPv4")
    refused(net.client, _FOUR.service)
    # Over IPv6 it has the connection.
    net.control.serve(_SIX.service, _SIX.process(4, port=_PORT + 1))
    with Client(net.client, _SIX.service):
        listener.accept()


@test
def services_of_both_versions_at_one_port_have_processes_of_their_own(net):
    _serve(net)
    for namespace in (net.client, net.server):
        clients = [(each, Client(namespace, each.service)) for _ in range(3) for each in (_FOUR, _SIX)]
        served = [(each, client.who()) for each, client in clients]
        for addresses in (_FOUR, _SIX):
            its_own = [process for each, (process, _) in served if each is addresses]
            check.equal(sorted(its_own), addresses.processes, f"who serves {addresses.service}, in turn")
        for (_, client), (_, (_, seen)) in zip(clients, served):
            check.equal(seen, client.address, "the client as its process sees it")
        held = {each["client-address"]: each["service-address"] for each in net.control.connections()}
        want = {client.address: each.service for each, client in clients}
        check.equal({client: held.get(client) for client in want}, want, "the service of each client in the table")
        for _, client in clients:
            client.reset()
    for addresses in (_FOUR, _SIX):
        check.equal(net.control.service(addresses.service)["stats"]["connections"], 6, "connections of a service")


@test
def a_client_that_uses_one_port_for_both_versions_has_two_connections(net):
    _serve(net)
    with capture.Capture(net.client, "eth0") as wire:
        sources = {each: endpoint(each.client_address, 40300) for each in (_FOUR, _SIX)}
        clients = {each: Client(net.client, each.service, source=source) for each, source in sources.items()}
        for each, client in clients.items():
            process, seen = client.who()
            check.true(process in each.processes, f"{process} serves {each.service}")
            check.equal(seen, sources[each], "the client as its process sees it")
        length, digest = 500_000, daemon.digest(3, 500_000)
        check.equal([client.download(length, 3) for client in clients.values()], [digest] * 2, "SHA-256 of downloads")
        for client in clients.values():
            client.reset()
    want = {host for each in (_FOUR, _SIX) for host in (each.client_address, each.host)}
    check.equal(wire.addresses(), want, "addresses on the wire")


@test
def what_happens_to_a_service_does_not_touch_the_other_versions(net):
    for one, other in ((_FOUR, _SIX), (_SIX, _FOUR)):
        _serve(net)
        with Client(net.client, other.service) as client:
            had = client.who()
            for process in one.processes:
                net.control.process_set(one.service, process, state="down")
            refused(net.client, one.service)
            net.control.service_del(one.service)
            refused(net.client, one.service)
            check.equal(net.control.drops("no-process", other.service), 0, "connections that the other one refused")
            check.equal(client.who(), had, "who serves the open connection of the other one")
            check.true(who(net.client, other.service)[0] in other.processes, "nobody serves new ones of the other one")
        net.control.service_del(other.service)


@test
def connections_of_both_versions_share_max_connections(net):
    net.control.empty()
    before = net.control.net()["max-connections"]
    _serve(net)
    try:
        net.control.limit(2)
        clients = [Client(net.client, each.service) for each in (_FOUR, _SIX)]
        served = [client.who() for client in clients]
        check.equal(net.control.net()["connections"], 2, "connections of the namespace")
        for addresses in (_FOUR, _SIX):
            refused(net.client, addresses.service)
            check.equal(net.control.drops("connection-limit", addresses.service), 1, "connections refused at the limit")
        check.equal([client.who() for client in clients], served, "processes and clients of the open connections")
        clients.pop(0).close()
        wait.until(lambda: net.control.net()["connections"] < 2, "the entry of IPv4 ends")
        with Client(net.client, _SIX.service) as client:
            check.true(client.who()[0] in _SIX.processes, "nobody serves in the place of a connection over IPv4")
            refused(net.client, _FOUR.service)
        clients[0].close()
    finally:
        net.control.limit(before)


@test
def a_namespace_that_ends_its_IPv6_range_goes_on_over_IPv4(net):
    net.control.serve(_FOUR.service, *_FOUR.processes)
    with Client(net.client, _FOUR.service) as client:
        had = client.who()
        net.control.prefix("fd77::", 0)
        try:
            check.equal(client.who(), had, "who serves the open connection")
            check.equal(client.download(300_000), daemon.digest(1, 300_000), "a download's SHA-256")
            check.true(who(net.client, _FOUR.service)[0] in _FOUR.processes, "nobody serves new connections")
        finally:
            net.control.prefix("fd77::", 64)
    net.control.serve(_SIX.service, *_SIX.processes)
    check.true(who(net.client, _SIX.service)[0] in _SIX.processes, "nobody serves once the range is back")
