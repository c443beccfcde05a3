# SPDX-License-Identifier: GPL-2.0
"""The topology that most files share, over one version of IP or both.

    client                       server
    198.51.100.2/24 eth0 ─────── eth0 198.51.100.1/24
                                 lo   192.0.2.1, 192.0.2.2: service addresses
                                 10.77.0.0/16: process addresses

    2001:db8:1::2/64 eth0 ────── eth0 2001:db8:1::1/64
                                 lo   2001:db8::1, 2001:db8::2: service addresses
                                 fd77::/64: process addresses
"""

import dataclasses
import ipaddress

from . import dispatch, namespace
from .ip import IPV4, IPV6, Version, endpoint


@dataclasses.dataclass(frozen=True)
class Addresses:
    """The addresses of one version of IP."""

    version: Version
    near_network: str  # of client and server
    far_network: str  # a further one, for whoever needs it
    wild_network: str  # of those who send what they like
    service_network: str
    process_network: str
    subnet: int  # how many process addresses have the same subnet number

    @staticmethod
    def _at(network, number):
        return str(ipaddress.ip_network(network)[number])

    def near(self, number):
        """An address of the network of client and server."""
        return self._at(self.near_network, number)

    def far(self, number):
        """An address of the further network."""
        return self._at(self.far_network, number)

    def wild(self, number):
        """An address of those who send what they like."""
        return self._at(self.wild_network, number)

    @property
    def near_length(self):
        """The prefix length of both networks."""
        return ipaddress.ip_network(self.near_network).prefixlen

    @property
    def wild_length(self):
        """The prefix length of the network of those who send what they like."""
        return ipaddress.ip_network(self.wild_network).prefixlen

    @property
    def client_address(self):
        """The client's own address."""
        return self.near(2)

    @property
    def server_address(self):
        """The server's own address."""
        return self.near(1)

    @property
    def host(self):
        """The address of the services."""
        return self._at(self.service_network, 1)

    @property
    def other_host(self):
        """Another address for services."""
        return self._at(self.service_network, 2)

    @property
    def service(self):
        """The service address."""
        return endpoint(self.host, 80)

    @property
    def other_service(self):
        """The service address at the other address."""
        return endpoint(self.other_host, 80)

    def process_host(self, number, subnet=0):
        """An address of the process range."""
        return self._at(self.process_network, subnet * self.subnet + number)

    def process(self, number, subnet=0, port=80):
        """A process address."""
        return endpoint(self.process_host(number, subnet), port)

    def process_subnet(self, subnet):
        """A part of the process range: its first address and prefix length."""
        return self.process_host(0, subnet), self.version.bits - self.subnet.bit_length() + 1

    @property
    def process_range(self):
        """The range of all process addresses: its first address and prefix length."""
        return self.process_host(0), ipaddress.ip_network(self.process_network).prefixlen

    def is_process_host(self, host):
        """Whether an address is of the process range."""
        return ipaddress.ip_address(host) in ipaddress.ip_network(self.process_network)

    @property
    def processes(self):
        """Three process addresses."""
        return [self.process(number) for number in (1, 2, 3)]


ADDRESSES = {
    IPV4: Addresses(
        IPV4, "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15", "192.0.2.0/24", dispatch.RANGES[IPV4], 1 << 8
    ),
    IPV6: Addresses(
        IPV6, "2001:db8:1::/64", "2001:db8:2::/64", "2001:db8:18::/64", "2001:db8::/64", dispatch.RANGES[IPV6], 1 << 16
    ),
}

# For those who speak IPv4 only.
CLIENT, SERVER = ADDRESSES[IPV4].client_address, ADDRESSES[IPV4].server_address
HOST, OTHER_HOST = ADDRESSES[IPV4].host, ADDRESSES[IPV4].other_host
SERVICE = ADDRESSES[IPV4].service
PROCESSES = ADDRESSES[IPV4].processes


@dataclasses.dataclass
class Pair:
    """A client and a server with the dispatch layer. Of its addresses, each can be asked for as if it were the pair's."""

    client: namespace.Namespace
    server: namespace.Namespace
    control: dispatch.Dispatch
    addresses: Addresses

    def __getattr__(self, name):
        if name == "addresses":  # not there yet, or there would be no end
            raise AttributeError(name)
        return getattr(self.addresses, name)

    def add_clients(self, *hosts):
        """Gives the client further addresses of its network."""
        self.client.batch(*(namespace.address(host, self.near_length, "eth0") for host in hosts))


def pair(*versions, mtu=1500, suffix=""):
    """Joins a client and a server, and sets the server's dispatch layer up.

    The pair's addresses are of the first of the versions, which is IPv4 unless told.
    """
    versions = versions or (IPV4,)
    client, server = (namespace.Namespace(f"{name}{suffix}", *versions) for name in ("client", "server"))
    first, *others = (ADDRESSES[version] for version in versions)
    near = lambda addresses, host: f"{host}/{addresses.near_length}"
    ends = (near(first, first.client_address), near(first, first.server_address))
    namespace.link(client, "eth0", ends[0], server, "eth0", ends[1], mtu)
    for each in others:
        client.batch(namespace.address(each.client_address, each.near_length, "eth0"))
        server.batch(namespace.address(each.server_address, each.near_length, "eth0"))
    for each in (first, *others):
        client.ip(f"{each.version.option} route add default via {each.server_address}")
        hosts = (each.host, each.other_host)
        server.batch(*(namespace.address(host, each.version.bits, "lo") for host in hosts))
    return Pair(client, server, dispatch.Dispatch(server, *versions).up(), first)
