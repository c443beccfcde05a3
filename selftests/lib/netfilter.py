# SPDX-License-Identifier: GPL-2.0
"""Netfilter of a namespace: nftables' rules and counters, and what conntrack has."""

import contextlib
import dataclasses
import ipaddress
import json

from .ip import IPV6, endpoint

# What IPv6 needs on a link, as IPv4 needs ARP, which iptables' heirs don't see.
_NEIGHBOURS = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept"


@contextlib.contextmanager
def rules(namespace, version, text):
    """A table of nftables, for the time being; what it gives says what its counters count, by name."""
    table = (version.table, "test")

    def counted():
        listed = json.loads(namespace.run("nft", "-j", "list", "counters", "table", *table))
        counters = (each["counter"] for each in listed["nftables"] if "counter" in each)
        return {each["name"]: each["packets"] for each in counters}

    namespace.run("nft", "-f", "-", stdin=f"table {' '.join(table)} {{\n{text}\n}}\n")
    try:
        yield counted
    finally:
        namespace.run("nft", "delete", "table", *table)


def stateful(version, hooks, accepted, lo=False, out=()):
    """Chains that let through what is of connections, and new ones that `accepted` accepts, `out` on the way out; all
    else is dropped.

    With `lo`, packets of this computer to itself are let through before. The counters are `invalid`, of segments
    that conntrack takes for no connection's, and `dropped`.
    """
    chains = ["counter invalid { }", "counter dropped { }"]
    for hook in hooks:
        lines = [
            f"type filter hook {hook} priority 0; policy drop",
            *([f"{'oif' if hook == 'output' else 'iif'} lo accept"] if lo else []),
            *([_NEIGHBOURS] if version is IPV6 else []),
            "ct state invalid counter name invalid drop",
            "ct state established,related accept",
            *(out if hook == "output" else accepted),
            "meta l4proto tcp counter name dropped",
        ]
        chains.append(f"chain {hook} {{\n" + "\n".join(lines) + "\n}")
    return "\n".join(chains)


@dataclasses.dataclass(frozen=True)
class Tracked:
    """A TCP connection as conntrack has it: source and destination of its packets, and of those that answer them."""

    state: str
    source: str
    destination: str
    answers_source: str
    answers_destination: str
    assured: bool

    @property
    def hosts(self):
        """All its addresses, without ports."""
        ends = (self.source, self.destination, self.answers_source, self.answers_destination)
        return {end.rsplit(":", 1)[0].strip("[]") for end in ends}


def tracked(namespace):
    """The TCP connections that conntrack has of a namespace."""
    with namespace, open("/proc/thread-self/net/nf_conntrack", encoding="ascii") as file:
        lines = [line.split() for line in file]
    return [_tracked(words) for words in lines if words[2] == "tcp"]


def _tracked(words):
    values = [word.split("=") for word in words if "=" in word]
    hosts = [str(ipaddress.ip_address(value)) for name, value in values if name in ("src", "dst")]
    ports = [int(value) for name, value in values if name in ("sport", "dport")]
    state = next(word for word in words[5:] if "=" not in word)
    return Tracked(state, *map(endpoint, hosts, ports), "[ASSURED]" in words)
