// SPDX-License-Identifier: GPL-2.0

//! What a network namespace has of the layer.

mod control;

pub(crate) use control::ControlGuard;

use crate::{
    affinity::AffinityTable,
    connection::{Connection, ConnectionCount, ConnectionRef, InsertError},
    expire,
    family::{Family, FamilyNet},
    module_parameters, ports,
    process::State,
    service::{Service, ServiceKey, ServiceTable},
    settle,
    stats::Drops,
    tcp_dispatch_core::{AnySocketAddress, Ipv4Address, Ipv6Address, Tuple},
    wrappers::{
        delayed_work::{DelayedWork, HasDelayedWork},
        l3_rx_handler,
        net::{Net, Owner, Pernet, PernetOperations},
        netlink_notifier::SocketReleased,
        rcu::{read_once, RcuArc, RcuRef},
        trace,
    },
};
use control::Control;
use core::mem::offset_of;
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{ordering, Atomic},
        rcu::Guard,
        Mutex,
    },
    time::Msecs,
};
use pin_init::{pin_data, pinned_drop, PinInit};

/// Which work of a namespace is which, for [`HasDelayedWork`].
const SWEEP: usize = 0;
const SETTLE: usize = 1;
const CHECK_SOURCES: usize = 2;

/// The state of a network namespace.
#[pin_data(PinnedDrop)]
pub(crate) struct DispatchNet {
    /// Ends connections, see [`expire`]. Before the rest, so that it is dropped while that is there.
    #[pin]
    sweep: DelayedWork<Self, SWEEP>,
    /// Ends processes, see [`settle`]. Behind `sweep`, which may schedule it.
    #[pin]
    settle: DelayedWork<Self, SETTLE>,
    /// Has packets' sources be looked at, see [`Self::note_direct_client`].
    #[pin]
    check_sources: DelayedWork<Self, CHECK_SOURCES>,
    /// What there is of IPv4. Has rules of its own.
    #[pin]
    pub(crate) ipv4: FamilyNet<Ipv4Address>,
    /// What there is of IPv6. Has rules of its own.
    #[pin]
    pub(crate) ipv6: FamilyNet<Ipv6Address>,
    /// Read under RCU, changed under `control`.
    #[pin]
    services: ServiceTable,
    /// The largest packet that TCP makes for a process, in bytes. Set under RTNL, read by SYNs.
    port_mtu: Atomic<u32>,
    /// See [`EarlyDemux::misses_devices`](l3_rx_handler::EarlyDemux::misses_devices).
    pub(crate) misses_devices: Atomic<i32>,
    /// Of both families.
    pub(crate) connection_count: ConnectionCount,
    /// Has rules of its own.
    #[pin]
    pub(crate) affinities: AffinityTable,
    /// How many sweeps have begun, and how many are done. Written by the sweep.
    pub(crate) sweeps: Atomic<i64>,
    pub(crate) sweeps_done: Atomic<i64>,
    /// Packets dropped that belong to no service.
    pub(crate) drops: Drops,
    /// How many registrations belong to netlink sockets. Changed under `control`; read without, by
    /// each netlink socket that is closed.
    socket_owned: Atomic<i32>,
    /// What only netlink and [`settle`] use. Taken in process context alone.
    #[pin]
    control: Mutex<Control>,
    /// Points back.
    owner: Owner,
}

static OPERATIONS: PernetOperations<DispatchNet> = PernetOperations::new();

impl Pernet for DispatchNet {
    fn operations() -> &'static PernetOperations<Self> {
        &OPERATIONS
    }

    fn new(owner: Owner) -> impl PinInit<Self, Error> {
        let limit = module_parameters::max_connections.value();
        pin_init::pin_init!(Self {
            sweep <- DelayedWork::new(),
            settle <- DelayedWork::new(),
            check_sources <- DelayedWork::new(),
            ipv4 <- FamilyNet::new(),
            ipv6 <- FamilyNet::new(),
            services <- ServiceTable::new(),
            port_mtu: Atomic::new(u32::MAX),
            misses_devices: Atomic::new(0),
            connection_count: ConnectionCount::new(limit),
            affinities <- AffinityTable::new(),
            sweeps: Atomic::new(0),
            sweeps_done: Atomic::new(0),
            drops: Drops::new(GFP_KERNEL)?,
            socket_owned: Atomic::new(0),
            control <- new_mutex!(Control::new(), "tcp_dispatch_control"),
            owner,
        }? Error)
    }
}

// SAFETY: `sweep` is at this offset.
unsafe impl HasDelayedWork<SWEEP> for DispatchNet {
    const OFFSET: usize = offset_of!(Self, sweep);

    fn run(&self) -> Option<Msecs> {
        expire::sweep(self)
    }
}

// SAFETY: `settle` is at this offset.
unsafe impl HasDelayedWork<SETTLE> for DispatchNet {
    const OFFSET: usize = offset_of!(Self, settle);

    fn run(&self) -> Option<Msecs> {
        settle::settle(self)
    }
}

// SAFETY: `check_sources` is at this offset.
unsafe impl HasDelayedWork<CHECK_SOURCES> for DispatchNet {
    const OFFSET: usize = offset_of!(Self, check_sources);

    fn run(&self) -> Option<Msecs> {
        l3_rx_handler::check_sources();
        None
    }
}

impl SocketReleased for DispatchNet {
    fn released(net: &Net, portid: u32) {
        let state = Self::of(net, &Guard::new());
        if state.socket_owned.load(ordering::Relaxed) != 0 {
            state.control().remove_of_socket(portid);
        }
    }
}

impl DispatchNet {
    /// The state of `net`. Any context.
    #[inline]
    pub(crate) fn of<'a>(net: &'a Net, guard: &Guard) -> &'a Self {
        OPERATIONS.get(net, guard)
    }

    /// The namespace.
    pub(crate) fn net(&self) -> &Net {
        self.owner.net()
    }

    /// Whether there is a range of process addresses of the family of `address`.
    pub(crate) fn has_process_prefix(&self, address: AnySocketAddress, guard: &Guard) -> bool {
        match address {
            AnySocketAddress::V4(_) => !self.ipv4.process_prefix(guard).is_empty(),
            AnySocketAddress::V6(_) => !self.ipv6.process_prefix(guard).is_empty(),
        }
    }

    /// Whether `address` is of its family's range of process addresses.
    pub(crate) fn is_process_address(&self, address: AnySocketAddress, guard: &Guard) -> bool {
        match address {
            AnySocketAddress::V4(address) => self.ipv4.process_prefix(guard).contains(address.ip),
            AnySocketAddress::V6(address) => self.ipv6.process_prefix(guard).contains(address.ip),
        }
    }

    /// The service at `address`.
    pub(crate) fn find_service<'rcu>(
        &self,
        address: AnySocketAddress,
        guard: &'rcu Guard,
    ) -> Option<RcuRef<'rcu, Service>> {
        self.services.lookup(&ServiceKey::new(address), guard)
    }

    /// The service that a packet is for.
    #[inline]
    pub(crate) fn service_of<'rcu, A: Family>(
        &self,
        tuple: &Tuple<A>,
        guard: &'rcu Guard,
    ) -> Option<RcuRef<'rcu, Service>> {
        self.services
            .lookup(&ServiceKey::of(tuple.destination()), guard)
    }

    /// The largest packet that TCP makes for a process, in bytes.
    #[inline]
    pub(crate) fn port_mtu(&self) -> u32 {
        read_once(&self.port_mtu)
    }

    /// The MTU of the port is `mtu` now; without one nothing is known.
    pub(crate) fn set_port_mtu(&self, mtu: Option<u32>) {
        let mtu = mtu.unwrap_or(u32::MAX);
        self.port_mtu.store(mtu, ordering::Relaxed);
    }

    /// Puts a connection into the table, and sees to it that it is ended one day. Any context.
    pub(crate) fn insert<A: Family>(
        &self,
        connection: &RcuArc<Connection<A>>,
        guard: &Guard,
    ) -> Result<(), InsertError> {
        let table = &A::of(self).connections;
        if table.insert(connection, &self.connection_count, guard)? == 0 {
            self.sweep.schedule(expire::INTERVAL);
        }
        Ok(())
    }

    /// Takes a connection out of the table. Any context. `false` if somebody else did.
    pub(crate) fn remove<A: Family>(&self, connection: ConnectionRef<'_, A>) -> bool {
        let table = &A::of(self).connections;
        let Some(last) = table.remove(connection, &self.connection_count) else {
            return false;
        };
        if !connection.is_in_the_making() {
            trace::expired(
                A::any(connection.client()),
                A::any(connection.service_address()),
                A::any(connection.process_address()),
            );
        }
        if last && connection.process.state() == State::Draining {
            self.settle.expedite();
        }
        true
    }

    /// Notes that a client on this computer connects to `port`, in network byte order, at a process address
    /// itself. Any context.
    pub(crate) fn note_direct_client(&self, port: [u8; 2]) {
        if ports::note_direct_client(port) {
            self.check_sources.expedite();
        }
    }

    /// Lets [`settle`] run.
    pub(crate) fn settle(&self) {
        self.settle.expedite();
    }
}

#[pinned_drop]
impl PinnedDrop for DispatchNet {
    /// The namespace is gone, or the module is about to be: nobody else refers to the state.
    fn drop(self: Pin<&mut Self>) {
        // The tables drop their entries. Only services and their processes would keep each other; and
        // nothing may schedule work any longer when that is dropped, right after this.
        self.control().clear();
    }
}
