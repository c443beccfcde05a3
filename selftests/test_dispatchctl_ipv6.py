# SPDX-License-Identifier: GPL-2.0
"""`dispatchctl` over IPv6: what it sets up, shows and starts.

    client                           server                                      bare
    2001:db8:1::2    eth0 ────────── eth0 2001:db8:1::1                          nothing is set up
                                     [2001:db8::1]:80   service
                                     [fd77::1..3]:80    three daemons
                                     fd77::/64          what dispatchctl runs
"""

import dataclasses
import json

from lib import check, daemon, dispatch, foreground, namespace, topology, wait
from lib.client import Client, who
from lib.ip import BOTH, IPV6, endpoint, host_of
from lib.runner import test
from lib.tool import Tool

_RANGES = dispatch.RANGES
_NONLOCAL_BIND = "net/ipv6/ip_nonlocal_bind"


@dataclasses.dataclass
class Net(topology.Pair):
    bare: namespace.Namespace


def setup():
    net = topology.pair(IPV6)
    daemon.start(*net.processes, namespace=net.server)
    return Net(**vars(net), bare=namespace.Namespace("bare", *BOTH))


def _sysctl(where, path):
    with where, open(f"/proc/sys/{path}", encoding="ascii") as file:
        return int(file.read())


def _plumbing(where):
    """The links, rules and local routes of a namespace."""
    return [where.ip(what) for what in ("-br link", "-6 rule", "-6 route show table local", "-4 rule")]


@test
def up_twice_is_up_and_down_twice_is_down(net):
    bare = dispatch.Dispatch(net.bare, IPV6)
    net.bare.sysctl(_NONLOCAL_BIND, 0)
    before = _plumbing(net.bare)
    bare.up()
    state = _plumbing(net.bare)
    check.equal(_sysctl(net.bare, _NONLOCAL_BIND), 1, "whether process addresses can be bound")
    check.equal((bare.net()["process-prefix-ipv6"], bare.net()["process-prefix-ipv6-len"]), ("fd77::", 64), "the range")
    check.true("process-prefix" not in bare.net(), "there is a range of IPv4 that nobody asked for")
    bare.up()
    check.equal(_plumbing(net.bare), state, "set-up, twice")
    bare.tool("down")
    bare.tool("down")
    check.equal(_plumbing(net.bare), before, "links, rules and routes after `down`")
    check.true("process-prefix-ipv6" not in bare.net(), "a range after `down`")
    check.equal(_sysctl(net.bare, _NONLOCAL_BIND), 1, "the sysctl, which others may need by then")


@test
def up_adds_a_range_of_one_version_to_that_of_the_other_and_down_removes_both(net):
    prefixes = ("process-prefix", "process-prefix-ipv6")
    for order in (BOTH, BOTH[::-1]):
        bare = dispatch.Dispatch(net.bare, *BOTH)
        before = _plumbing(net.bare)
        for version in order:
            bare.tool("up", "--range", _RANGES[version])
        check.equal([bare.net()[each] for each in prefixes], ["10.77.0.0", "fd77::"], "the ranges")
        for version in BOTH:
            rules = net.bare.ip(f"{version.option} rule")
            check.true(f"from {_RANGES[version]}" in rules, f"no rule for the range of {version}:\n{rules}")
        state = _plumbing(net.bare)
        bare.up()  # with both at once
        check.equal(_plumbing(net.bare), state, "set-up by both at once")
        bare.tool("down")
        check.equal(_plumbing(net.bare), before, "links, rules and routes after `down`")


@test
def status_says_what_is_wrong_with_the_set_up(net):
    bare = dispatch.Dispatch(net.bare, IPV6).up()
    whole = bare.tool("status")
    check.true(_RANGES[IPV6] in whole, f"status without the range:\n{whole}")
    for breakage in ("-6 rule del from fd77::/64 table 77", "-6 route del local fd77::/64 table local"):
        net.bare.ip(breakage)
        broken = bare.tool("status")
        check.true(broken != whole, f"status does not notice `ip {breakage}`:\n{broken}")
        bare.up()
        check.equal(bare.tool("status"), whole, "status after `up` again")
    bare.tool("down")


@test
def it_adds_shows_and_deletes_services_processes_and_connections(net):
    tool = net.control.tool
    shown = lambda *arguments: json.loads(tool(*arguments, "--json"))
    tool("service", "add", net.service)
    for process in net.processes:
        tool("process", "add", net.service, process)
    with Client(net.client, net.service) as client:
        check.true(client.who()[0] in net.processes, "no process of the service answered")
        for what, words in (("service", [net.service]), ("process", net.processes), ("connection", [client.address])):
            table = tool(what, "list")
            check.true(all(word in table for word in words), f"not all of {words} are in the table:\n{table}")
        network = f"{net.near(0)}/{net.near_length}"
        (connection,) = shown("connection", "list", "--client", network)
        check.equal(connection["client-address"], client.address, f"the connection of a client of {network}")
        check.equal(shown("connection", "list", "--client", "198.51.100.0/24"), [], "connections over IPv4")
    tool("service", "set", net.service, "--affinity", "300/64")
    check.equal(net.control.service(net.service)["affinity-prefix-len"], 64, "the length of a client's prefix")
    tool("process", "del", net.service, net.processes[0])
    check.equal(len(net.control.processes()), 2, "processes after a deletion")
    tool("service", "del", net.service)
    check.equal(net.control.services(), {}, "services after the deletion")


@test
def a_process_of_the_other_version_is_refused_with_a_word_what_to_do(net):
    net.control.service_add(net.service)
    outcome = net.server.result("dispatchctl", "process", "add", net.service, "10.77.0.1:80")
    check.equal(outcome.returncode, 1, "the exit status")
    for word in ("10.77.0.1:80", net.service, "EAFNOSUPPORT"):
        check.true(word in outcome.stderr, f"`{word}` is not in the explanation: {outcome.stderr}")


@test
def run_takes_a_free_address_of_the_range_for_a_daemon_that_serves(net):
    net.control.service_add(net.service)
    command, environment = foreground.argv("{address}", "{port}")
    tools = [Tool(net.server, "dispatchctl", "run", net.service, "--", *command, **environment) for _ in range(2)]
    active = lambda: [each["state"] for each in net.control.processes(net.service).values()] == ["active"] * 2
    wait.until(active, "two daemons are registered and active")
    for tool in tools:
        wait.until(lambda: "serves" in tool.stderr, "dispatchctl says that the daemon serves")
    told = {endpoint(*tool.stdout.split()[1:3]) for tool in tools}
    check.equal({process for _, process in net.control.processes(net.service)}, told, "registrations, as they were told")
    check.true(all(net.is_process_host(host_of(process)) for process in told), f"{told} are not of the range")
    check.equal({who(net.client, net.service)[0] for _ in range(4)}, told, "who serves")
