# SPDX-License-Identifier: GPL-2.0
"""The dispatchers that are compared. Each is set up in namespaces of its own.

    client                       server
    198.51.100.2/24 eth0 ─────── eth0 198.51.100.1/24
                                 lo   192.0.2.1: the service; 10.77.0.1 …: what it is dispatched to
"""

import os

from lib import background, dispatch, module, namespace, wait

CLIENT, SERVER, HOST = "198.51.100.2", "198.51.100.1", "192.0.2.1"
SERVICE = f"{HOST}:80"
UNRELATED = f"{SERVER}:81"
BENCH = "/opt/tcp_dispatch/bench/bench"


def process(number):
    """The address of a daemon."""
    return f"10.77.{number // 250}.{number % 250 + 1}:8080"


class Dispatcher:
    """Namespaces with daemons behind a dispatcher, and one daemon that isn't."""

    # What is counted is what it adds to no dispatcher at all.
    name = "direct"
    # Whether the kernel module is loaded meanwhile.
    module = False

    def __init__(self, processes=1):
        if module.loaded() != self.module:
            (module.load if self.module else module.unload)()
        self.processes = processes
        self.client, self.server = namespace.Namespace("client"), namespace.Namespace("server")
        namespace.link(self.client, "eth0", f"{CLIENT}/24", self.server, "eth0", f"{SERVER}/24")
        self.client.ip(f"route add default via {SERVER}")
        self.server.ip(f"addr add {HOST}/32 dev lo")
        self.serve(UNRELATED)
        self.setup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        background.kill_all()
        namespace.delete_all()

    def serve(self, address, *options):
        """Starts a daemon in the server's namespace, and waits until it listens."""
        host, port = address.rsplit(":", 1)
        background.program(BENCH, "serve", address, *options, namespace=self.server)
        listening = f"sport = :{port} and src {host}"
        wait.until(lambda: self.server.run("ss", "-Hltn", listening), f"{address} doesn't listen")

    def addresses(self):
        """The daemons' own addresses, as addresses of the server."""
        self.server.batch(*(f"addr add {process(n).rsplit(':', 1)[0]}/32 dev lo" for n in range(self.processes)))

    def daemons(self):
        """Starts the daemons at addresses of their own."""
        for number in range(self.processes):
            self.serve(process(number))

    def setup(self):
        """Sets the dispatcher and the daemons up."""
        self.serve(SERVICE)


class TcpDispatch(Dispatcher):
    """This project's layer, as `dispatchctl up` installs it."""

    name = "tcp_dispatch"
    module = True

    def setup(self):
        self.control = dispatch.Dispatch(self.server).up()
        self.daemons()
        self.control.serve(SERVICE, *map(process, range(self.processes)))


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
        self.daemons()
        rules = [f"-A -t {SERVICE} -s rr"]
        rules += [f"-a -t {SERVICE} -r {process(n)} -m" for n in range(self.processes)]
        self.server.run("ipvsadm", "-R", stdin="\n".join(rules) + "\n")
        self.server.sysctl("net/ipv4/vs/conntrack", 0)


class NftDnat(Dispatcher):
    """nftables, destination NAT."""

    name = "nft DNAT"

    def setup(self):
        self.addresses()
        self.daemons()
        host, port = SERVICE.rsplit(":", 1)
        to = ", ".join(f"{n} : {process(n).replace(':', ' . ')}" for n in range(self.processes))
        chain = "type nat hook {} priority {}; ip daddr {} tcp dport {} dnat ip to numgen inc mod {} map {{ {} }}"
        rules = "table ip bench {\n"
        for hook, priority in (("prerouting", "dstnat"), ("output", "-100")):
            rules += f"chain {hook} {{ {chain.format(hook, priority, host, port, self.processes, to)}; }}\n"
        self.server.run("nft", "-f", "-", stdin=rules + "}\n")


class Reuseport(Dispatcher):
    """The kernel's own spreading over sockets that share an address."""

    name = "SO_REUSEPORT"

    def setup(self):
        for _ in range(self.processes):
            self.serve(SERVICE, "--reuseport")


class Proxy(Dispatcher):
    """A proxy that reads and writes every byte."""

    def start(self, program, text, *arguments):
        """Starts the proxy with a configuration."""
        path = f"/tmp/{program}.conf"
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, 0o644)
        background.program(program, *arguments, path, namespace=self.server)
        wait.until(lambda: self.server.run("ss", "-Hltn", "sport = :80"), f"{program} doesn't listen")

    def setup(self):
        self.addresses()
        self.daemons()


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
    one.name: one for one in (Dispatcher, TcpDispatch, TcpDispatchTuned, Ipvs, NftDnat, Reuseport, Haproxy, Nginx)
}

