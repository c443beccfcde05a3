# SPDX-License-Identifier: GPL-2.0
"""Redis, and its own tools.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
    redis-benchmark, redis-cli   192.0.2.1:6379      service
                                 10.77.0.1..3:6379   three redis-server
"""

import re

from lib import check, topology, wait
from lib.ip import endpoint, split
from lib.program import Program
from lib.runner import test
from lib.serving import Serving
from lib.tool import Tool

_PORT = 6379


class Redis(Program):
    """A server that keeps nothing on disk."""

    def __init__(self, namespace, address):
        super().__init__(namespace, address)
        host, port = split(address)
        memory_only = ["--save", "", "--appendonly", "no", "--dir", self.directory]
        # Another host may come without a password.
        self.start("redis-server", "--bind", host, "--port", str(port), "--protected-mode", "no", *memory_only)

    def ask(self, *command):
        """What it answers to a command, asked at its own address."""
        return _cli(self.namespace, self.address, *command)

    def info(self, name):
        """A number of its statistics."""
        return int(re.search(rf"(?m)^{name}:(\d+)", self.ask("info")).group(1))

    def clients(self):
        """Its clients' addresses, but for who asks for them."""
        lines = [dict(word.split("=", 1) for word in line.split()) for line in self.ask("client", "list").splitlines()]
        check.equal({line["laddr"] for line in lines if line}, {self.address}, "its own address as it knows it")
        return {line["addr"] for line in lines if line and "client|list" not in line["cmd"]}


def setup(version):
    pair = topology.pair(version)
    servers = [Redis(pair.server, pair.process(number, port=_PORT)) for number in (1, 2, 3)]
    return Serving(pair, servers, endpoint(pair.host, _PORT))


def _at(address):
    host, port = split(address)
    return "-h", host, "-p", str(port)


def _cli(namespace, address, *command):
    return namespace.run("redis-cli", "-e", *_at(address), *command)


def _benchmark(net, *arguments):
    """Runs redis-benchmark at the service; returns the commands that each server did, by its own statistics."""
    for server in net.servers:
        server.ask("config", "resetstat")
    said = net.pair.client.run("redis-benchmark", *_at(net.service), "--csv", *arguments)
    check.true("rror" not in said, f"redis-benchmark said:\n{said}")
    return said, [server.info("total_commands_processed") for server in net.servers]


def _shared_evenly(net):
    """Whether the connections of the service are the same number at each, but for the last round."""
    shares = list(net.pair.control.shares(net.service).values())
    check.true(max(shares) - min(shares) <= 1 <= min(shares), f"connections by process: {shares}")
    return sum(shares)


@test
def redis_benchmark_has_all_its_requests_answered_by_three_servers(net):
    net.serve()
    said, commands = _benchmark(net, "-n", "2000", "-c", "21", "-t", "set,get")
    tests = [line.split(",")[0].strip('"') for line in said.splitlines()[1:]]
    check.equal(tests, ["SET", "GET"], "tests that it has results of")
    # Whichever connection is free sends the next: of each it is known only that it sends one a test.
    check.true(sum(commands) >= 4000 and min(commands) >= 2 * 7, f"commands by server: {commands}")
    check.true(_shared_evenly(net) >= 2 * 21, "connections")


@test
def redis_benchmark_with_pipelines_and_large_values_has_all_answered(net):
    net.serve()
    _, commands = _benchmark(net, "-n", "2000", "-c", "6", "-P", "50", "-t", "set,get")
    check.true(sum(commands) >= 4000 and min(commands) >= 2 * 2 * 50, f"commands by server: {commands}")
    _, commands = _benchmark(net, "-n", "60", "-c", "6", "-d", "200000", "-t", "set,get")
    check.true(sum(commands) >= 120 and min(commands) >= 2 * 2, f"commands by server: {commands}")


@test
def redis_benchmark_with_a_connection_a_request_has_all_answered(net):
    net.serve()
    _, commands = _benchmark(net, "-n", "300", "-c", "6", "-k", "0", "-t", "ping_mbulk")
    check.true(sum(commands) >= 300 and min(commands) >= 50, f"commands by server: {commands}")
    check.true(_shared_evenly(net) >= 300, "connections")


@test
def each_server_lists_its_clients_by_their_own_addresses(net):
    net.serve()
    idle = Tool(net.pair.client, "redis-benchmark", *_at(net.service), "-I", "-c", "12")
    control = net.pair.control

    def assigned(server):
        return {each["client-address"] for each in control.connections(net.service, server.address)}

    wait.until(lambda: [len(server.clients()) for server in net.servers] == [4, 4, 4], "each has 4 clients")
    for server in net.servers:
        listed = server.clients()
        own = {host for host, _ in map(split, listed)}
        check.equal(own, {net.pair.client_address}, f"clients of {server.address}")
        check.true(listed <= assigned(server), f"{listed} are clients, {assigned(server)} are assigned")
    idle.signal(9)
    wait.until(lambda: not any(server.clients() for server in net.servers), "no server has a client any more")
    control.empty(net.service)


@test
def what_a_client_sets_with_affinity_it_finds_again(net):
    """The servers know nothing of each other: only the same one has the key."""
    net.serve(affinity_timeout=600)
    for number in range(4):
        check.equal(_cli(net.pair.client, net.service, "set", f"key{number}", str(number)).strip(), "OK", "answer")
        check.equal(_cli(net.pair.client, net.service, "get", f"key{number}").strip(), str(number), "what it finds")
    have = [server for server in net.servers if server.ask("exists", "key0", "key3").strip() == "2"]
    check.equal(len(have), 1, "servers that have the keys")
