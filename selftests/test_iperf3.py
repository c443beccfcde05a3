# SPDX-License-Identifier: GPL-2.0
"""iperf3, with many streams at once. All those of a client go to one server: affinity sees to that.

    client                              server
    198.51.100.2, .3 eth0 ───────────── eth0 198.51.100.1
    iperf3                              192.0.2.1:5201       service
                                        10.77.0.1, .2:5201   two iperf3 -s
"""

import json
import re

from lib import check, topology, wait
from lib.ip import endpoint, split
from lib.program import Program
from lib.runner import test
from lib.serving import Serving
from lib.tool import Tool

_PORT = 5201
_STREAMS = 8
_BYTES = 4 << 20
# Slow enough that no stream has done it all before the last one begins.
_RATE = ["--bitrate", "2M"]


class Iperf3(Program):
    """A server."""

    def __init__(self, namespace, address):
        super().__init__(namespace, address)
        host, port = split(address)
        self.start("iperf3", "--server", "--bind", host, "--port", str(port), "--forceflush")

    def peers(self):
        """Whom it says its streams are with."""
        ends = re.findall(r"connected to (\S+) port (\d+)", self.log())
        return [endpoint(host, int(port)) for host, port in ends]


class Net(Serving):
    """Its client has two addresses."""

    @property
    def hosts(self):
        """The addresses of the client: each is a client of its own to the layer."""
        return [self.pair.client_address, self.pair.near(3)]


def setup(version):
    pair = topology.pair(version)
    pair.add_clients(pair.near(3))
    servers = [Iperf3(pair.server, pair.process(number, port=_PORT)) for number in (1, 2)]
    return Net(pair, servers, endpoint(pair.host, _PORT))


def _run(net, *arguments, streams=_STREAMS):
    """Has two clients transfer at once, and returns what each reports.

    Each has a server of its own, which knows the address of the client and sees all its streams.
    """
    net.serve(affinity_timeout=600)
    before = [len(server.peers()) for server in net.servers]
    host, port = split(net.service)
    to = ["iperf3", "--client", host, "--port", str(port), "--json", "--bytes", str(_BYTES), *_RATE, *arguments]
    tools = [Tool(net.pair.client, *to, "--bind", own) for own in net.hosts]
    reports = []
    for tool in tools:
        check.equal(tool.status(), 0, f"iperf3's exit status; it said {tool.stdout}{tool.stderr}")
        reports.append(json.loads(tool.stdout))
    wait.until(lambda: all(map(_is_free, net.servers)), "the servers wait for the next client")
    peers = [server.peers()[since:] for server, since in zip(net.servers, before)]
    hosts = [{split(each)[0] for each in some} for some in peers]
    check.true(hosts in ([{own} for own in net.hosts], [{own} for own in reversed(net.hosts)]), f"clients: {hosts}")
    check.equal([len(set(some)) for some in peers], [streams] * 2, "streams of each server")
    # One more connection says what is to be done.
    check.equal(set(net.pair.control.shares(net.service).values()), {streams + 1}, "connections of each process")
    return reports


def _is_free(server):
    """Whether it has said, at last, that it listens."""
    return server.log().rstrip().splitlines()[-2].startswith("Server listening")


def _transferred(report, sums, streams=_STREAMS):
    """All streams carried data, and together as much as was asked for."""
    check.true("error" not in report, f"iperf3 says {report.get('error')}")
    sent, received = (report["end"][f"sum_{end}{sums}"]["bytes"] for end in ("sent", "received"))
    # The one that counts ends it all; what is on its way then is in one number only.
    check.true(max(sent, received) >= _BYTES, f"{sent} bytes were sent and {received} received of {_BYTES}")
    check.true(received > 0, "nothing was received")
    each = [stream[end]["bytes"] for stream in report["end"]["streams"] for end in ("sender", "receiver")]
    check.equal(len(each), 2 * streams, "ends of streams in the report")
    check.true(min(each) > 0, f"bytes by end of stream: {each}")


@test
def eight_streams_of_two_clients_carry_data_to_their_servers(net):
    for report in _run(net, "--parallel", str(_STREAMS)):
        _transferred(report, "")


@test
def eight_streams_of_two_clients_carry_data_from_their_servers(net):
    for report in _run(net, "--parallel", str(_STREAMS), "--reverse"):
        _transferred(report, "")


@test
def streams_of_two_clients_carry_data_both_ways_at_once(net):
    for report in _run(net, "--parallel", "4", "--bidir", streams=8):
        for sums in ("", "_bidir_reverse"):
            _transferred(report, sums)
