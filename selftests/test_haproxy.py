# SPDX-License-Identifier: GPL-2.0
"""HAProxy, behind a service and in front of one.

    client                                server
    198.51.100.2 eth0 ─────────────────── eth0 198.51.100.1
    curl                                  192.0.2.1:80, :81        services of HAProxy, by HTTP and by TCP
                                          10.77.0.1, .2:80, :81    two HAProxy
                                          198.51.100.1:8000        nginx behind them
                                          198.51.100.1:8001        a daemon behind them
    198.51.100.2:8000, :8001 HAProxy      192.0.2.1:8000, :8001    services that it is in front of
                                          10.77.1.1, .2:8000       two nginx
                                          10.77.1.1, .2:8001       two daemons
"""

import collections
import csv
import dataclasses
import hashlib
import re
import socket

from lib import check, daemon, exchange, topology, wait, webserver
from lib.client import Client
from lib.curl import bracketed, curl
from lib.ip import endpoint
from lib.program import Program
from lib.runner import test

_LENGTH = 4 << 20
_CONFIGURATION = """\
global
    nbthread 1
    maxconn 200
    log stdout format raw local0
    stats socket {directory}/control
defaults
    timeout connect 600s
    timeout client 600s
    timeout server 600s
    timeout check 600s
    # Each client's requests are for a server's connection of their own.
    http-reuse never
    log global
    log-format "%ci:%cp reached %fi:%fp"
frontend web
    mode http
    bind {web}
    http-request return status 200 content-type text/plain lf-string "{who}" if {{ path /who }}
    default_backend web
frontend plain
    mode tcp
    bind {plain}
    default_backend plain
backend web
    mode http
    option httpchk GET /
    http-check expect status 200
    server web {behind_web} check inter 100 fastinter 100 downinter 100 fall 1 rise 1
backend plain
    mode tcp
    server plain {behind_plain} check inter 100 fastinter 100 downinter 100 fall 1 rise 1
"""
_WHO = "%[dst]:%[dst_port] serves %[src]:%[src_port]"
_WHO_ANSWER = re.compile(r"(\S+) serves (\S+) (\S+)")
_NGINX_ANSWER = re.compile(r"nginx (\S+) serves (\S+)")


class Haproxy(Program):
    """A proxy with what is behind it, by HTTP and by TCP; both are checked all the time."""

    def __init__(self, namespace, web, plain, behind_web, behind_plain):
        super().__init__(namespace, web, plain)
        behind = {"behind_web": behind_web, "behind_plain": behind_plain}
        text = _CONFIGURATION.format(directory=self.directory, web=web, plain=plain, who=_WHO, **behind)
        self.start("haproxy", "-db", "-f", self.file("haproxy.cfg", text))

    def server(self, name):
        """Its statistics about what is behind it, by HTTP or by TCP."""
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(f"{self.directory}/control")
            control.sendall(b"show stat\n")
            with control.makefile(encoding="ascii") as file:
                rows = list(csv.DictReader(file))
        found = next(row for row in rows if row["svname"] == name)
        # The asterisk says that another check is under way.
        return found | {"check_status": found["check_status"].removeprefix("* ")}

    def healthy(self, name):
        """Whether the last check of what is behind it was a good one."""
        row = self.server(name)
        return row["status"] == "UP" and row["check_status"] in ("L4OK", "L7OK")


@dataclasses.dataclass
class Net:
    pair: topology.Pair
    behind: list  # proxies that are processes
    front: Haproxy
    nginx: dict  # by address: that behind the proxies, and those behind the one in front

    def at(self, port):
        """The service address of a port."""
        return endpoint(self.pair.host, port)

    def subnet(self, port):
        """The addresses of the daemons that the proxy in front is for."""
        return [self.pair.process(number, subnet=1, port=port) for number in (1, 2)]

    def serve_behind(self):
        """The services that the proxies serve."""
        for port, number in ((80, 0), (81, 1)):
            self.pair.control.serve(self.at(port), *[each.addresses[number] for each in self.behind])

    def serve_front(self):
        """The services that the proxy in front is a client of."""
        for port in (8000, 8001):
            self.pair.control.serve(self.at(port), *self.subnet(port))
        for name in ("web", "plain"):
            wait.until(lambda: self.front.healthy(name), f"the proxy in front finds {name} healthy")


def setup(version):
    pair = topology.pair(version)
    net = Net(pair, [], None, {})
    local = [endpoint(pair.server_address, port) for port in (8000, 8001)]
    for address in (local[0], *net.subnet(8000)):
        net.nginx[address] = webserver.Nginx(pair.server, address)
    daemon.start(local[1], *net.subnet(8001), namespace=pair.server)
    for number in (1, 2):
        own = [pair.process(number, port=port) for port in (80, 81)]
        net.behind.append(Haproxy(pair.server, *own, *local))
    own = [endpoint(pair.client_address, port) for port in (8000, 8001)]
    net.front = Haproxy(pair.client, *own, net.at(8000), net.at(8001))
    return net


def _logged(proxy, client, own):
    """Waits until a proxy's log has who the client is."""
    bare = lambda address: address.replace("[", "").replace("]", "")
    line = f"{bare(client)} reached {bare(own)}\n"
    wait.until(lambda: line in proxy.log(), f"`{line}` in the log of {own}")


@test
def by_HTTP_each_HAProxy_has_its_share_and_knows_and_logs_the_clients_own_address(net):
    net.serve_behind()
    own = [each.addresses[0] for each in net.behind]
    for _ in range(2):
        for proxy in net.behind:
            page = curl(net.pair.client, "-w", " %{local_ip}:%{local_port}", f"http://{net.at(80)}/who")
            answer = _WHO_ANSWER.fullmatch(page)
            check.true(answer, f"curl got {page!r}")
            process, seen, client = map(bracketed, answer.groups())
            check.equal(process, proxy.addresses[0], "the proxy's address as it knows it")
            check.equal(seen, client, f"the client's address as {process} sees it")
            check.true(client.startswith(endpoint(net.pair.client_address, "")), f"the client's address is {client}")
    # Only what was handed on is in the log.
    for proxy in net.behind:
        client = curl(net.pair.client, "-o", "/dev/null", "-w", "%{local_ip}:%{local_port}", f"http://{net.at(80)}/")
        _logged(proxy, client, proxy.addresses[0])
    check.equal(net.pair.control.shares(net.at(80)), dict.fromkeys(own, 3), "connections by process")


@test
def by_HTTP_many_requests_and_a_file_pass_whole(net):
    net.serve_behind()
    local = endpoint(net.pair.server_address, 8000)
    urls = [f"http://{net.at(80)}/"] * 24
    pages = curl(net.pair.client, "--parallel", "--parallel-max", "6", *urls).splitlines()
    served = [_NGINX_ANSWER.fullmatch(page) for page in pages]
    check.true(all(served), f"curl got {pages}")
    check.equal([bracketed(each[1]) for each in served], [local] * 24, "who serves behind the proxies")
    with open(f"{net.nginx[local].directory}/files/file", "wb") as file:
        for part in daemon.stream(7, _LENGTH):
            file.write(part)
    for _ in net.behind:
        curl(net.pair.client, "-o", "/tmp/fetched", f"http://{net.at(80)}/files/file")
        with open("/tmp/fetched", "rb") as file:
            check.equal(hashlib.file_digest(file, "sha256").hexdigest(), daemon.digest(7, _LENGTH), "SHA-256")
    shares = net.pair.control.shares(net.at(80)).values()
    check.true(max(shares) - min(shares) <= 1 <= min(shares), f"connections by process: {shares}")


@test
def by_TCP_each_HAProxy_has_its_share_and_connections_carry_data_both_ways(net):
    net.serve_behind()
    behind = [endpoint(net.pair.server_address, 8001)]
    own = [each.addresses[1] for each in net.behind]
    clients = [Client(net.pair.client, net.at(81)) for _ in range(4)]
    for client in clients:
        exchange.talk(client, behind, net.pair.server_address)
    check.equal(net.pair.control.shares(net.at(81)), dict.fromkeys(own, 2), "connections by process")
    for client in clients:
        client.close()
    for number, client in enumerate(clients):
        _logged(net.behind[number % 2], client.address, own[number % 2])


@test
def a_HAProxy_in_front_of_services_finds_them_healthy_and_all_daemons_serve_it(net):
    net.serve_front()
    answers = collections.Counter()

    def fetch():
        page = curl(net.pair.client, f"http://{net.front.addresses[0]}/")
        answer = _NGINX_ANSWER.fullmatch(page.strip())
        check.true(answer, f"curl got {page!r}")
        process, client = map(bracketed, answer.groups())
        check.true(client.startswith(endpoint(net.pair.client_address, "")), f"nginx's client is {client}")
        answers[process] += 1
        # Checks of health take their turns, too.
        return min(answers[each] for each in net.subnet(8000)) >= 3

    wait.until(fetch, "both nginx serve")
    for _ in range(4):
        with Client(net.pair.client, net.front.addresses[1]) as client:
            exchange.talk(client, net.subnet(8001), net.pair.client_address)
    for name in ("web", "plain"):
        row = net.front.server(name)
        check.equal((row["status"], row["econ"], row["eresp"]), ("UP", "0", "0"), f"{name}: status and errors")


@test
def a_HAProxy_in_front_finds_a_service_without_a_process_down_and_then_healthy_again(net):
    net.serve_front()
    for service in (8000, 8001):
        for process in net.subnet(service):
            net.pair.control.process_set(net.at(service), process, state="down")
    for name in ("web", "plain"):
        # A check under way when the last process is set down is reset after it connected, so it is not yet
        # the one that is refused.
        refused = lambda: net.front.server(name)["check_status"] == "L4CON"
        wait.until(refused, f"the proxy in front finds that {name} refuses connections")
        check.equal(net.front.server(name)["status"], "DOWN", f"{name} as the proxy in front sees it")
    url = f"http://{net.front.addresses[0]}/"
    got = net.pair.client.run("curl", "-s", "--globoff", "-o", "/dev/null", "-w", "%{http_code}", url)
    check.equal(got, "503", "the proxy's answer meanwhile")
    for service, name in ((8000, "web"), (8001, "plain")):
        net.pair.control.process_set(net.at(service), net.subnet(service)[0], state="active")
        wait.until(lambda: net.front.healthy(name), f"the proxy in front finds {name} healthy")
    answer = _NGINX_ANSWER.fullmatch(curl(net.pair.client, url).strip())
    check.equal(bracketed(answer[1]), net.subnet(8000)[0], "who serves then")
