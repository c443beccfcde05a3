# SPDX-License-Identifier: GPL-2.0
"""Tracepoints: a connection is assigned, and its entry has ended.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80      service
                                 10.77.0.1..2:80   two daemons
"""

import contextlib
import re

from lib import check, daemon, topology, tracing, wait
from lib.client import Client, refused
from lib.ip import endpoint
from lib.runner import test

_LINE = re.compile(r"(tcp_dispatch_\w+): client=(\S+) service=(\S+) process=(\S+)")


def setup(version):
    tracing.need()
    net = topology.pair(version)
    daemon.start(*net.processes[:2], namespace=net.server)
    return net


@contextlib.contextmanager
def _traced(*events):
    with tracing.traced(*(f"tcp_dispatch/{event}" for event in events)) as trace:
        yield lambda: _LINE.findall(trace())


@test
def each_assignment_and_each_expiry_passes_a_tracepoint_with_client_service_and_process(net):
    net.control.empty()
    net.control.serve(net.service, *net.processes[:2])
    with _traced("tcp_dispatch_assign", "tcp_dispatch_expire") as seen:
        connections = []
        for namespace in (net.client, net.server, net.client):
            with Client(namespace, net.service) as client:
                process, _ = client.who()
                connections.append((client.address, net.service, process))
                assigned = [each for event, *each in seen() if event == "tcp_dispatch_assign"]
                check.equal(assigned, [list(each) for each in connections], "assignments")
        wait.until(lambda: len(seen()) >= 6, "all three expire")
        expired = sorted(tuple(each) for event, *each in seen() if event == "tcp_dispatch_expire")
        check.equal(expired, sorted(connections), "expiries")


@test
def an_open_connection_does_not_expire_and_a_refused_one_is_not_assigned(net):
    net.control.empty()
    net.control.service_add(net.service)
    with _traced("tcp_dispatch_assign", "tcp_dispatch_expire") as seen:
        refused(net.client, net.service)
        net.control.process_add(net.service, net.processes[0])
        with Client(net.client, net.service, source=endpoint(net.client_address, 54000)) as client:
            client.who()
            wait.throughout(lambda: len(seen()) == 1, "one assignment and no expiry", 7)
        event, address, _, process = seen()[0]
        check.equal(
            (event, address, process),
            ("tcp_dispatch_assign", endpoint(net.client_address, 54000), net.processes[0]),
            "what is traced",
        )


@test
def a_tracepoint_that_is_not_enabled_traces_nothing(net):
    net.control.serve(net.service, net.processes[0])
    with _traced("tcp_dispatch_assign") as seen:
        with Client(net.client, net.service) as client:
            client.who()
        net.control.empty()
        check.equal([event for event, *_ in seen()], ["tcp_dispatch_assign"], "what is traced")


@test
def each_entry_that_is_assigned_expires_once_also_if_its_port_is_used_again(net):
    net.control.empty()
    first, second = net.process(4), net.process(5)
    listeners = [daemon.listen(each, net.server) for each in (first, second)]
    net.control.serve(net.service, first, second)
    with _traced("tcp_dispatch_assign", "tcp_dispatch_expire") as seen:
        for number in range(4):
            client = Client(net.client, net.service, source=endpoint(net.client_address, 54001))
            accepted, _ = listeners[number % 2].accept()
            client.reset()
            accepted.close()
        net.control.empty()
        for event in ("tcp_dispatch_assign", "tcp_dispatch_expire"):
            processes = lambda: sorted(each[3] for each in seen() if each[0] == event)
            wait.until(lambda: processes() == [first, first, second, second], f"four of {event}")
