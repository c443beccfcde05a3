# SPDX-License-Identifier: GPL-2.0
"""Requests that name services, processes and connections, and how the netlink family refuses them."""

from . import check, family
from .family import CONNECTION, PROCESS, SERVICE
from .netlink import NLM_F_ACK, NetlinkError, attribute

# Operation: attribute set and the addresses that it must have.
OPERATIONS = {
    family.SERVICE_ADD: (SERVICE, ["service-address"]),
    family.SERVICE_DEL: (SERVICE, ["service-address"]),
    family.SERVICE_GET: (SERVICE, ["service-address"]),
    family.PROCESS_ADD: (PROCESS, ["service-address", "process-address"]),
    family.PROCESS_DEL: (PROCESS, ["service-address", "process-address"]),
    family.PROCESS_GET: (PROCESS, ["service-address", "process-address"]),
    family.CONNECTION_ADD: (CONNECTION, ["client-address", "service-address", "process-address"]),
    family.CONNECTION_DEL: (CONNECTION, ["client-address", "service-address"]),
    family.CONNECTION_GET: (CONNECTION, ["client-address", "service-address"]),
}


def refused(control, name, operation, attributes=b"", flags=NLM_F_ACK):
    """The request must fail with the errno of this name (or one of them), and say why."""
    error = check.raises(NetlinkError, control.socket().request, operation, attributes, flags)
    names = (name,) if isinstance(name, str) else name
    check.true(error.name in names, f"operation {operation}: got {error}, want {name}")
    check.true(error.message, f"operation {operation}: {error.name} without a word of explanation")
    return error


def with_address(valid, names, needed, at, halves):
    """A request of `valid` addresses whose address `at` is made of these halves, and the address's attribute type."""
    kind = family.number(names, at)
    others = {name: valid[name] for name in needed if name != at}
    return attribute(kind, halves, nested=True) + family.encode(names, **others), kind
