# SPDX-License-Identifier: GPL-2.0
"""nginx, replaced by the next nginx behind one address while clients fetch, some by connections that they keep.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
    6 HTTP clients               192.0.2.1:80         service
                                 10.77.1.1..21:80     nginx, one after another
                                 198.51.100.1:8080    two nginx with SO_REUSEPORT
"""

from lib import check, http_load, topology, wait, webserver
from lib.runner import test
from lib.tool import Tool
from lib.topology import SERVER, SERVICE

_TIMES = 20
# So many does each nginx answer before it is replaced.
_REQUESTS = 8
_SHARED = f"{SERVER}:8080"


def setup():
    return topology.pair()


def _nginx(net, address, **options):
    # After 10 requests it announces the end of a connection, and the client makes the next.
    return webserver.Nginx(net.server, address, graceful=True, keepalive_requests=10, **options)


def _answers(nginx):
    """Waits until it has answered its share."""
    wait.until(lambda: nginx.requests() >= _REQUESTS, f"nginx at {nginx.address} answers {_REQUESTS} requests")


class Resets:
    """How many resets the server's TCP sends and the client's gets while the `with` lasts."""

    def __init__(self, net):
        self._net = net

    def __enter__(self):
        self._sent, self._got = self._now()
        return self

    def __exit__(self, *_):
        sent, got = self._now()
        self.sent, self.got = sent - self._sent, got - self._got

    def _now(self):
        return _tcp_counters(self._net.server)["OutRsts"], _tcp_counters(self._net.client)["EstabResets"]

    def __str__(self):
        return f"{self.sent} resets sent, {self.got} open connections reset"


def _tcp_counters(namespace):
    with namespace, open("/proc/thread-self/net/snmp", encoding="ascii") as file:
        names, values = (line.split()[1:] for line in file if line.startswith("Tcp:"))
    return dict(zip(names, map(int, values), strict=True))


@test(deadline=300)
def twenty_replacements_under_load_lose_no_request_and_reset_no_connection(net):
    old = _nginx(net, "10.77.1.1:80")
    net.control.serve(SERVICE, old.address)
    draining = []
    with Resets(net) as resets, http_load.HttpLoad(net.client, SERVICE) as load:
        _answers(old)
        for number in range(_TIMES):
            new = _nginx(net, f"10.77.1.{number + 2}:80")
            tool = Tool(net.server, "dispatchctl", "replace", SERVICE, old.address, new.address, "--wait")
            draining.append((tool, old))
            _answers(new)
            draining = [each for each in draining if not _is_stopped(*each)]
            old = new
        wait.until(lambda: all(_is_stopped(*each) for each in draining), "the old ones are drained", wait.DEADLINE * 2)
    states = [each["state"] for each in net.control.processes(SERVICE).values()]
    check.equal(states, ["down"] * _TIMES + ["active"], "the states of the processes at the end")
    summary = f"dispatch layer, {_TIMES} replacements: {load.summary()}, {resets}"
    check.true(load.answers["kept"] >= _TIMES and load.answers["short"] >= _TIMES, f"there was no load: {summary}")
    lost = (load.losses.total(), load.unannounced, resets.sent, resets.got)
    check.equal(lost, (0, 0, 0, 0), f"what was lost; {summary}")
    return summary


def _is_stopped(tool, nginx):
    """Stops an nginx that is drained."""
    if not tool.has_ended():
        return False
    check.equal(tool.status(), 0, f"the exit status of a replacement; it said {tool.stderr}")
    nginx.quit()
    return True


@test(deadline=300)
def the_same_load_meets_restarts_behind_SO_REUSEPORT_and_what_it_loses_is_printed(net):
    restarted, _ = (_nginx(net, _SHARED, reuseport=True) for _ in range(2))
    with Resets(net) as resets, http_load.HttpLoad(net.client, _SHARED) as load:
        for _ in range(_TIMES):
            _answers(restarted)
            restarted.quit()
            restarted = _nginx(net, _SHARED, reuseport=True)
        _answers(restarted)
    summary = f"SO_REUSEPORT, {_TIMES} restarts: {load.summary()}, {resets}"
    check.true(load.answers["kept"] >= _TIMES and load.answers["short"] >= _TIMES, f"there was no load: {summary}")
    return summary
