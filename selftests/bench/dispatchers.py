# SPDX-License-Identifier: GPL-2.0
"""The dispatchers that are compared. Each is set up in namespaces of its own.

    client                       server
    198.51.100.2/24 eth0 ─────── eth0 198.51.100.1/24
                                 lo   192.0.2.1: the service; 10.77.0.1 …: what it is dispatched to

    2001:db8:1::2/64 eth0 ────── eth0 2001:db8:1::1/64
                                 lo   2001:db8::1: the service; fd77::1 …: what it is dispatched to

The addresses are those of lib/topology.py. Other connections are of IPv4 only: entries of a table, whose
clients aren't there, nor, but for tcp_dispatch, a process.
"""

import os
import subprocess

from lib import background, command, dispatch, module, namespace, wait
from lib.ip import IPV4, endpoint, host_of, split
from lib.load import BENCH
from lib.topology import ADDRESSES


def dotted(address):
    """An address as nftables writes it."""
    return "{} . {}".format(*split(address))


class Dispatcher:
    """Namespaces with daemons behind a dispatcher, and one daemon that isn't, over one version of IP."""

    # What is counted is what it adds to no dispatcher at all.
    name = "direct"

    # The slab caches, as a pattern, that only the way of filling its table uses.
    not_its_own = None

    def __init__(self, processes=1, services=1, version=IPV4, apart=None):
        self.processes, self.services, self.version = processes, services, version
        # How many clients a daemon serves at a time, if not one: each on the client's CPU.
        self.options = ("--apart", str(apart)) if apart else ()
        self.addresses = at = ADDRESSES[version]
        self.service, self.unrelated = at.service, endpoint(at.server_address, 81)
        # Where other connections go.
        self.others, self.nobody = at.other_service, endpoint(at.far(1), 8080)
        self.client, self.server = (namespace.Namespace(name, version) for name in ("client", "server"))
        near = [f"{host}/{at.near_length}" for host in (at.client_address, at.server_address)]
        namespace.link(self.client, "eth0", near[0], self.server, "eth0", near[1])
        self.client.ip(f"{version.option} route add default via {at.server_address}")
        self.own(at.host)
        self.daemons = []
        self.serve(self.unrelated)
        self.setup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        background.kill_all()
        self.teardown()
        namespace.delete_all()

    def serve(self, *addresses, options=()):
        """Starts daemons in the server's namespace, and waits until they listen."""
        before = len(self.listeners())
        for address in addresses:
            argv = (BENCH, "serve", address, *self.options, *options)
            self.daemons.append(background.program(*argv, namespace=self.server))
        wait.until(lambda: len(self.listeners()) - before == len(addresses), f"no daemon at one of {addresses}")

    def does(self, operation):
        """How the program of the benchmarks is told of an operation."""
        if operation == "unrelated":
            return "--operation", "round-trip", "--meanwhile", self.service, self.unrelated
        return "--operation", operation, self.service

    def listeners(self):
        """The listening sockets of the server's namespace."""
        return self.server.run("ss", "-Hltn").splitlines()

    def process(self, number):
        """The address of a daemon."""
        return self.addresses.process(number + 1, port=8080)

    def all_processes(self):
        """The addresses of the daemons."""
        return [self.process(number) for number in range(self.processes)]

    def other_services(self):
        """Further services, at the ports behind the service's own."""
        host, port = split(self.service)
        return [endpoint(host, port + number) for number in range(1, self.services)]

    def at_own_addresses(self):
        """Starts the daemons, each at an address of its own."""
        self.serve(*self.all_processes())

    def own(self, *hosts):
        """Makes addresses the server's."""
        self.server.batch(*(namespace.address(host, self.version.bits, "lo") for host in hosts))

    def own_processes(self):
        """Makes the daemons' own addresses the server's."""
        self.own(*map(host_of, self.all_processes()))

    def setup(self):
        """Sets the dispatcher and the daemons up."""
        self.serve(self.service)

    def fill(self, connections):
        """Gives the dispatcher's table entries of other connections, and checks that they are there."""
        before = self.entries()
        self.add_entries(connections)
        there = self.entries() - before
        if there < connections:
            raise RuntimeError(f"{self.name} has {there:,} of {connections:,} other connections in its table")

    def add_entries(self, number):
        """Gives the dispatcher's table entries."""
        raise NotImplementedError(f"{self.name} has no table of connections")

    def entries(self):
        """How many entries the dispatcher's table has."""
        raise NotImplementedError(f"{self.name} has no table of connections")

    def bench(self, *arguments):
        """Runs the program of the benchmarks in the server's namespace, however long it takes."""
        with self.server:
            done = subprocess.run([BENCH, *map(str, arguments)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise command.CommandFailed([BENCH, *map(str, arguments)], done)
        return done.stdout

    def teardown(self):
        """Takes away what doesn't go with the namespaces."""


class Routes(Dispatcher):
    """None, beside a rule and a local route as the layer needs them: what those cost by themselves."""

    name = "rule and local route"

    def setup(self):
        self.server.ip("rule add pref 990 from 10.77.0.0/16 lookup 77")
        self.server.ip("route add default dev eth0 table 77")
        self.server.ip("route add local 10.77.0.0/16 dev lo")
        super().setup()


class TcpDispatch(Dispatcher):
    """This project's layer, as `dispatchctl up` installs it."""

    name = "tcp_dispatch"

    def setup(self):
        module.load()
        # The limit is for a million connections, and those that are measured.
        self.control = dispatch.Dispatch(self.server, self.version).up("--max-connections", "1100000")
        self.at_own_addresses()
        self.control.serve(self.service, *self.all_processes())
        if self.services > 1:
            self.bench("services", self.service, self.process(0), self.services - 1)

    def add_entries(self, number):
        self.bench("connections", self.service, self.process(0), number)

    def entries(self):
        return self.control.service(self.service)["connections"]

    def teardown(self):
        module.unload()


class TcpDispatchTuned(TcpDispatch):
    """The same with the settings that the documentation recommends, which are IPv4's."""

    name = "tcp_dispatch, tuned"

    def setup(self):
        super().setup()
        self.own_processes()


class Ipvs(Dispatcher):
    """IPVS, network address translation, without conntrack."""

    name = "IPVS NAT"

    def setup(self):
        # The most that its table grows to: as whoever expects a million connections sets it.
        command.run("modprobe", "ip_vs", "conn_tab_bits=20")
        self.own_processes()
        self.at_own_addresses()
        self.rules(self.service, *self.all_processes())
        self.server.sysctl("net/ipv4/vs/conntrack", 0)
        self.rules_of_all((other, (self.process(0),)) for other in self.other_services())

    def rules(self, service, *processes):
        """Adds a service."""
        self.rules_of_all([(service, processes)])

    def rules_of_all(self, services):
        """Adds services, at the price of one command."""
        rules = []
        for service, processes in services:
            rules.append(f"-A -t {service} -s rr")
            rules += [f"-a -t {service} -r {process} -m" for process in processes]
        self.server.run("ipvsadm", "-R", stdin="\n".join(rules) + "\n")

    def add_entries(self, number):
        self.rules(self.others, self.nobody)
        self.server.run("ipvsadm", "--start-daemon", "backup", "--mcast-interface", "lo")
        self.bench("ipvs-connections", self.others, self.nobody, number)
        self.server.run("ipvsadm", "--stop-daemon", "backup")

    def entries(self):
        # As destinations count them, active ones and others: what is bound to none isn't a connection as any.
        lines = map(str.split, self.server.run("ipvsadm", "-Ln").splitlines())
        return sum(int(active) + int(other) for first, *_, active, other in lines if first == "->" and other.isdigit())


class NftDnat(Dispatcher):
    """nftables, destination NAT."""

    name = "nft DNAT"

    # An extension for adjusted sequence numbers, which entries that packets make don't have.
    not_its_own = r"kmalloc(-rnd-\d+)?-128"

    def setup(self):
        self.own_processes()
        self.at_own_addresses()
        ip, kind = self.version.table, f"ipv{self.version.number}_addr"
        to = ", ".join(f"{n} : {dotted(process)}" for n, process in enumerate(self.all_processes()))
        chosen = f"dnat {ip} to numgen inc mod {self.processes} map {{ {to} }}"
        chains = f"{ip} daddr . tcp dport {{ {dotted(self.service)} }} {chosen}"
        # Many services are elements of a map, not rules: a packet would pass by each of those.
        others = [f"{dotted(other)} : {dotted(self.process(0))}" for other in self.other_services()]
        others.append(f"{dotted(self.others)} : {dotted(self.nobody)}")
        rules = f"table {ip} bench {{\n"
        rules += f"map others {{ type {kind} . inet_service : {kind} . inet_service;"
        rules += f" elements = {{ {', '.join(others)} }}; }}\n"
        for hook, priority in (("prerouting", "dstnat"), ("output", "-100")):
            rules += f"chain {hook} {{ type nat hook {hook} priority {priority}; {chains};"
            rules += f" dnat {ip} to {ip} daddr . tcp dport map @others; }}\n"
        self.server.run("nft", "-f", "-", stdin=rules + "}\n")

    def fill(self, connections):
        # As whoever expects a million connections sets it.
        for path, value in (("max", 2 * connections), ("buckets", max(connections, 1 << 16))):
            command.run("sysctl", "-q", f"net.netfilter.nf_conntrack_{path}={value}")
        super().fill(connections)

    def add_entries(self, number):
        self.bench("conntrack-connections", self.others, self.nobody, number)

    def entries(self):
        return int(self.server.run("sysctl", "-n", "net.netfilter.nf_conntrack_count"))


class SkLookup(Dispatcher):
    """A BPF program at the lookup of a listener, which picks one by a hash."""

    name = "BPF sk_lookup"

    def setup(self):
        self.own_processes()
        self.at_own_addresses()
        pids = [str(daemon.pid) for daemon in self.daemons[-self.processes :]]
        argv = (BENCH, "sk-lookup", self.service, *pids)
        program = background.program(*argv, namespace=self.server, stdout=subprocess.PIPE)
        if program.popen.stdout.readline() != b"ready\n":
            raise RuntimeError("the BPF program could not be attached")


class Reuseport(Dispatcher):
    """The kernel's own spreading over sockets that share an address."""

    name = "SO_REUSEPORT"

    def setup(self):
        self.serve(*[self.service] * self.processes, options=("--reuseport",))


class Proxy(Dispatcher):
    """A proxy that reads and writes every byte."""

    def start(self, program, text, *arguments):
        """Starts the proxy with a configuration."""
        path = f"/tmp/{program}.conf"
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, 0o644)
        before = len(self.listeners())
        background.program(program, *arguments, path, namespace=self.server)
        wait.until(lambda: len(self.listeners()) > before, f"{program} doesn't listen")

    def setup(self):
        self.own_processes()
        self.at_own_addresses()


class Haproxy(Proxy):
    """HAProxy in TCP mode, with one thread."""

    name = "HAProxy, TCP"

    def setup(self):
        super().setup()
        servers = "\n".join(f"  server s{n} {process}" for n, process in enumerate(self.all_processes()))
        text = f"""global
  nbthread 1
  maxconn 4000
defaults
  mode tcp
  timeout connect 10s
  timeout client 1h
  timeout server 1h
listen bench
  bind {self.service}
  balance roundrobin
{servers}
"""
        self.start("haproxy", text, "-db", "-f")


class Nginx(Proxy):
    """nginx's stream proxy, with one worker."""

    name = "nginx stream"

    def setup(self):
        super().setup()
        servers = "\n".join(f"server {process};" for process in self.all_processes())
        text = f"""daemon off;
worker_processes 1;
pid /tmp/nginx-bench.pid;
error_log /dev/null;
include /etc/nginx/modules-enabled/*.conf;
events {{ worker_connections 4000; }}
stream {{
  upstream daemons {{ {servers} }}
  server {{ listen {self.service}; proxy_pass daemons; proxy_timeout 1h; }}
}}
"""
        self.start("nginx", text, "-c")


# What a whole run compares.
COMPARED = {
    one.name: one
    for one in (Dispatcher, TcpDispatch, TcpDispatchTuned, Ipvs, NftDnat, SkLookup, Reuseport, Haproxy, Nginx)
}

# What can be looked at.
ALL = COMPARED | {Routes.name: Routes}
