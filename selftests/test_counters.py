# SPDX-License-Identifier: GPL-2.0
"""Counters say what the wire says.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80, 192.0.2.2:80   services
                                 10.77.0.1..3:80              three daemons
"""

from lib import capture, check, daemon, inject, topology, wait
from lib.client import Client, refused, who
from lib.ip import endpoint, port_of
from lib.packet import SYN
from lib.runner import test

_FIELDS = ("packets-in", "bytes-in", "packets-out", "bytes-out")


def setup(version):
    net = topology.pair(version)
    # What is sent is what arrives, one packet for one.
    for side in (net.client, net.server):
        side.run("ethtool", "-K", "eth0", *"tso off gso off gro off".split())
    daemon.start(*net.processes, namespace=net.server)
    return net


def _on_wire(segments):
    """Packets and bytes each way, as the service counts them."""
    into = [seen.length for seen in segments if seen.outgoing]
    out = [seen.length for seen in segments if not seen.outgoing]
    return dict(zip(_FIELDS, (len(into), sum(into), len(out), sum(out))))


def _sum(objects):
    return {field: sum(each["stats"][field] for each in objects) for field in _FIELDS}


@test
def packets_and_bytes_of_service_and_processes_are_those_on_the_wire(net):
    net.control.serve(net.service, *net.processes)
    with capture.Capture(net.client, "eth0") as wire:
        for number in range(7):
            with Client(net.client, net.service) as client:
                client.who()
                # No more than a segment at once: a larger one would be cut up below the layer.
                client.download(200 * number)
                client.upload(200 * number)
        net.control.empty(net.service)
        wait.until(lambda: _on_wire(wire.segments()) == _sum([net.control.service(net.service)]), _Difference(net, wire))
        check.equal(_sum(net.control.processes(net.service).values()), _on_wire(wire.segments()), "the processes' sum")
    counted = [each["stats"]["connections"] for each in net.control.processes(net.service).values()]
    check.equal(sorted(counted), [2, 2, 3], "connections of the processes")
    check.equal(net.control.service(net.service)["stats"]["connections"], 7, "connections of the service")


class _Difference:
    """Formats the two counts when they are wanted."""

    def __init__(self, net, wire):
        self._net, self._wire = net, wire

    def __str__(self):
        counted, seen = _sum([self._net.control.service(self._net.service)]), _on_wire(self._wire.segments())
        return f"the service counted {counted}, the wire had {seen}"


@test
def a_local_clients_packets_are_counted_too(net):
    net.control.serve(net.service, net.processes[0])
    with capture.Capture(net.server, "lo") as wire:
        with Client(net.server, net.service) as client:
            client.who()
            port = port_of(client.address)
        net.control.empty(net.service)
        # Loopback shows each packet twice: as it leaves and as it comes.
        mine = [
            seen for seen in wire.segments() if f":{port}" in f"{seen.source} {seen.destination}" and not seen.outgoing
        ]
    to_service = [seen.length for seen in mine if seen.destination == net.service]
    to_client = [seen.length for seen in mine if seen.destination == client.address]
    got = _sum([net.control.service(net.service)])
    want = dict(zip(_FIELDS, (len(to_service), sum(to_service), len(to_client), sum(to_client))))
    check.equal(got, want, "what the service counted")


@test
def tables_count_the_connections_that_are_open(net):
    net.control.serve(net.service, *net.processes)
    net.control.serve(net.other_service, net.processes[0])
    net.control.empty()
    clients = [Client(net.client, net.service) for _ in range(4)] + [Client(net.client, net.other_service)]
    for client in clients:
        client.who()
    check.equal(net.control.net()["connections"], 5, "connections of the namespace")
    check.equal(net.control.net()["services"], 2, "services of the namespace")
    check.equal(net.control.service(net.service)["connections"], 4, "connections of the service")
    check.equal(net.control.service(net.service)["processes"], 3, "processes of the service")
    held = [each["connections"] for each in net.control.processes(net.service).values()]
    check.equal(sorted(held), [1, 1, 2], "connections of the service's processes")
    for client in clients:
        client.close()
    net.control.empty()
    check.equal(net.control.service(net.service)["connections"], 0, "connections of the service afterwards")
    check.equal(net.control.service(net.service)["stats"]["connections"], 4, "connections that it ever had")


@test
def counters_grow_only_by_their_own_reason(net):
    def drops():
        found = {("net", reason): count for reason, count in net.control.net()["drops"].items()}
        for service in (net.service, net.other_service):
            found |= {(service, reason): count for reason, count in net.control.service(service)["drops"].items()}
        return found

    def grows(key, function):
        before = drops()
        function()
        wait.until(lambda: drops()[key] > before[key], f"{key} grows")
        grown = {each: count - before[each] for each, count in drops().items() if count != before[each]}
        check.equal(grown, {key: 1}, "counters that grew")

    net.control.empty()
    limit = net.control.net()["max-connections"]
    send = inject.Injector(net.client)
    net.control.serve(net.service)
    net.control.serve(net.other_service, net.processes[0])
    grows((net.service, "no-process"), lambda: refused(net.client, net.service))
    grows(("net", "outside"), lambda: send.segment(endpoint(net.client_address, 47000), net.processes[0], SYN))
    net.control.process_add(net.service, net.processes[0])
    source = endpoint(net.client_address, 47001)
    with Client(net.client, net.other_service, source=source) as client:
        client.who()
        # To the process both connections would look alike.
        grows((net.service, "conflict"), lambda: refused(net.client, net.service, source=source))
        check.equal(client.who(), (net.processes[0], source), "the other service's connection")
        ((_, process),) = net.control.processes(net.service).items()
        grown = {reason: count for reason, count in process["drops"].items() if count}
        check.equal(grown, {"conflict": 1}, "drop counters of the process that the client already has")
        net.control.limit(1)
        try:
            grows((net.service, "connection-limit"), lambda: refused(net.client, net.service))
        finally:
            net.control.limit(limit)


@test
def counters_start_at_zero_with_their_object(net):
    net.control.serve(net.service, net.processes[0])
    who(net.client, net.service)
    check.true(net.control.service(net.service)["stats"]["packets-in"] > 0, "nothing was counted")
    net.control.service_del(net.service)
    net.control.serve(net.service, net.processes[0])
    # Packets of the former service's connections are not the new one's.
    zero = dict.fromkeys(("connections", *_FIELDS), 0)
    check.equal(net.control.service(net.service)["stats"], zero, "the new service's counters")
    check.equal(
        net.control.processes(net.service)[net.service, net.processes[0]]["stats"], zero, "its process's counters"
    )
