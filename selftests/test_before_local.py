# SPDX-License-Identifier: GPL-2.0
"""Clients on the server where the layer's rule comes before the local table: `dispatchctl up --before-local`.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80      service
                                 10.77.0.1..3:80   three daemons
"""

import socket

from lib import capture, check, daemon, exchange, topology, wait
from lib.client import Attempt, Client
from lib.ip import endpoint, split
from lib.netfilter import rules, stateful, tracked
from lib.runner import test

_ACCEPT = "chain input { type filter hook input priority 0; ct state new accept; }"


def setup(version):
    net = topology.pair(version)
    net.rules = _rules(net)
    net.control.up("--before-local")
    daemon.start(*net.processes, namespace=net.server)
    with rules(net.server, version, _ACCEPT):
        pass  # the kernel has loaded what it needs for it: that takes its time
    return net


def _rules(net):
    return net.server.run("ip", net.version.option, "rule", "list")


@test
def a_client_on_the_server_is_served_and_no_process_address_is_seen_on_lo(net):
    net.control.serve(net.service, *net.processes)
    with capture.Capture(net.server, "lo") as wire:
        exchange.everything(net.server, net.service, net.processes)
        exchange.everything(net.server, net.service, net.processes, source=lambda: endpoint(net.server_address, 0))
    check.equal(wire.addresses(), {net.host, net.server_address}, "addresses on lo")


@test
def a_remote_client_is_served(net):
    net.control.serve(net.service, *net.processes)
    with capture.Capture(net.client, "eth0") as wire:
        exchange.everything(net.client, net.service, net.processes)
    check.equal(wire.addresses(), {net.client_address, net.host}, "addresses on the wire")


@test
def of_a_client_on_the_server_conntrack_sees_client_and_service_alone(net):
    net.control.serve(net.service, net.processes[0])
    with rules(net.server, net.version, _ACCEPT), Client(net.server, net.service) as client:
        client.who()
        seen = {(each.source, each.destination) for each in tracked(net.server)}
    mine = {pair for pair in seen if client.address in pair or net.processes[0] in pair}
    check.equal(mine, {(client.address, net.service)}, "connections that conntrack has of it")


@test
def a_client_on_the_server_is_served_under_a_stateful_firewall_that_does_not_spare_lo(net):
    net.control.serve(net.service, *net.processes)
    accepted = ["tcp dport 80 ct state new accept"]
    text = stateful(net.version, ("input", "output"), accepted, out=["ct state new accept"])
    with rules(net.server, net.version, text) as counted:
        exchange.everything(net.server, net.service, net.processes)
        check.equal(counted(), {"invalid": 0, "dropped": 0}, "packets dropped")


@test
def a_client_on_the_server_is_served_at_an_address_that_the_server_translates_to_the_service(net):
    net.control.serve(net.service, *net.processes)
    front = endpoint(net.server_address, 8080)
    nat = f"chain output {{ type nat hook output priority -100\ntcp dport 8080 dnat to {net.service}\n}}"
    with rules(net.server, net.version, nat):
        attempt = Attempt(net.server, front)
        check.equal(attempt.result(10 * wait.SCALE), "open", "what came of it")
        attempt.close()
        exchange.everything(net.server, front, net.processes)


@test
def a_client_on_the_server_may_still_use_a_process_address_itself(net):
    net.control.serve(net.service, *net.processes)
    before = net.control.drops("no-connection")
    exchange.everything(net.server, net.processes[1], net.processes[1:2])
    exchange.everything(net.server, net.processes[1], net.processes[1:2], source=lambda: endpoint(net.host, 0))
    check.equal(net.control.drops("no-connection"), before, "packets of no connection that were dropped")


@test
def what_is_not_TCP_reaches_this_computer_from_a_process_address(net):
    host, _ = split(net.processes[0])
    with net.server:
        sender, receiver = (socket.socket(net.version.family, socket.SOCK_DGRAM) for _ in range(2))
    with sender, receiver:
        receiver.settimeout(wait.DEADLINE)
        receiver.bind((net.host, 0))
        sender.bind((host, 0))
        sender.sendto(b"datagram", receiver.getsockname()[:2])
        data, source = receiver.recvfrom(99)
    check.equal((data, source[0]), (b"datagram", host), "what arrived, and from whom")


@test
def down_puts_the_rules_back(net):
    check.true(_rules(net) != net.rules, "the rules are those of before")
    net.control.tool("down", "--force")
    check.true("lookup local" in _rules(net).splitlines()[0] and _rules(net).startswith("0:"), "the first rule")
    net.control.up()
    check.equal(_rules(net), net.rules, "the rules without --before-local")
