// SPDX-License-Identifier: GPL-2.0

//! A service: the address that clients connect to, and who serves it.

use crate::{
    bindings,
    process::Process,
    stats::{Drops, Stats},
    tcp_dispatch_core::{schedule, SocketAddress},
    wrappers::{
        rcu::{RcuArc, RcuCell},
        rhashtable::{Functions, Node, RhashTable, Table},
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

/// A service address as the service table's key.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C, align(4))]
pub(crate) struct ServiceKey {
    address: SocketAddress,
    /// Fills the key up to whole words, so that it has no padding.
    zero: [u8; 2],
}

impl ServiceKey {
    #[inline]
    pub(crate) fn new(address: SocketAddress) -> Self {
        Self {
            address,
            zero: [0; 2],
        }
    }
}

/// A service.
///
/// The service table and the namespace's list refer to it while it exists, each of its processes
/// as long as that lasts.
pub(crate) struct Service {
    node: Node<ServiceKey>,
    /// Grows from service to service in a namespace. Dumps go by it.
    pub(crate) id: u64,
    /// The registered processes, in the order of their registration; empty if there are none.
    /// Replaced as a whole, under the namespace's control lock; read under RCU. Packets never wait
    /// for a change.
    processes: RcuCell<KVec<RcuArc<Process>>>,
    /// How many times round robin has chosen. Written once a new connection.
    chosen: Atomic<u32>,
    /// How many connections the connection table holds for the service.
    pub(crate) connections: Atomic<i64>,
    /// What went through the service.
    pub(crate) stats: Stats,
    /// What it refused or dropped.
    pub(crate) drops: Drops,
}

impl Service {
    /// Makes a service that isn't in the table yet. Process context.
    pub(crate) fn new(address: SocketAddress, id: u64) -> Result<RcuArc<Self>> {
        RcuArc::new(
            Self {
                node: Node::new(ServiceKey::new(address)),
                id,
                processes: RcuCell::new(),
                chosen: Atomic::new(0),
                connections: Atomic::new(0),
                stats: Stats::new(GFP_KERNEL)?,
                drops: Drops::new(GFP_KERNEL)?,
            },
            GFP_KERNEL,
        )
    }

    /// The address that clients connect to.
    pub(crate) fn address(&self) -> SocketAddress {
        self.node.key().address
    }

    /// The registered processes, in the order of their registration.
    pub(crate) fn registered<'rcu>(&self, guard: &'rcu Guard) -> &'rcu [RcuArc<Process>] {
        self.processes
            .read(guard)
            .map_or(&[], |processes| processes.get().as_slice())
    }

    /// The processes in the order in which they are to be tried for a new connection: round robin,
    /// and each that is passed over has had its turn.
    pub(crate) fn schedule<'rcu>(
        &self,
        guard: &'rcu Guard,
    ) -> impl Iterator<Item = &'rcu RcuArc<Process>> + use<'_, 'rcu> {
        let processes = self.registered(guard);
        processes.iter().filter_map(move |_| {
            let turn = self.chosen.fetch_add(1, ordering::Relaxed);
            processes.get(schedule::round_robin(turn, processes.len())?)
        })
    }

    /// Adds a process at the end.
    pub(crate) fn add_process(&self, process: RcuArc<Process>, held: ControlHeld) -> Result {
        self.change(held, |processes| {
            processes.push(process, GFP_KERNEL)?;
            Ok(())
        })
    }

    /// Takes a process out.
    pub(crate) fn remove_process(&self, address: SocketAddress, held: ControlHeld) -> Result {
        self.change(held, |processes| {
            let at = processes
                .iter()
                .position(|process| process.address == address)
                .ok_or(ENOENT)?;
            processes.remove(at).map_err(|_| ENOENT)?;
            Ok(())
        })
    }

    /// Takes all processes out, without which they and the service would keep each other.
    pub(crate) fn clear_processes(&self, _held: ControlHeld) {
        self.processes.replace(None);
    }

    fn change(
        &self,
        _held: ControlHeld,
        change: impl FnOnce(&mut KVec<RcuArc<Process>>) -> Result,
    ) -> Result {
        let mut processes = KVec::new();
        {
            // The list can't be replaced while the control lock is held, but is read as ever. The
            // capacity is found first, since memory can't be waited for in a read section.
            let length = self.registered(&Guard::new()).len();
            processes.reserve(length + 1, GFP_KERNEL)?;
            let guard = Guard::new();
            for process in self.registered(&guard) {
                processes.push(process.clone(), GFP_ATOMIC)?;
            }
        }
        change(&mut processes)?;
        self.processes
            .replace(Some(RcuArc::new(processes, GFP_KERNEL)?));
        Ok(())
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
        lookup: bindings::tcp_dispatch_services_lookup,
        insert: bindings::tcp_dispatch_services_insert,
        remove: bindings::tcp_dispatch_services_remove,
    };
}

/// The services of a namespace, found under RCU. Changed under the control lock.
pub(crate) type ServiceTable = RhashTable<ByAddress>;
