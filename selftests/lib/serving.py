# SPDX-License-Identifier: GPL-2.0
"""A service whose processes are servers as they come from the distribution."""

import dataclasses

from . import topology


@dataclasses.dataclass
class Serving:
    """Client and server, with several servers of one kind behind a service."""

    pair: topology.Pair
    servers: list
    service: str

    def serve(self, **settings):
        """Adds the service and its processes."""
        self.pair.control.serve(self.service, *[each.address for each in self.servers], **settings)
