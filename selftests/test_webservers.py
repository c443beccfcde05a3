# SPDX-License-Identifier: GPL-2.0
"""Daemons as they come from the distribution.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
    curl                         192.0.2.1:80   service
                                 10.77.0.1:80   nginx
                                 10.77.0.2:80   nginx
                                 10.77.0.3:80   Python's http.server
"""

import collections
import dataclasses
import hashlib
import re

from lib import check, daemon, topology, wait, webserver
from lib.runner import test
from lib.topology import CLIENT, HOST, PROCESSES, SERVICE

_URL = f"http://{SERVICE}"
_ANSWER = re.compile(r"(\S+) (\S+) serves (\S+)\n(\S+)")


@dataclasses.dataclass
class Net:
    pair: topology.Pair
    servers: dict


def setup():
    pair = topology.pair()
    first, second, third = PROCESSES
    servers = [
        webserver.Nginx(pair.server, first),
        webserver.Nginx(pair.server, second),
        webserver.PythonServer(pair.server, third),
    ]
    return Net(pair, {server.address: server for server in servers})


def _curl(namespace, *arguments):
    return namespace.run("curl", "--silent", "--show-error", "--fail", *arguments)


def _fetch(namespace):
    """(process, the client's address as the daemon saw it, the same as curl knows it)."""
    page = _curl(namespace, "--write-out", "%{local_ip}:%{local_port}", _URL)
    answer = _ANSWER.fullmatch(page)
    check.true(answer, f"curl got {page!r}")
    return answer.groups()[1:]


@test
def nginx_and_http_server_share_remote_and_local_clients(net):
    net.pair.control.serve(SERVICE, *PROCESSES)
    for namespace, address in ((net.pair.client, CLIENT), (net.pair.server, HOST)):
        answers = collections.Counter()
        for _ in range(6):
            process, seen, own = _fetch(namespace)
            check.equal(seen, own, f"the client's address as {process} saw it")
            check.equal(own.split(":")[0], address, "the client's address")
            answers[process] += 1
        check.equal(answers, dict.fromkeys(PROCESSES, 2), "answers by process")


@test
def their_logs_have_the_clients_address_and_port(net):
    net.pair.control.serve(SERVICE, *PROCESSES)
    for _ in PROCESSES:
        process, _, own = _fetch(net.pair.client)
        server = net.servers[process]
        wait.until(lambda: re.search(rf"(?m)^{re.escape(own)} ", server.log()), f"{own} in the log of {process}")


@test
def one_connection_carries_many_requests(net):
    net.pair.control.serve(SERVICE, *PROCESSES)
    pages = _curl(net.pair.client, *[_URL] * 10).splitlines()
    check.equal(len(pages), 10, "pages")
    check.equal(len(set(pages)), 1, "different daemons or client ports in one connection")


@test
def a_file_that_nginx_sends_by_sendfile_arrives_whole(net):
    process = PROCESSES[0]
    net.pair.control.serve(SERVICE, process)
    name, length = "file", 8 << 20
    with open(f"{net.servers[process].directory}/files/{name}", "wb") as file:
        for part in daemon.stream(3, length):
            file.write(part)
    net.pair.client.run("curl", "--silent", "--fail", "--output", "/tmp/fetched", f"{_URL}/files/{name}")
    with open("/tmp/fetched", "rb") as file:
        check.equal(hashlib.file_digest(file, "sha256").hexdigest(), daemon.digest(3, length), "SHA-256")
