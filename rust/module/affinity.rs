// SPDX-License-Identifier: GPL-2.0

//! Affinity: which process a client had, so that its next connection goes there, too.

use crate::{
    bindings,
    dispatch_net::DispatchNet,
    process::Process,
    service::Service,
    tcp_dispatch_core::{
        hash::{self, Key, Secrets},
        Ipv6Address, Prefix,
    },
    wrappers::{
        clock,
        delayed_work::cond_resched,
        rcu::{RcuArc, RcuCell, RcuRef},
        rhashtable::{Functions, Node, RhashTable, Table, Walk},
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
use pin_init::{pin_data, PinInit};

/// A client of a service. Addresses are as [`to_ipv6`](crate::tcp_dispatch_core::Address::to_ipv6) has
/// them.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C, align(4))]
pub(crate) struct AffinityKey {
    /// The first address of the range that counts as one client.
    client: Ipv6Address,
    service: [u8; 8],
}

impl AffinityKey {
    fn new(service: &Service, client: Ipv6Address, prefix_len: u8) -> Option<Self> {
        Some(Self {
            client: Prefix::containing(client, prefix_len)?.ip(),
            service: service.id.to_ne_bytes(),
        })
    }
}

impl Key for AffinityKey {
    fn hash(&self, secrets: &Secrets, seed: u32) -> u32 {
        let service = u64::from_ne_bytes(self.service);
        hash::of_address_and(self.client, service, secrets, seed)
    }

    fn is(&self, other: &Self) -> bool {
        self == other
    }
}

/// Which process a client had last.
pub(crate) struct Affinity {
    node: Node<AffinityKey>,
    /// Replaced when the client gets another; the last of several CPUs wins.
    process: RcuCell<Process>,
    /// When the client's last connection was assigned: seconds since boot.
    used: Atomic<i64>,
}

/// Affinities by client and service.
pub(crate) struct ByClientAndService;

// SAFETY: The node is at its offset, and the functions are those of the table with this key.
unsafe impl Table for ByClientAndService {
    type Key = AffinityKey;
    type Entry = Affinity;
    const NODE: usize = offset_of!(Affinity, node);
    const FUNCTIONS: Functions = Functions {
        init: bindings::tcp_dispatch_affinities_init,
        insert: bindings::tcp_dispatch_affinities_insert,
        remove: bindings::tcp_dispatch_affinities_remove,
    };
}

/// The affinities of a namespace.
///
/// # Locking
///
/// Read under RCU. Inserting and removing is safe from any context.
#[pin_data]
pub(crate) struct AffinityTable {
    #[pin]
    table: RhashTable<ByClientAndService>,
    /// How many there are. Written when one comes or goes.
    count: Atomic<i64>,
}

impl AffinityTable {
    /// Makes an empty table. Process context.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        pin_init::pin_init!(Self {
            table <- RhashTable::new(),
            count: Atomic::new(0),
        }? Error)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(ordering::Relaxed) == 0
    }

    fn find<'rcu>(&self, key: &AffinityKey, guard: &'rcu Guard) -> Option<RcuRef<'rcu, Affinity>> {
        self.table.lookup(key, guard)
    }

    fn insert(&self, affinity: RcuArc<Affinity>, limit: u32) {
        if self.count.fetch_add(1, ordering::Relaxed) >= i64::from(limit)
            || self.table.insert(affinity).is_err()
        {
            self.count.fetch_sub(1, ordering::Relaxed);
        }
    }

    fn remove(&self, affinity: RcuRef<'_, Affinity>) {
        if self.table.remove(affinity).is_some() {
            self.count.fetch_sub(1, ordering::Relaxed);
        }
    }
}

/// The process that `client`, as in an [`AffinityKey`], had last at `service`, if it is to have it
/// again. Whether that can take it is for the caller to see.
pub(crate) fn recall(
    net: &DispatchNet,
    service: &Service,
    client: Ipv6Address,
    guard: &Guard,
) -> Option<RcuArc<Process>> {
    let settings = service.plan(guard)?.settings.affinity;
    if settings.timeout == 0 {
        return None;
    }
    let key = AffinityKey::new(service, client, settings.prefix_len)?;
    let affinity = net.affinities.find(&key, guard)?;
    if is_over(&affinity, settings.timeout) {
        return None;
    }
    affinity.process.read(guard)?.upgrade()
}

/// Remembers that `client`, as in an [`AffinityKey`], has got `process`. Softirq context. Without
/// memory, or with as many remembered as the namespace may have connections, nothing is.
pub(crate) fn remember(
    net: &DispatchNet,
    process: &RcuArc<Process>,
    client: Ipv6Address,
    guard: &Guard,
) {
    let service = &process.service;
    let Some(settings) = service.plan(guard).map(|plan| plan.settings.affinity) else {
        return;
    };
    if settings.timeout == 0 {
        return;
    }
    let Some(key) = AffinityKey::new(service, client, settings.prefix_len) else {
        return;
    };
    if let Some(affinity) = net.affinities.find(&key, guard) {
        affinity.used.store(clock::seconds(), ordering::Relaxed);
        let same = affinity
            .process
            .read(guard)
            .is_some_and(|had| had.as_ptr() == process.as_found().as_ptr());
        if !same {
            affinity.process.replace(Some(process.clone()));
        }
        return;
    }
    let cell = RcuCell::new();
    cell.replace(Some(process.clone()));
    let affinity = Affinity {
        node: Node::new(key),
        process: cell,
        used: Atomic::new(clock::seconds()),
    };
    if let Ok(affinity) = RcuArc::new(affinity, GFP_ATOMIC) {
        net.affinities
            .insert(affinity, net.connection_count.limit());
    }
}

/// How many affinities are looked at in one RCU read section.
const BATCH: usize = 256;

/// Removes affinities that are over, and those to processes that are not registered any longer.
/// Process context.
pub(crate) fn sweep(net: &DispatchNet) {
    if net.affinities.is_empty() {
        return;
    }
    let Ok(mut walk) = Walk::enter(&net.affinities.table) else {
        return;
    };
    while walk.visit(BATCH, |affinity| {
        if is_stale(&affinity, &Guard::new()) {
            net.affinities.remove(affinity);
        }
    }) {
        cond_resched();
    }
}

fn is_over(affinity: &Affinity, timeout: u32) -> bool {
    clock::seconds() - affinity.used.load(ordering::Relaxed) > timeout.into()
}

fn is_stale(affinity: &Affinity, guard: &Guard) -> bool {
    let process = affinity
        .process
        .read(guard)
        .and_then(|process| process.upgrade());
    let Some(process) = process else {
        return true;
    };
    process.service.plan(guard).is_none_or(|plan| {
        plan.position(&process).is_none() || is_over(affinity, plan.settings.affinity.timeout)
    })
}
