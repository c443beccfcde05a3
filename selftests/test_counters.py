# SPDX-License-Identifier: GPL-2.0
"""Counters say what the wire says.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80, 192.0.2.2:80   services
                                 10.77.0.1..3:80              three daemons
"""

from lib import capture, check, daemon, inject, topology, wait
from lib.client import Client, refused, who
from lib.packet import SYN
from lib.runner import test
from lib.topology import CLIENT, PROCESSES, SERVICE

_OTHER = f"{topology.OTHER_HOST}:80"
_FIELDS = ("packets-in", "bytes-in", "packets-out", "bytes-out")


def setup():
    net = topology.pair()
    # What is sent is what arrives, one packet for one.
    for side in (net.client, net.server):
        side.run("ethtool", "-K", "eth0", *"tso off gso off gro off".split())
    daemon.start(*PROCESSES, namespace=net.server)
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
    net.control.serve(SERVICE, *PROCESSES)
    with capture.Capture(net.client, "eth0") as wire:
        for number in range(7):
            with Client(net.client, SERVICE) as client:
                client.who()
                # No more than a segment at once: a larger one would be cut up below the layer.
                client.download(200 * number)
                client.upload(200 * number)
        net.control.empty(SERVICE)
        wait.until(lambda: _on_wire(wire.segments()) == _sum([net.control.service(SERVICE)]), _Difference(net, wire))
        check.equal(_sum(net.control.processes(SERVICE).values()), _on_wire(wire.segments()), "the processes' sum")
    counted = [each["stats"]["connections"] for each in net.control.processes(SERVICE).values()]
    check.equal(sorted(counted), [2, 2, 3], "connections of the processes")
    check.equal(net.control.service(SERVICE)["stats"]["connections"], 7, "connections of the service")


class _Difference:
    """Formats the two counts when they are wanted."""

    def __init__(self, net, wire):
        self._net, self._wire = net, wire

    def __str__(self):
        counted, seen = _sum([self._net.control.service(SERVICE)]), _on_wire(self._wire.segments())
        return f"the service counted {counted}, the wire had {seen}"


@test
def a_local_clients_packets_are_counted_too(net):
    net.control.serve(SERVICE, PROCESSES[0])
    with capture.Capture(net.server, "lo") as wire:
        with Client(net.server, SERVICE) as client:
            client.who()
            port = client.address.rsplit(":", 1)[1]
        net.control.empty(SERVICE)
        # Loopback shows each packet twice: as it leaves and as it comes.
        mine = [seen for seen in wire.segments() if f":{port}" in f"{seen.source} {seen.destination}" and not seen.outgoing]
    to_service = [seen.length for seen in mine if seen.destination == SERVICE]
    to_client = [seen.length for seen in mine if seen.destination == client.address]
    got = _sum([net.control.service(SERVICE)])
    want = dict(zip(_FIELDS, (len(to_service), sum(to_service), len(to_client), sum(to_client))))
    check.equal(got, want, "what the service counted")


@test
def tables_count_the_connections_that_are_open(net):
    net.control.serve(SERVICE, *PROCESSES)
    net.control.serve(_OTHER, PROCESSES[0])
    net.control.empty()
    clients = [Client(net.client, SERVICE) for _ in range(4)] + [Client(net.client, _OTHER)]
    for client in clients:
        client.who()
    check.equal(net.control.net()["connections"], 5, "connections of the namespace")
    check.equal(net.control.net()["services"], 2, "services of the namespace")
    check.equal(net.control.service(SERVICE)["connections"], 4, "connections of the service")
    check.equal(net.control.service(SERVICE)["processes"], 3, "processes of the service")
    held = [each["connections"] for each in net.control.processes(SERVICE).values()]
    check.equal(sorted(held), [1, 1, 2], "connections of the service's processes")
    for client in clients:
        client.close()
    net.control.empty()
    check.equal(net.control.service(SERVICE)["connections"], 0, "connections of the service afterwards")
    check.equal(net.control.service(SERVICE)["stats"]["connections"], 4, "connections that it ever had")


@test
def counters_grow_only_by_their_own_reason(net):
    def drops():
        found = {("net", reason): count for reason, count in net.control.net()["drops"].items()}
        for service in (SERVICE, _OTHER):
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
    net.control.serve(SERVICE)
    net.control.serve(_OTHER, PROCESSES[0])
    grows((SERVICE, "no-process"), lambda: refused(net.client, SERVICE))
    grows(("net", "outside"), lambda: send.segment(f"{CLIENT}:47000", PROCESSES[0], SYN))
    net.control.process_add(SERVICE, PROCESSES[0])
    source = f"{CLIENT}:47001"
    with Client(net.client, _OTHER, source=source) as client:
        client.who()
        # To the process both connections would look alike.
        grows((SERVICE, "conflict"), lambda: refused(net.client, SERVICE, source=source))
        check.equal(client.who(), (PROCESSES[0], source), "the other service's connection")
        ((_, process),) = net.control.processes(SERVICE).items()
        grown = {reason: count for reason, count in process["drops"].items() if count}
        check.equal(grown, {"conflict": 1}, "drop counters of the process that the client already has")
        net.control.limit(1)
        try:
            grows((SERVICE, "connection-limit"), lambda: refused(net.client, SERVICE))
        finally:
            net.control.limit(limit)


@test
def counters_start_at_zero_with_their_object(net):
    net.control.serve(SERVICE, PROCESSES[0])
    who(net.client, SERVICE)
    check.true(net.control.service(SERVICE)["stats"]["packets-in"] > 0, "nothing was counted")
    net.control.service_del(SERVICE)
    net.control.serve(SERVICE, PROCESSES[0])
    # Packets of the former service's connections are not the new one's.
    zero = dict.fromkeys(("connections", *_FIELDS), 0)
    check.equal(net.control.service(SERVICE)["stats"], zero, "the new service's counters")
    check.equal(net.control.processes(SERVICE)[SERVICE, PROCESSES[0]]["stats"], zero, "its process's counters")
