# SPDX-License-Identifier: GPL-2.0
"""The topologies that several files share.

    client                       server
    198.51.100.2/24 eth0 ─────── eth0 198.51.100.1/24
                                 lo   192.0.2.1, 192.0.2.2: service addresses
                                 10.77.0.0/16: process addresses
"""

import dataclasses

from . import dispatch, namespace

CLIENT, SERVER = "198.51.100.2", "198.51.100.1"
HOST = "192.0.2.1"
SERVICE = f"{HOST}:80"
OTHER_HOST = "192.0.2.2"
PROCESSES = ["10.77.0.1:80", "10.77.0.2:80", "10.77.0.3:80"]


@dataclasses.dataclass
class Pair:
    """A client and a server with the dispatch layer."""

    client: namespace.Namespace
    server: namespace.Namespace
    control: dispatch.Dispatch


def pair(mtu=1500, suffix=""):
    """Joins a client and a server, and sets the server's dispatch layer up."""
    client, server = namespace.Namespace(f"client{suffix}"), namespace.Namespace(f"server{suffix}")
    namespace.link(client, "eth0", f"{CLIENT}/24", server, "eth0", f"{SERVER}/24", mtu)
    client.ip(f"route add default via {SERVER}")
    server.batch(f"addr add {HOST}/32 dev lo", f"addr add {OTHER_HOST}/32 dev lo")
    return Pair(client, server, dispatch.Dispatch(server).up())
