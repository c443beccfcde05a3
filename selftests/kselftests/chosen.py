# SPDX-License-Identifier: GPL-2.0
"""Which of the kernel's own selftests run: those that exercise TCP, and run in the VM at all."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Kselftest:
    """A selftest of the kernel's: a program of tools/testing/selftests/net, with its arguments."""

    program: str
    arguments: tuple = ()
    is_long: bool = False

    @property
    def name(self):
        """What it is called in reports."""
        return " ".join([self.program, *self.arguments])

    @property
    def directory(self):
        """Where it must be started, below tools/testing/selftests/net."""
        return self.program.rpartition("/")[0]

    @property
    def argv(self):
        """How it is started there."""
        return [f"./{self.program.rpartition('/')[2]}", *self.arguments]


def _each(program, *choices, **settings):
    return [Kselftest(program, tuple(choice.split()), **settings) for choice in choices]


# They have AF_INET or AF_INET6 compiled in.
_TCP_AO = [
    "connect",
    "connect-deny",
    "icmps-accept",
    "icmps-discard",
    "key-management",
    "restore",
    "rst",
    "self-connect",
    "seq-ext",
    "setsockopt-closed",
    "unsigned-md5",
]

# Without those in which many processes have 30 s for what takes emulation about as long.
_TLS = tuple(
    word
    for send in ("", "sendpage_")
    for most in ("even", "readers", "writers")
    for word in ("-T", f"mutliproc_{send}{most}")
)

ALL = [
    # Binding and listening.
    Kselftest("bind_timewait"),
    Kselftest("bind_wildcard"),
    *_each("bind_bhash.sh", "-4", "-6"),
    Kselftest("ip_local_port_range.sh"),
    Kselftest("reuseaddr_conflict"),
    Kselftest("reuseaddr_ports_exhausted.sh"),
    Kselftest("reuseport_addr_any.sh"),
    Kselftest("reuseport_bpf"),
    Kselftest("reuseport_bpf_cpu"),
    Kselftest("reuseport_dualstack"),
    Kselftest("sk_bind_sendto_listen"),
    Kselftest("so_incoming_cpu"),
    Kselftest("stress_reuseport_listen.sh"),
    Kselftest("tcp_port_share"),
    # Connecting.
    Kselftest("sk_connect_zero_addr"),
    Kselftest("socket"),
    Kselftest("tcp_fastopen_backup_key.sh", is_long=True),
    # Data.
    *_each("msg_zerocopy.sh", "4 tcp -t 1", "6 tcp -t 1"),
    Kselftest("sk_so_peek_off"),
    *_each("tcp_inq", "-4", "-6"),
    Kselftest("tls", _TLS, is_long=True),
    # Signed segments. The kernel's settings allow each 120 s on hardware.
    *(Kselftest(f"tcp_ao/{name}_{version}") for name in _TCP_AO for version in ("ipv4", "ipv6")),
    # MPTCP.
    *_each("mptcp/mptcp_sockopt", "", "-6"),
    *_each("mptcp/mptcp_inq", "-t tcp", "-6 -t tcp", "-r tcp", "-6 -r tcp", "-r tcp -t tcp"),
    Kselftest("mptcp/diag.sh", is_long=True),
    Kselftest("mptcp/mptcp_sockopt.sh", is_long=True),
    # Nothing of it is up to chance: no delay, no loss, and a length.
    *_each("mptcp/mptcp_connect.sh", "-t -t -d 0 -l 0% -r 0 -e gro -f 50000", is_long=True),
    # Netfilter and IPVS.
    Kselftest("netfilter/conntrack_tcp_unreplied.sh"),
    Kselftest("netfilter/conntrack_vrf.sh"),
    Kselftest("netfilter/ipvs.sh"),
    Kselftest("netfilter/nf_nat_edemux.sh"),
    Kselftest("netfilter/nft_conntrack_helper.sh"),
    Kselftest("netfilter/nft_flowtable.sh", is_long=True),
    Kselftest("netfilter/nft_nat.sh"),
    Kselftest("netfilter/nft_nat_zones.sh", is_long=True),
    Kselftest("netfilter/nft_synproxy.sh"),
    Kselftest("netfilter/nft_tproxy_tcp.sh"),
    # Routes and links.
    Kselftest("tcp_ecmp_failover.sh"),
    # Those of its tests that transfer by TCP.
    *_each("pmtu.sh", "pmtu_ipv4_br_vxlan4_exception", "pmtu_ipv6_br_vxlan6_exception"),
    Kselftest("icmp.sh"),
    Kselftest("vrf_route_leaking.sh", is_long=True),
    *_each("fcnal-test.sh", "-t ipv4_tcp", "-t ipv6_tcp", is_long=True),
]

# Those that exercise TCP and are left out, and why.
LEFT_OUT = {
    "packetdrill/*.pkt": "Debian has no packetdrill",
    "tfo_passive.sh": "Debian's kernel has no netdevsim",
    "big_tcp.sh": "needs netperf, which Debian's main has not",
    "gre_gso.sh": "gives a transfer one second",
    "tcp_mmap": "measures, by 32 GB",
    "fin_ack_lat.sh": "measures latency, which emulation has none of",
    "epoll_busy_poll": "needs libcap's headers",
    "reuseport_bpf_numa": "needs NUMA nodes, and libnuma's headers",
    "test_so_rcv.sh": "is about UDP",
    "lib/gro": "needs Python libraries of the kernel's and two machines",
    "io_uring_zerocopy_tx.sh": "needs a device that can",
    "mptcp/mptcp_join.sh": "is long: the kernel's settings allow it half an hour on hardware",
    "mptcp/simult_flows.sh": "measures time",
    "mptcp/mptcp_connect_*.sh": "mptcp_connect.sh once more",
    "tcp_ao/bench-lookups": "measures",
    "netfilter/nft_queue.sh": "needs libmnl's headers",
    "netfilter/nft_concat_range.sh": "is about sets, by packets of all protocols",
    "netfilter/nf_conntrack_packetdrill.sh": "Debian has no packetdrill",
}
