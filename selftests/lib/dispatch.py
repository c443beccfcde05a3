# SPDX-License-Identifier: GPL-2.0
"""The dispatch layer of a namespace, as its control sees it."""

import contextlib
import os
import struct

from . import command, family, ip, netlink, wait

RANGES = {ip.IPV4: "10.77.0.0/16", ip.IPV6: "fd77::/64"}

_all = []


class Dispatch:
    """Control of the layer in one namespace, or in the present one.

    `versions` are those of IP that `up` sets up, IPv4 unless told.
    """

    def __init__(self, namespace, *versions):
        self.namespace = namespace
        self._versions = versions or (ip.IPV4,)
        self._sockets = {}
        if namespace:
            _all.append(self)

    def up(self, *arguments):
        """Sets devices, routes and ranges up, as an administrator does."""
        ranges = [word for version in self._versions for word in ("--range", RANGES[version])]
        self.tool("up", *ranges, *arguments)
        return self

    def tool(self, *arguments):
        """Runs dispatchctl, which must succeed; returns what it prints."""
        with self.namespace or contextlib.nullcontext():
            return command.run("dispatchctl", *arguments)

    def socket(self):
        """This process's netlink socket in the namespace."""
        pid = os.getpid()
        if pid not in self._sockets:
            with self.namespace or contextlib.nullcontext():
                self._sockets[pid] = netlink.Socket(family.NAME)
        return self._sockets[pid]

    def forget_sockets(self):
        """Needed once the module was unloaded: its family gets another number."""
        self._sockets.clear()

    def service_add(self, service, **settings):
        """Adds a service."""
        self._service(family.SERVICE_ADD, service, settings)

    def service_set(self, service, **settings):
        """Changes a service."""
        self._service(family.SERVICE_SET, service, settings)

    def _service(self, operation, service, settings):
        self.socket().request(operation, family.encode(family.SERVICE, service_address=service, **settings))

    def service_del(self, service):
        """Deletes a service."""
        self.socket().request(family.SERVICE_DEL, family.encode(family.SERVICE, service_address=service))

    def process_add(self, service, *processes, **settings):
        """Registers processes."""
        for process in processes:
            self._process(family.PROCESS_ADD, service, process, **settings)

    def process_set(self, service, process, **settings):
        """Changes a registration."""
        self._process(family.PROCESS_SET, service, process, **settings)

    def process_del(self, service, *processes):
        """Deletes registrations."""
        for process in processes:
            self._process(family.PROCESS_DEL, service, process)

    def _process(self, operation, service, process, **settings):
        values = family.encode(family.PROCESS, service_address=service, process_address=process, **settings)
        self.socket().request(operation, values)

    def serve(self, service, *processes, **settings):
        """Adds a service and its processes."""
        self.service_add(service, **settings)
        self.process_add(service, *processes)

    def connection_add(self, client, service, process):
        """Assigns a connection by hand."""
        values = family.encode(
            family.CONNECTION, client_address=client, service_address=service, process_address=process
        )
        self.socket().request(family.CONNECTION_ADD, values)

    def connection_del(self, client, service):
        """Deletes a connection's entry."""
        values = family.encode(family.CONNECTION, client_address=client, service_address=service)
        self.socket().request(family.CONNECTION_DEL, values)

    def services(self):
        """All services, by address."""
        replies = self.socket().dump(family.SERVICE_GET)
        return {each["service-address"]: each for each in (family.decode(family.SERVICE, one) for one in replies)}

    def service(self, service):
        """One service."""
        asked = family.encode(family.SERVICE, service_address=service)
        (reply,) = self.socket().request(family.SERVICE_GET, asked)
        return family.decode(family.SERVICE, reply)

    def processes(self, service=None):
        """The registrations, by service and process address."""
        asked = family.encode(family.PROCESS, service_address=service)
        replies = (family.decode(family.PROCESS, one) for one in self.socket().dump(family.PROCESS_GET, asked))
        return {(each["service-address"], each["process-address"]): each for each in replies}

    def process(self, service, process):
        """One registration, or None."""
        return self.processes(service).get((service, process))

    def shares(self, service):
        """How many connections each process of a service has got, by its address."""
        return {process: each["stats"]["connections"] for (_, process), each in self.processes(service).items()}

    def connections(self, service=None, process=None, client=None, **filters):
        """The connections that the table holds, each once."""
        asked = family.encode(family.CONNECTION, service_address=service, process_address=process, **filters)
        replies = [family.decode(family.CONNECTION, one) for one in self.socket().dump(family.CONNECTION_GET, asked)]
        unique = {(each["client-address"], each["service-address"]): each for each in replies}
        return [each for each in unique.values() if client in (None, each["client-address"])]

    def net(self):
        """What holds for the whole namespace."""
        (reply,) = self.socket().request(family.NET_GET)
        return family.decode(family.NET, reply)

    def drops(self, reason, service=None):
        """A drop counter of the namespace, or of a service."""
        return (self.service(service) if service else self.net())["drops"].get(reason, 0)

    def limit(self, connections):
        """Sets max-connections."""
        values = family.encode(family.NET, max_connections=struct.pack("=I", connections))
        self.socket().request(family.NET_SET, values)

    def prefix(self, network, bits):
        """Sets the process prefix of the network's version."""
        name = "process_prefix" if ip.version_of(network) is ip.IPV4 else "process_prefix_ipv6"
        values = family.encode(family.NET, **{name: network, f"{name}_len": struct.pack("=B", bits)})
        self.socket().request(family.NET_SET, values)

    def empty(self, service=None):
        """Waits until the table holds no connection (of the service)."""
        wait.until(lambda: not self.connections(service), "the connection table gets empty", wait.DEADLINE * 2)

    def reset(self):
        """Deletes all services."""
        for service in self.services():
            self.service_del(service)


def reset_all():
    """Leaves no service to the next test."""
    for each in _all:
        each.forget_sockets()
        if each.namespace.exists():
            each.reset()
