# SPDX-License-Identifier: GPL-2.0
"""OpenSSH: commands, keys exchanged anew, and ports forwarded.

    client                              server
    198.51.100.2 eth0 ───────────────── eth0 198.51.100.1
    ssh                                 192.0.2.1:22       service
    198.51.100.2:8000 a daemon for -R   10.77.0.1, .2:22   two sshd, with one host key
                                        198.51.100.1:8000  a daemon for -L
"""

import dataclasses
import os

from lib import check, command, daemon, exchange, program, topology, wait
from lib.client import Client
from lib.ip import IPV4, endpoint, host_of, split
from lib.program import Program
from lib.runner import test
from lib.serving import Serving
from lib.tool import Tool

_PORT = 22
_LIMIT = "256K"
_CONFIGURATION = """\
ListenAddress {address}
HostKey {keys}/host
AuthorizedKeysFile {keys}/user.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
LogLevel VERBOSE
RekeyLimit {limit}
"""


class Sshd(Program):
    """A server; it exchanges keys anew after so many bytes."""

    def __init__(self, namespace, address, keys, limit):
        super().__init__(namespace, address)
        os.makedirs("/run/sshd", exist_ok=True)
        text = _CONFIGURATION.format(address=address, keys=keys, limit=limit)
        self.start("/usr/sbin/sshd", "-D", "-e", "-f", self.file("sshd_config", text))


@dataclasses.dataclass
class Net(Serving):
    keys: str

    def ssh(self, *arguments):
        """The arguments of ssh, with the service behind them."""
        host, port = split(self.service)
        own = {"UserKnownHostsFile": f"{self.keys}/known", "HostKeyAlias": "service", "StrictHostKeyChecking": "yes"}
        options = [word for name, value in own.items() for word in ("-o", f"{name}={value}")]
        identity = ["-i", f"{self.keys}/user", "-o", "BatchMode=yes"]
        return ["ssh", "-F", "none", *options, *identity, *arguments, "-p", str(port), f"root@{host}"]


def setup(version):
    pair = topology.pair(version)
    keys = program.make_directory("keys")
    for name in ("host", "user"):
        command.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{keys}/{name}")
    with open(f"{keys}/host.pub", encoding="ascii") as public, open(f"{keys}/known", "w", encoding="ascii") as known:
        known.write(f"service {public.read()}")
    # The first leaves it to the client when keys are exchanged anew.
    limits = ["default none", f"{_LIMIT} none"]
    addresses = [pair.process(number, port=_PORT) for number in (1, 2)]
    servers = [Sshd(pair.server, address, keys, limit) for address, limit in zip(addresses, limits)]
    daemon.start(_behind(pair.server_address), namespace=pair.server)
    daemon.start(_behind(pair.client_address), namespace=pair.client)
    return Net(pair, servers, endpoint(pair.host, _PORT), keys)


def _behind(host):
    """Where the daemons listen that ports are forwarded to."""
    return endpoint(host, 8000)


@test
def each_sshd_knows_the_clients_own_address_and_port_and_logs_them(net):
    net.serve()
    for server in net.servers:
        said = net.pair.client.run(*net.ssh(), "echo $SSH_CONNECTION")
        host, port, own, own_port = said.split()
        check.equal(host, net.pair.client_address, "the client's address")
        check.equal(endpoint(own, own_port), server.address, "the server's address as it knows it")
        logged = f"Accepted publickey for root from {host} port {port} ssh2"
        wait.until(lambda: logged in server.log(), f"`{logged}` in the log of {server.address}")
    check.equal(set(net.pair.control.shares(net.service).values()), {1}, "connections of each process")


def _passes_whole(net, server, *options):
    """Sends megabytes there and back through a server, while keys are exchanged anew."""
    net.pair.control.serve(net.service, server.address)
    text = "".join(part.hex() for part in daemon.stream(5, 1 << 19))
    said = net.pair.client.result(*net.ssh("-v", *options), "cat", stdin=text)
    check.equal(said.returncode, 0, f"ssh's exit status; it said {said.stderr}")
    check.true(said.stdout == text, f"{len(text)} bytes went there, {len(said.stdout)} other ones came back")
    # Once in the beginning, and then again and again.
    exchanges = said.stderr.count("SSH2_MSG_NEWKEYS received")
    check.true(exchanges >= 4, f"{exchanges} exchanges of keys with {len(text)} bytes, where {_LIMIT} are the limit")


@test
def data_passes_whole_both_ways_while_the_client_has_keys_exchanged_anew(net):
    _passes_whole(net, net.servers[0], "-o", f"RekeyLimit={_LIMIT}")


@test
def data_passes_whole_both_ways_while_the_server_has_keys_exchanged_anew(net):
    _passes_whole(net, net.servers[1])


@test
def ports_forwarded_from_either_end_carry_data_both_ways(net):
    net.serve()
    pair = net.pair
    loopback = "127.0.0.1" if pair.version is IPV4 else "::1"
    here, there = endpoint(loopback, 8001), endpoint(loopback, 8002)
    forwards = ["-L", f"{here}:{_behind(pair.server_address)}", "-R", f"{there}:{_behind(pair.client_address)}"]
    options = ["-o", "ExitOnForwardFailure=yes", "-o", f"RekeyLimit={_LIMIT}"]
    tool = Tool(pair.client, *net.ssh("-N", *forwards, *options))
    ends = [(pair.client, here, pair.server_address), (pair.server, there, pair.client_address)]
    for namespace, port, _ in ends:
        _listens(namespace, port, tool)
    # Both channels are open at once.
    clients = [Client(namespace, port) for namespace, port, _ in ends]
    for client, (_, _, far) in zip(clients, ends):
        exchange.talk(client, [_behind(far)], far)
    for client in clients:
        client.close()
    # Those of the tests before may be in TIME_WAIT.
    (served,) = pair.control.connections(net.service, state="established")
    check.true(served["process-address"] in [each.address for each in net.servers], f"who serves it: {served}")
    check.equal(host_of(served["client-address"]), pair.client_address, "whose connection it is")
    tool.signal(15)
    wait.until(tool.has_ended, "ssh ends")
    wait.until(lambda: not pair.server.run("ss", "-Hltn", "src", there), "the server forwards no port any more")


def _listens(namespace, port, tool):
    def does():
        check.true(not tool.has_ended(), f"ssh ended: {tool.stderr}")
        return namespace.run("ss", "-Hltn", "src", port)

    wait.until(does, f"ssh or sshd listens on {port}")
