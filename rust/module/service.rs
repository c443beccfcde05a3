// SPDX-License-Identifier: GPL-2.0

//! A service: the address that clients connect to, and who serves it.

use crate::{
    bindings,
    plan::{Plan, Settings},
    ports::PortInUse,
    process::Process,
    stats::{Drops, Refusals, Stats},
    tcp_dispatch_core::{
        hash::{self, Key, Secrets},
        Address, AnySocketAddress, Ipv6Address, SocketAddress,
    },
    wrappers::{
        clock,
        dst::DstCache,
        rcu::{RcuArc, RcuCell, RcuRef},
        rhashtable::{Functions, Node, RhashTable, Table},
        sock::SYN_COOKIE_VALID,
    },
};
use core::mem::offset_of;
use kernel::{
    prelude::*,
    sync::{
        atomic::{ordering, Atomic},
        rcu::Guard,
    },
};

/// A service address as the service table's key, of either family.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C, align(4))]
pub(crate) struct ServiceKey {
    ip: Ipv6Address,
    port: [u8; 2],
    /// Fills the key up to whole words, so that it has no padding.
    zero: [u8; 2],
}

impl ServiceKey {
    pub(crate) fn new(address: AnySocketAddress) -> Self {
        match address {
            AnySocketAddress::V4(address) => Self::of(address),
            AnySocketAddress::V6(address) => Self::of(address),
        }
    }

    /// The key of an address whose family is known.
    #[inline]
    pub(crate) fn of<A: Address>(address: SocketAddress<A>) -> Self {
        Self {
            ip: address.ip.to_ipv6(),
            port: address.port,
            zero: [0; 2],
        }
    }
}

impl Key for ServiceKey {
    #[inline]
    fn hash(&self, secrets: &Secrets, seed: u32) -> u32 {
        let port = u16::from_ne_bytes(self.port).into();
        hash::of_address_and(self.ip, port, secrets, seed)
    }

    #[inline]
    fn is(&self, other: &Self) -> bool {
        // By whole words.
        self.ip.to_word() == other.ip.to_word() && self.port == other.port
    }
}

/// A service.
///
/// The service table and the namespace's list refer to it while it exists, each of its processes
/// as long as that lasts.
pub(crate) struct Service {
    node: Node<ServiceKey>,
    /// See [`Self::address`].
    address: AnySocketAddress,
    /// Before it is in the table, packets are to look for it.
    _port: PortInUse,
    /// Grows from service to service in a namespace. Dumps go by it.
    pub(crate) id: u64,
    /// By what new connections are assigned. Replaced as a whole, under the namespace's control
    /// lock; read under RCU. Packets never wait for a change.
    plan: RcuCell<Plan>,
    /// How many turns were taken. Written once or more often a new connection.
    turn: Atomic<u32>,
    /// When a SYN last left no socket: seconds since boot, or [`NEVER`]. From then on, for a while,
    /// clients may answer with SYN cookies.
    cookies: Atomic<i64>,
    /// The route of packets that come in for the service address, as the last SYN had it. All have the
    /// same, if routing doesn't change.
    pub(crate) input_route: DstCache,
    /// New connections that were refused.
    pub(crate) refusals: Refusals,
    /// How many connections the connection table holds for the service.
    pub(crate) connections: Atomic<i64>,
    /// What went through the service.
    pub(crate) stats: Stats,
    /// What it refused or dropped.
    pub(crate) drops: Drops,
}

/// Long before boot.
const NEVER: i64 = i64::MIN / 2;

impl Service {
    /// Makes a service that isn't in the table yet. Process context.
    pub(crate) fn new(
        address: AnySocketAddress,
        id: u64,
        settings: Settings,
    ) -> Result<RcuArc<Self>> {
        let plan = RcuCell::new();
        plan.replace(Some(RcuArc::new(
            Plan::new(settings, KVec::new(), None)?,
            GFP_KERNEL,
        )?));
        RcuArc::new(
            Self {
                node: Node::new(ServiceKey::new(address)),
                address,
                _port: PortInUse::new(address.port()),
                id,
                plan,
                turn: Atomic::new(0),
                cookies: Atomic::new(NEVER),
                input_route: DstCache::new(),
                refusals: Refusals::new(),
                connections: Atomic::new(0),
                stats: Stats::new(GFP_KERNEL)?,
                drops: Drops::new(GFP_KERNEL)?,
            },
            GFP_KERNEL,
        )
    }

    /// The address that clients connect to.
    pub(crate) fn address(&self) -> AnySocketAddress {
        self.address
    }

    /// By what new connections are assigned now. `None` only of a service that is being taken away.
    #[inline]
    pub(crate) fn plan<'rcu>(&self, guard: &'rcu Guard) -> Option<RcuRef<'rcu, Plan>> {
        self.plan.read(guard)
    }

    /// The plan as it is now, to keep.
    pub(crate) fn whole_plan(&self) -> Result<RcuArc<Plan>> {
        self.plan
            .read(&Guard::new())
            .and_then(|plan| plan.upgrade())
            .ok_or(ENOENT)
    }

    /// How many connections the connection table holds for the service.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(ordering::Relaxed).max(0) as u64
    }

    /// Whose turn it is.
    pub(crate) fn next_turn(&self) -> u32 {
        self.turn.fetch_add(1, ordering::Relaxed)
    }

    /// Notes that a SYN left no socket.
    pub(crate) fn expect_cookies(&self) {
        let now = clock::seconds();
        if self.cookies.load(ordering::Relaxed) != now {
            self.cookies.store(now, ordering::Relaxed);
        }
    }

    /// Whether an acknowledgement of an unknown connection may answer a SYN cookie.
    pub(crate) fn expects_cookies(&self) -> bool {
        let since = clock::seconds() - self.cookies.load(ordering::Relaxed);
        since <= SYN_COOKIE_VALID
    }

    /// Puts a plan of `settings` and `processes` in place of what is there. Process context.
    pub(crate) fn set_plan(
        &self,
        settings: Settings,
        processes: KVec<RcuArc<Process>>,
        _held: ControlHeld,
    ) -> Result {
        let before = self.whole_plan()?;
        let plan = Plan::new(settings, processes, Some(&before))?;
        self.plan.replace(Some(RcuArc::new(plan, GFP_KERNEL)?));
        Ok(())
    }

    /// Takes the plan away, without which processes and service would keep each other.
    pub(crate) fn clear_plan(&self, _held: ControlHeld) {
        self.plan.replace(None);
    }
}

/// Evidence that the namespace's control lock is held, or that nobody else can reach it.
#[derive(Clone, Copy)]
pub(crate) struct ControlHeld(());

impl ControlHeld {
    /// To be called by [`crate::dispatch_net`] alone, with the lock held.
    pub(crate) fn new() -> Self {
        Self(())
    }
}

/// Services by their address.
pub(crate) struct ByAddress;

// SAFETY: The node is at its offset, and the functions are those of the table with this key.
unsafe impl Table for ByAddress {
    type Key = ServiceKey;
    type Entry = Service;
    const NODE: usize = offset_of!(Service, node);
    const FUNCTIONS: Functions = Functions {
        init: bindings::tcp_dispatch_services_init,
        insert: bindings::tcp_dispatch_services_insert,
        remove: bindings::tcp_dispatch_services_remove,
    };
}

/// The services of a namespace, found under RCU. Changed under the control lock.
pub(crate) type ServiceTable = RhashTable<ByAddress>;
