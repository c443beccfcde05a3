# SPDX-License-Identifier: GPL-2.0
"""Daemons as they come from the distribution: web servers, by HTTP/1.1, HTTP/2 and TLS.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
    curl                         192.0.2.1:80, :443    services
                                 10.77.0.1:80, :443    nginx
                                 10.77.0.2:80, :443    nginx
                                 10.77.0.3:80          Python's http.server
"""

import collections
import dataclasses
import hashlib
import re

from lib import certificate, check, daemon, topology, wait, webserver
from lib.curl import bracketed, curl
from lib.ip import endpoint
from lib.runner import test

_ANSWER = re.compile(r"(\S+) (\S+) serves (\S+)\n(\S+)")
_LENGTH = 8 << 20


@dataclasses.dataclass
class Net:
    pair: topology.Pair
    servers: dict  # by process address
    certificate: certificate.Certificate

    @property
    def secure(self):
        """The service address of TLS."""
        return endpoint(self.pair.host, 443)

    @property
    def secure_processes(self):
        """The process addresses of TLS: those of nginx."""
        return [self.pair.process(number, port=443) for number in (1, 2)]

    def serve_securely(self):
        """Adds the service of TLS, and returns what curl needs for it."""
        self.pair.control.serve(self.secure, *self.secure_processes)
        return "--cacert", self.certificate.certificate

    def access_logs(self):
        """The lines of the access logs of both nginx, in one."""
        return [line for process in self.pair.processes[:2] for line in self.servers[process].access_log()]


def setup(version):
    pair = topology.pair(version)
    first, second, third = pair.processes
    made = certificate.make(pair.host)
    servers = [
        webserver.Nginx(pair.server, first, certificate=made),
        webserver.Nginx(pair.server, second, certificate=made),
        webserver.PythonServer(pair.server, third),
    ]
    return Net(pair, {server.address: server for server in servers}, made)


def _fetch(namespace, *arguments):
    """(process, the client's address as the daemon saw it, the same as curl knows it)."""
    page = curl(namespace, "--write-out", "%{local_ip}:%{local_port}", *arguments)
    answer = _ANSWER.fullmatch(page)
    check.true(answer, f"curl got {page!r}")
    return tuple(bracketed(each) for each in answer.groups()[1:])


def _url(service, path=""):
    return f"{'https' if service.endswith(':443') else 'http'}://{service}/{path}"


def _logged(end, *words):
    """The beginning of a line of an access log: whom it is about, and what else is in it."""
    host, port = end.rsplit(":", 1)
    return " ".join([f"{host.strip('[]')}:{port}", *words])


@test
def nginx_and_http_server_share_remote_and_local_clients(net):
    pair = net.pair
    pair.control.serve(pair.service, *pair.processes)
    for namespace, address in ((pair.client, pair.client_address), (pair.server, pair.host)):
        answers = collections.Counter()
        for _ in range(6):
            process, seen, own = _fetch(namespace, _url(pair.service))
            check.equal(seen, own, f"the client's address as {process} saw it")
            check.true(own.startswith(endpoint(address, "")), f"{own} is the client, which has {address}")
            answers[process] += 1
        check.equal(answers, dict.fromkeys(pair.processes, 2), "answers by process")


@test
def their_logs_have_the_clients_address_and_port(net):
    pair = net.pair
    pair.control.serve(pair.service, *pair.processes)
    for _ in pair.processes:
        process, _, own = _fetch(pair.client, _url(pair.service))
        server = net.servers[process]
        line = rf"(?m)^{re.escape(_logged(own))} "
        wait.until(lambda: re.search(line, server.log()), f"{own} in the log of {process}")


@test
def one_connection_carries_many_requests(net):
    pair = net.pair
    pair.control.serve(pair.service, *pair.processes)
    pages = curl(pair.client, *[_url(pair.service)] * 10).splitlines()
    check.equal(len(pages), 10, "pages")
    check.equal(len(set(pages)), 1, "different daemons or client ports in one connection")


def _file_arrives(net, service, process, *arguments):
    """Has nginx send a file by one connection."""
    name = "file"
    with open(f"{net.servers[process].directory}/files/{name}", "wb") as file:
        for part in daemon.stream(3, _LENGTH):
            file.write(part)
    url = _url(service, f"files/{name}")
    version = curl(net.pair.client, *arguments, "--output", "/tmp/fetched", "--write-out", "%{http_version}", url)
    with open("/tmp/fetched", "rb") as file:
        check.equal(hashlib.file_digest(file, "sha256").hexdigest(), daemon.digest(3, _LENGTH), "SHA-256")
    return version


@test
def a_file_that_nginx_sends_by_sendfile_arrives_whole(net):
    process = net.pair.processes[0]
    net.pair.control.serve(net.pair.service, process)
    _file_arrives(net, net.pair.service, process)


@test
def a_file_by_HTTP_2_and_TLS_arrives_whole(net):
    net.pair.control.serve(net.secure, net.secure_processes[0])
    trust = ("--cacert", net.certificate.certificate)
    version = _file_arrives(net, net.secure, net.pair.processes[0], *trust, "--http2")
    check.equal(version, "2", "version of HTTP")


@test
def nginx_shares_TLS_clients_of_each_version_and_logs_their_own_addresses(net):
    trust = net.serve_securely()
    for http, logged in (("--http1.1", "HTTP/1.1"), ("--http2", "HTTP/2.0")):
        for tls, number in (("TLSv1.2", "1.2"), ("TLSv1.3", "1.3")):
            answers = collections.Counter()
            for _ in range(2):
                exact = (f"--tlsv{number}", "--tls-max", number)
                process, seen, own = _fetch(net.pair.client, *trust, http, *exact, _url(net.secure))
                check.equal(seen, own, f"the client's address as {process} saw it")
                line = _logged(own, "200", logged, tls)
                wait.until(lambda: line in net.access_logs(), f"`{line}` in an access log")
                answers[process] += 1
            check.equal(answers, dict.fromkeys(net.secure_processes, 1), f"answers by {logged} and {tls}")


@test
def HTTP_2_carries_many_streams_at_once_in_one_connection(net):
    trust = net.serve_securely()
    by = ("--http2", "--parallel", "--parallel-max", "20")
    for _ in net.secure_processes:
        # The first answer says that there can be streams at once; the others wait for it.
        pages = curl(net.pair.client, *trust, *by, *[_url(net.secure)] * 20).splitlines()
        check.equal(len(pages), 20, "pages")
        check.equal(len(set(pages)), 1, "different daemons or client ports in one connection")
    check.equal(net.pair.control.shares(net.secure), dict.fromkeys(net.secure_processes, 1), "connections by process")


@test
def HTTP_2_is_served_without_TLS_to_a_client_that_knows(net):
    pair = net.pair
    pair.control.serve(pair.service, *pair.processes[:2])
    for _ in range(2):
        process, seen, own = _fetch(pair.client, "--http2-prior-knowledge", _url(pair.service))
        check.equal(seen, own, f"the client's address as {process} saw it")
        line = _logged(own, "200", "HTTP/2.0", "-")
        wait.until(lambda: line in net.access_logs(), f"`{line}` in an access log")
    check.equal(pair.control.shares(pair.service), dict.fromkeys(pair.processes[:2], 1), "connections by process")
