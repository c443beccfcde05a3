# SPDX-License-Identifier: GPL-2.0
"""PostgreSQL, and its own tools.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
    pgbench, psql                192.0.2.1:5432         service
                                 10.77.0.1, .2:5432     two servers, with the same tables at first
"""

import hashlib
import re
import signal

from lib import certificate, check, postgresql, topology, wait
from lib.ip import endpoint
from lib.runner import test
from lib.serving import Serving
from lib.tool import Tool

_PORT = 5432


class Net(Serving):
    """Its clients are psql."""

    def psql(self, query, *settings):
        """The answer to the client's query at the service."""
        return postgresql.psql(self.pair.client, self.service, query, *settings)


def setup(version):
    pair = topology.pair(version)
    made = certificate.make(pair.host)
    addresses = [pair.process(number, port=_PORT) for number in (1, 2)]
    servers = [postgresql.Postgresql(pair.server, address, certificate=made) for address in addresses]
    return Net(pair, servers, endpoint(pair.host, _PORT))


def _pgbench(net, transactions, *arguments):
    """Runs pgbench through the service; returns the transactions that each server did, as its tables say."""
    for server in net.servers:
        server.ask("truncate pgbench_history")
    said = net.pair.client.run("pgbench", "-n", *arguments, postgresql.connection(net.service))
    for line in (rf"processed: {transactions}(/{transactions})?$", r"failed transactions: 0 "):
        check.true(re.search(line, said, re.MULTILINE), f"pgbench said:\n{said}")
    return [int(server.ask("select count(*) from pgbench_history")) for server in net.servers]


@test
def pgbench_does_all_its_transactions_with_two_servers(net):
    net.serve()
    # The first connection asks for the size of the tables; then two of the clients are at each.
    done = _pgbench(net, 80, "-c", "4", "-t", "20")
    check.equal(done, [40, 40], "transactions by server")


@test
def pgbench_with_a_connection_a_transaction_and_prepared_statements_does_all(net):
    net.serve()
    done = _pgbench(net, 12, "-c", "2", "-t", "6", "-C", "-M", "prepared")
    check.equal(sum(done), 12, "transactions")
    check.equal(min(done), 6, f"transactions by server: {done}")
    shares = net.pair.control.shares(net.service)
    check.true(max(shares.values()) - min(shares.values()) <= 1, f"connections by process: {shares}")


@test
def each_server_knows_the_clients_own_address_and_port(net):
    net.serve()
    seen = "host(client_addr), client_port, host(inet_server_addr()), inet_server_port()"
    found = []
    for server in net.servers:
        query = f"select {seen} from pg_stat_activity where pid = pg_backend_pid()"
        host, port, own, own_port = net.psql(query).split("|")
        check.equal(host, net.pair.client_address, "the client's address")
        check.equal(endpoint(own, own_port), server.address, "the server's address as it knows it")
        known = [each["process-address"] for each in net.pair.control.connections(client=endpoint(host, int(port)))]
        # The entry ends some seconds after the connection.
        check.true(known in ([server.address], []), f"port {port} of the client is assigned to {known}")
        found += known
    check.true(found, "no connection was in the table")


@test
def a_large_table_passes_both_ways_by_TLS(net):
    """As pg_dump and pg_restore would have it. What goes up comes down again."""
    net.serve(affinity_timeout=600)
    secure = "sslmode=require"
    rows = "".join(f"{number}\t{hashlib.sha256(str(number).encode()).hexdigest() * 16}\n" for number in range(2000))
    copy = "begin; create temporary table t (n int, v text); copy t from stdin; copy t to stdout"
    dsn = postgresql.connection(net.service, secure)
    got = net.pair.client.run("psql", "-XAtqw", "-v", "ON_ERROR_STOP=1", "-c", copy, dsn, stdin=rows)
    check.true(got == rows, f"{len(rows)} bytes went up, {len(got)} other ones came down")
    both = "pg_stat_ssl join pg_stat_activity using (pid)"
    query = f"select ssl, host(client_addr) from {both} where pid = pg_backend_pid()"
    check.equal(net.psql(query, secure), f"t|{net.pair.client_address}", "whether it is TLS, and whose")


@test
def a_query_is_cancelled_by_a_connection_of_its_own_where_there_is_affinity(net):
    """The request to cancel means something to the server only that has the query."""
    net.serve(affinity_timeout=600)
    query = "select pg_sleep(3600)"
    tool = Tool(net.pair.client, "psql", "-XAtw", "-c", query, postgresql.connection(net.service))
    runs = f"select count(*) from pg_stat_activity where query = '{query}' and state = 'active'"
    wait.until(lambda: "1" in [server.ask(runs) for server in net.servers], "the query runs")
    tool.signal(signal.SIGINT)
    check.equal(tool.status(), 1, "psql's exit status")
    check.true("canceling statement due to user request" in tool.stderr, f"psql said {tool.stderr}")
