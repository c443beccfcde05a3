// SPDX-License-Identifier: GPL-2.0

//! tcp_dispatch: a dispatch layer between IP and TCP.
//!
//! Many daemons on one computer serve one address. A client's new connection is given to one of
//! them; its packets' destination is rewritten to that daemon's own address before TCP sees them,
//! and the source of what the daemon sends is rewritten back before IP sees it.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `connection` | the data: a connection, and the table that packets find it in |
//! | `service`, `process` | what daemons are registered for |
//! | `plan` | a service's settings and processes, by which new connections are assigned |
//! | `affinity` | which process a client had before |
//! | `dispatch_net` | all of it, per network namespace; `dispatch_net/control` what changes it |
//! | `family` | what there is once for IPv4 and once for IPv6 |
//! | `early_demux`, `ingress`, `egress`, `icmp` | the fast path: a packet of a known connection |
//! | `assign`, `choice`, `reuse`, `cookie`, `refuse`, `mss`, `syn_route`, `way_back` | the slow path: a connection's first packet |
//! | `expire`, `abort` | the end of connections, and an early one |
//! | `settle` | the end of processes: of those whose owner died, and of those that drain |
//! | `ports` | which ports there are any of these at |
//! | `stats` | counters |
//! | `control/` | the netlink family's operations |
//! | `wrappers/`, `bindings/` | the border to C, where `unsafe` is; elsewhere only where a field is |
//! | `../core/` | what needs no kernel, tested on the host |

use kernel::{prelude::*, sync::rcu::Guard};

mod abort;
mod affinity;
mod assign;
mod bindings;
mod choice;
mod connection;
mod control;
mod cookie;
mod dispatch_net;
mod early_demux;
mod egress;
mod expire;
mod family;
mod icmp;
mod ingress;
mod loopback;
mod mss;
mod plan;
mod ports;
mod process;
mod refuse;
mod reuse;
mod service;
mod settle;
mod stats;
mod stray;
mod syn_route;
#[path = "../core/src/lib.rs"]
mod tcp_dispatch_core;
mod way_back;
mod wrappers;

use dispatch_net::DispatchNet;
use family::Family;
use tcp_dispatch_core::{Ipv4Address, Ipv6Address};
use wrappers::{
    genetlink::FamilyRegistration,
    l3_rx_handler::L3RxHandler,
    net::{Net, Pernet, PernetRegistration},
    net_device::{LinkKind, Output, OutputOf},
    net_protocol::{Layer, TcpHook, Verdict},
    netlink_notifier::NetlinkNotifier,
    rcu::Barrier,
    secrets,
    sk_buff::SkBuff,
};

module! {
    type: TcpDispatch,
    name: "tcp_dispatch",
    authors: ["The tcp_dispatch developers"],
    description: "Dispatch layer between IP and TCP: many daemons behind one address",
    license: "GPL v2",
    params: {
        max_connections: u32 {
            default: 262144,
            description: "How many connections the table of a new network namespace may hold",
        },
    },
}

/// The layer, as the two hooks see it.
struct Dispatch;

impl<A: Family> Layer<A> for Dispatch {
    #[inline]
    fn is_unrelated(skb: &SkBuff, guard: &Guard) -> bool {
        ingress::is_unrelated::<A>(skb, guard)
    }

    #[inline]
    fn receive(skb: &mut SkBuff, guard: &Guard) -> Verdict {
        ingress::receive::<A>(skb, guard)
    }

    fn receive_error(skb: &mut SkBuff, transport: usize, guard: &Guard) {
        icmp::receive_error::<A>(skb, transport, guard);
    }
}

impl Output for Dispatch {
    const KIND: &'static CStr = c"tcp_dispatch";

    fn largest_mtu(net: &Net, mtu: Option<u32>) {
        DispatchNet::of(net, &Guard::new()).set_port_mtu(mtu);
    }
}

impl<A: Family> OutputOf<A> for Dispatch {
    #[inline]
    fn send(net: &Net, skb: &mut SkBuff, guard: &Guard) -> bool {
        egress::send::<A>(net, skb, guard)
    }
}

/// The loaded module. Unloading drops the fields in this order: packets get no sockets before TCP
/// looks for them, stop coming in, then going out, then requests and word of closed sockets, and then
/// the state that all of them used goes.
struct TcpDispatch {
    _early_demux: L3RxHandler<DispatchNet>,
    _ipv4_ingress: TcpHook<Dispatch, Ipv4Address>,
    /// Not there if the kernel was started without IPv6.
    _ipv6_ingress: Option<TcpHook<Dispatch, Ipv6Address>>,
    _egress: LinkKind<Dispatch>,
    _control: FamilyRegistration,
    _sockets: NetlinkNotifier<DispatchNet>,
    _state: PernetRegistration<DispatchNet>,
    _barrier: Barrier,
}

impl kernel::Module for TcpDispatch {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let _barrier = Barrier;
        // SAFETY: There is no table yet.
        unsafe { secrets::draw() };
        let _state = DispatchNet::operations().register()?;
        let _sockets = NetlinkNotifier::register()?;
        let _control = FamilyRegistration::new()?;
        let _egress = LinkKind::register()?;
        let _ipv4_ingress = TcpHook::install()?;
        let _ipv6_ingress = match TcpHook::install() {
            Err(error) if error == ENOPROTOOPT => None,
            installed => Some(installed?),
        };
        let _early_demux = L3RxHandler::install()?;
        Ok(Self {
            _early_demux,
            _ipv4_ingress,
            _ipv6_ingress,
            _egress,
            _control,
            _sockets,
            _state,
            _barrier,
        })
    }
}
