# SPDX-License-Identifier: GPL-2.0
"""Netfilter beside the layer: it sees client and service, and nothing works worse for it.

    client                      router                             server
    198.51.100.2 eth0 ───────── eth0 198.51.100.1
                                203.0.113.2 eth1 ───────────────── eth0 203.0.113.1
                                                                   192.0.2.1:80      service
                                                                   10.77.0.1..3:80   daemons
"""

import dataclasses

from lib import capture, check, daemon, dispatch, exchange, namespace, topology, wait
from lib.client import Attempt, Client, refused
from lib.ip import IPV4, endpoint, host_of
from lib.netfilter import rules, stateful, tracked
from lib.runner import test

# It has conntrack work, and stops nothing.
_ACCEPT = "chain input { type filter hook input priority 0; ct state new accept; }"
_HOOKS = ("prerouting", "input", "forward", "output", "postrouting")


@dataclasses.dataclass
class _Net(topology.Pair):
    """A client and a server with a router between them."""

    router: namespace.Namespace

    @property
    def server_address(self):
        """The server's own address."""
        return self.far(1)


def setup(version):
    net = topology.ADDRESSES[version]
    client, router, server = (namespace.Namespace(name, version) for name in ("client", "router", "server"))
    near, far = (lambda number: f"{net.near(number)}/{net.near_length}"), (lambda n: f"{net.far(n)}/{net.near_length}")
    namespace.link(client, "eth0", near(2), router, "eth0", near(1))
    namespace.link(router, "eth1", far(2), server, "eth0", far(1))
    client.ip(f"route add default via {net.near(1)}")
    server.ip(f"route add default via {net.far(2)}")
    router.sysctl("net/ipv4/ip_forward" if version is IPV4 else "net/ipv6/conf/all/forwarding", 1)
    router.batch(*(f"route add {host} via {net.far(1)}" for host in (net.host, net.other_host)))
    server.batch(*(namespace.address(host, version.bits, "lo") for host in (net.host, net.other_host)))
    net = _Net(client, server, dispatch.Dispatch(server, version).up(), net, router)
    daemon.start(*net.processes, namespace=server)
    with rules(server, version, _ACCEPT + "\n" + _nat("postrouting", "srcnat", "masquerade")):
        pass  # the kernel has loaded what it needs for it: that takes its time
    return net


def _nat(hook, priority, rule):
    return f"chain {hook} {{ type nat hook {hook} priority {priority}\n{rule}\n}}"


@test
def conntrack_sees_client_and_service_alone_in_both_directions(net):
    net.control.serve(net.service, *net.processes)
    with rules(net.server, net.version, _ACCEPT):
        exchange.everything(net.client, net.service, net.processes)
        with Client(net.client, net.service) as client:
            client.who()
            (entry,) = [each for each in tracked(net.server) if each.source == client.address]
        check.equal((entry.state, entry.assured), ("ESTABLISHED", True), "what conntrack takes the connection for")
        check.equal(entry.destination, net.service, "the destination")
        check.equal((entry.answers_source, entry.answers_destination), (net.service, client.address), "answers")
        check.equal(
            set().union(*(each.hosts for each in tracked(net.server))), {net.client_address, net.host}, "all addresses"
        )


@test
def no_hook_of_netfilter_sees_a_process_address_of_a_remote_clients_connection(net):
    net.control.serve(net.service, *net.processes)
    ip, prefix = net.version.table, dispatch.RANGES[net.version]
    chains = ["counter process { }", "counter port { }", "counter service { }"]
    # Before everything, and behind everything.
    for hook in _HOOKS:
        for name, priority in (("first", -500), ("last", 500)):
            chains.append(f"""chain {hook}-{name} {{ type filter hook {hook} priority {priority}
                {ip} saddr {prefix} counter name process
                {ip} daddr {prefix} counter name process
                meta oifname "tcp_dispatch*" counter name port
                {ip} saddr {net.host} counter name service
                {ip} daddr {net.host} counter name service
            }}""")
    with rules(net.server, net.version, "\n".join(chains)) as counted:
        exchange.everything(net.client, net.service, net.processes)
        seen = counted()
    check.true(seen["service"] > 40, f"packets of the service: {seen}")
    check.equal((seen["process"], seen["port"]), (0, 0), "packets of processes, and by the port")


@test
def a_stateful_firewall_on_the_server_lets_the_service_through_and_nothing_else(net):
    net.control.serve(net.service, *net.processes)
    text = stateful(net.version, ("input", "output"), ["tcp dport 80 ct state new accept"])
    with rules(net.server, net.version, text) as counted:
        exchange.everything(net.client, net.service, net.processes)
        for process in net.processes:
            net.control.process_del(net.service, process)
        refused(net.client, net.service)
        check.equal(counted(), {"invalid": 0, "dropped": 0}, "packets dropped")
        other = Attempt(net.client, endpoint(net.host, 81))
        wait.until(lambda: counted()["dropped"], "a SYN to another port is dropped")
        other.close()


@test
def a_stateful_firewall_on_the_way_sees_both_directions(net):
    net.control.serve(net.service, *net.processes)
    text = stateful(net.version, ("forward",), [f"{net.version.table} daddr {net.host} ct state new accept"])
    with rules(net.router, net.version, text) as counted:
        exchange.everything(net.client, net.service, net.processes)
        check.equal(counted(), {"invalid": 0, "dropped": 0}, "packets dropped")


@test
def a_stateful_firewall_lets_the_ICMP_errors_of_connections_through(net):
    net.control.serve(net.service, *net.processes)
    text = stateful(net.version, ("input", "output"), ["tcp dport 80 ct state new accept"])
    with rules(net.server, net.version, text) as counted, Client(net.client, net.service) as client:
        client.who()
        net.router.ip("link set eth0 mtu 1300")
        try:
            check.equal(client.download(300_000), daemon.digest(1, 300_000), "SHA-256")
            known = net.server.run("ss", "-Htni", "dst", client.address)
            check.true("pmtu:1300" in known, f"the process's socket has not learnt the path MTU:\n{known}")
        finally:
            net.router.ip("link set eth0 mtu 1500")
            net.server.ip(f"{net.version.option} route flush cache")
        check.equal(counted(), {"invalid": 0, "dropped": 0}, "packets dropped")


@test
def a_firewall_that_comes_while_a_connection_is_open_does_not_cut_it(net):
    net.control.serve(net.service, *net.processes)
    with Client(net.client, net.service) as client:
        process = client.who()
        text = stateful(net.version, ("input", "output"), ["tcp dport 80 ct state new accept"])
        with rules(net.server, net.version, text):
            exchange.talk(client, net.processes)
            check.equal(client.who(), process, "who serves whom under the firewall")
        check.equal(client.who(), process, "who serves whom without it")


@test
def a_router_that_translates_the_service_address_is_served(net):
    net.control.serve(net.service, *net.processes)
    front = endpoint(net.near(1), 8080)
    text = _nat("prerouting", "dstnat", f"tcp dport 8080 dnat to {net.service}")
    with rules(net.router, net.version, text):
        exchange.everything(net.client, front, net.processes)


@test
def clients_behind_a_router_that_hides_them_are_served(net):
    net.control.serve(net.service, *net.processes)
    hosts = [net.near(number) for number in (20, 21, 22)]
    net.add_clients(*hosts)
    text = _nat("postrouting", "srcnat", 'oifname "eth1" masquerade')
    with rules(net.router, net.version, text):
        exchange.everything(net.client, net.service, net.processes, client=net.far(2))
        # One port at three addresses becomes three ports at one.
        clients = [Client(net.client, net.service, source=endpoint(host, 41000)) for host in hosts]
        seen = [client.who()[1] for client in clients]
        check.equal({host_of(one) for one in seen}, {net.far(2)}, "the clients' host as the daemons see it")
        check.equal(len(set(seen)), len(hosts), f"clients that are told apart, of {seen}")
        for client in clients:
            client.close()
    net.client.batch(*(f"addr del {host}/{net.near_length} dev eth0" for host in hosts))


@test
def the_server_itself_may_translate_another_address_to_the_service(net):
    net.control.serve(net.service, *net.processes)
    front = endpoint(net.server_address, 8080)
    text = _nat("prerouting", "dstnat", f"tcp dport 8080 dnat to {net.service}")
    with rules(net.server, net.version, text):
        exchange.everything(net.client, front, net.processes)
        with Client(net.client, front) as client:
            client.who()
            (entry,) = [each for each in tracked(net.server) if each.source == client.address]
        check.equal((entry.destination, entry.answers_source), (front, net.service), "destination, and who answers")


@test
def the_server_itself_may_translate_an_address_to_a_service_at_another(net):
    net.control.serve(net.other_service, *net.processes)
    rule = f"{net.version.table} daddr {net.host} tcp dport 80 dnat to {net.other_service}"
    text = _nat("prerouting", "dstnat", rule)
    with rules(net.server, net.version, text):
        exchange.everything(net.client, net.service, net.processes)


@test
def masquerading_on_the_server_leaves_the_answers_alone(net):
    net.control.serve(net.service, *net.processes)
    text = _nat("postrouting", "srcnat", 'oifname "eth0" masquerade')
    with rules(net.server, net.version, text), capture.Capture(net.client, "eth0") as wire:
        exchange.everything(net.client, net.service, net.processes)
    check.equal(wire.addresses(), {net.client_address, net.host}, "addresses on the wire")


@test
def a_client_on_the_server_is_served_beside_conntrack_and_a_firewall_that_spares_lo(net):
    net.control.serve(net.service, *net.processes)
    with rules(net.server, net.version, _ACCEPT):
        exchange.everything(net.server, net.service, net.processes)
    text = stateful(net.version, ("input", "output"), ["tcp dport 80 ct state new accept"], lo=True)
    with rules(net.server, net.version, text) as counted:
        exchange.everything(net.server, net.service, net.processes)
        exchange.everything(net.client, net.service, net.processes)
        check.equal(counted(), {"invalid": 0, "dropped": 0}, "packets dropped")


@test
def of_a_client_on_the_server_conntrack_sees_the_answers_bear_the_process_address(net):
    """What netfilter sees on lo is before the layer, in both directions."""
    net.control.serve(net.service, net.processes[0])
    with rules(net.server, net.version, _ACCEPT), Client(net.server, net.service) as client:
        client.who()
        seen = {(each.source, each.destination) for each in tracked(net.server)}
    mine = {pair for pair in seen if client.address in pair}
    want = {(client.address, net.service), (net.processes[0], client.address)}
    check.equal(mine, want, "connections that conntrack has of it")
