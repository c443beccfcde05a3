# SPDX-License-Identifier: GPL-2.0
"""The dispatchers that are compared. Each is set up in namespaces of its own.

    client                       server
    198.51.100.2/24 eth0 ─────── eth0 198.51.100.1/24
                                 lo   192.0.2.1: the service; 10.77.0.1 …: what it is dispatched to
    198.18.0.1 … ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄ tun0: other connections' first packets come by it
                                 dummy0: and go nowhere, as those to 192.0.2.9, by it
"""

import os
import subprocess

from lib import background, command, dispatch, module, namespace, wait
from lib.load import BENCH

CLIENT, SERVER, HOST = "198.51.100.2", "198.51.100.1", "192.0.2.1"
SERVICE = f"{HOST}:80"
UNRELATED = f"{SERVER}:81"
# Where other connections go, whose packets nobody answers.
OTHERS, NOBODY = "192.0.2.9:80", "10.88.0.1:8080"


def process(number):
    """The address of a daemon."""
    return f"10.77.{number // 250}.{number % 250 + 1}:8080"


def dotted(address):
    """An address as nftables writes it."""
    return address.replace(":", " . ")


class Dispatcher:
    """Namespaces with daemons behind a dispatcher, and one daemon that isn't."""

    # What is counted is what it adds to no dispatcher at all.
    name = "direct"

    def __init__(self, processes=1, services=1):
        self.processes, self.services = processes, services
        self.client, self.server = namespace.Namespace("client"), namespace.Namespace("server")
        namespace.link(self.client, "eth0", f"{CLIENT}/24", self.server, "eth0", f"{SERVER}/24")
        self.client.ip(f"route add default via {SERVER}")
        self.server.ip(f"addr add {HOST}/32 dev lo")
        self.daemons = []
        self.serve(UNRELATED)
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
            self.daemons.append(background.program(BENCH, "serve", address, *options, namespace=self.server))
        wait.until(lambda: len(self.listeners()) - before == len(addresses), f"no daemon at one of {addresses}")

    def listeners(self):
        """The listening sockets of the server's namespace."""
        return self.server.run("ss", "-Hltn").splitlines()

    def at_own_addresses(self):
        """Starts the daemons, each at an address of its own."""
        self.serve(*map(process, range(self.processes)))

    def addresses(self):
        """The daemons' own addresses, as addresses of the server."""
        self.server.batch(*(f"addr add {process(n).rsplit(':', 1)[0]}/32 dev lo" for n in range(self.processes)))

    def setup(self):
        """Sets the dispatcher and the daemons up."""
        self.serve(SERVICE)

    def fill(self, connections):
        """Gives the dispatcher's table entries of other connections."""
        raise NotImplementedError(f"{self.name} has no table of connections")

    def sink(self):
        """Makes the devices that other connections come from, and go to."""
        self.server.run("modprobe", "tun")
        self.server.run("modprobe", "dummy", "numdummies=0")
        self.server.batch(
            "tuntap add dev tun0 mode tun",
            "addr add 198.19.255.1/15 dev tun0",
            "link set tun0 up",
            "link add dummy0 type dummy",
            "link set dummy0 arp off up",
            f"route add {NOBODY.rsplit(':', 1)[0]}/32 dev dummy0",
        )
        self.server.sysctl("net/ipv4/ip_forward", 1)

    def bench(self, *arguments):
        """Runs the program of the benchmarks in the server's namespace, however long it takes."""
        with self.server:
            done = subprocess.run([BENCH, *map(str, arguments)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise command.CommandFailed([BENCH, *map(str, arguments)], done)
        return done.stdout

    def teardown(self):
        """Takes away what doesn't go with the namespaces."""


class TcpDispatch(Dispatcher):
    """This project's layer, as `dispatchctl up` installs it."""

    name = "tcp_dispatch"

    def setup(self):
        module.load()
        # The limit is for a million connections, and those that are measured.
        self.control = dispatch.Dispatch(self.server).up("--max-connections", "1100000")
        self.at_own_addresses()
        self.control.serve(SERVICE, *map(process, range(self.processes)))
        if self.services > 1:
            self.bench("services", SERVICE, process(0), self.services - 1)

    def fill(self, connections):
        self.bench("connections", SERVICE, process(0), connections)

    def teardown(self):
        module.unload()


class TcpDispatchTuned(TcpDispatch):
    """The same with the settings that the documentation recommends."""

    name = "tcp_dispatch, tuned"

    def setup(self):
        super().setup()
        self.server.sysctl("net/ipv4/conf/eth0/accept_local", 1)


class Ipvs(Dispatcher):
    """IPVS, network address translation, without conntrack."""

    name = "IPVS NAT"

    def setup(self):
        self.addresses()
        self.at_own_addresses()
        self.rules(SERVICE, *map(process, range(self.processes)))
        self.server.sysctl("net/ipv4/vs/conntrack", 0)
        port = int(SERVICE.rsplit(":", 1)[1])
        self.rules_of_all((f"{HOST}:{port + n}", (process(0),)) for n in range(1, self.services))

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

    def fill(self, connections):
        # They would wait a minute for the rest of their handshake, a quarter of an hour without.
        self.sink()
        self.server.ip(f"addr add {OTHERS.rsplit(':', 1)[0]}/32 dev lo")
        self.rules(OTHERS, NOBODY)
        self.bench("syns", "tun0", OTHERS, connections)


class NftDnat(Dispatcher):
    """nftables, destination NAT."""

    name = "nft DNAT"

    def setup(self):
        self.addresses()
        self.at_own_addresses()
        to = ", ".join(f"{n} : {dotted(process(n))}" for n in range(self.processes))
        chains = f"ip daddr . tcp dport {{ {dotted(SERVICE)} }} dnat ip to numgen inc mod {self.processes} map {{ {to} }}"
        # Many services are elements of a map, not rules: a packet would pass by each of those.
        host, port = SERVICE.rsplit(":", 1)
        others = [f"{host} . {int(port) + n} : {dotted(process(0))}" for n in range(1, self.services)]
        others.append(f"{dotted(OTHERS)} : {dotted(NOBODY)}")
        rules = "table ip bench {\n"
        rules += "map others { type ipv4_addr . inet_service : ipv4_addr . inet_service;"
        rules += f" elements = {{ {', '.join(others)} }}; }}\n"
        for hook, priority in (("prerouting", "dstnat"), ("output", "-100")):
            rules += f"chain {hook} {{ type nat hook {hook} priority {priority}; {chains};"
            rules += " dnat ip to ip daddr . tcp dport map @others; }\n"
        self.server.run("nft", "-f", "-", stdin=rules + "}\n")

    def fill(self, connections):
        self.sink()
        # As whoever expects a million connections sets it.
        for path, value in (("max", 2 * connections), ("buckets", max(connections, 1 << 16))):
            command.run("sysctl", "-q", f"net.netfilter.nf_conntrack_{path}={value}")
        self.bench("syns", "tun0", OTHERS, connections)


class SkLookup(Dispatcher):
    """A BPF program at the lookup of a listener, which picks one by a hash."""

    name = "BPF sk_lookup"

    def setup(self):
        self.addresses()
        self.at_own_addresses()
        pids = [str(daemon.pid) for daemon in self.daemons[-self.processes :]]
        argv = (BENCH, "sk-lookup", SERVICE, *pids)
        program = background.program(*argv, namespace=self.server, stdout=subprocess.PIPE)
        if program.popen.stdout.readline() != b"ready\n":
            raise RuntimeError("the BPF program could not be attached")


class Reuseport(Dispatcher):
    """The kernel's own spreading over sockets that share an address."""

    name = "SO_REUSEPORT"

    def setup(self):
        self.serve(*[SERVICE] * self.processes, options=("--reuseport",))


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
        self.addresses()
        self.at_own_addresses()


class Haproxy(Proxy):
    """HAProxy in TCP mode, with one thread."""

    name = "HAProxy, TCP"

    def setup(self):
        super().setup()
        servers = "\n".join(f"  server s{n} {process(n)}" for n in range(self.processes))
        text = f"""global
  nbthread 1
  maxconn 4000
defaults
  mode tcp
  timeout connect 10s
  timeout client 1h
  timeout server 1h
listen bench
  bind {SERVICE}
  balance roundrobin
{servers}
"""
        self.start("haproxy", text, "-db", "-f")


class Nginx(Proxy):
    """nginx's stream proxy, with one worker."""

    name = "nginx stream"

    def setup(self):
        super().setup()
        servers = "\n".join(f"server {process(n)};" for n in range(self.processes))
        text = f"""daemon off;
worker_processes 1;
pid /tmp/nginx-bench.pid;
error_log /dev/null;
include /etc/nginx/modules-enabled/*.conf;
events {{ worker_connections 4000; }}
stream {{
  upstream daemons {{ {servers} }}
  server {{ listen {SERVICE}; proxy_pass daemons; proxy_timeout 1h; }}
}}
"""
        self.start("nginx", text, "-c")


ALL = {
    one.name: one
    for one in (Dispatcher, TcpDispatch, TcpDispatchTuned, Ipvs, NftDnat, SkLookup, Reuseport, Haproxy, Nginx)
}
