// SPDX-License-Identifier: GPL-2.0

//! A process: a daemon that is registered to serve a service.

use crate::{
    service::Service,
    stats::{Drop, Drops, Stats},
    tcp_dispatch_core::SocketAddress,
    wrappers::rcu::RcuArc,
};
use kernel::{prelude::*, sync::atomic::Atomic};

/// A registered process.
///
/// The service's list of processes refers to it while it is registered, each of its connections as
/// long as that lasts.
pub(crate) struct Process {
    /// The service that it serves.
    pub(crate) service: RcuArc<Service>,
    /// The address that it listens on.
    pub(crate) address: SocketAddress,
    /// Grows from registration to registration in a namespace. Dumps go by it.
    pub(crate) id: u64,
    /// How many connections the connection table holds for it.
    pub(crate) connections: Atomic<i64>,
    /// What went to it and came from it.
    pub(crate) stats: Stats,
    /// What didn't.
    pub(crate) drops: Drops,
}

impl Process {
    /// Makes a process that isn't registered yet. Process context.
    pub(crate) fn new(
        service: RcuArc<Service>,
        address: SocketAddress,
        id: u64,
    ) -> Result<RcuArc<Self>> {
        RcuArc::new(
            Self {
                service,
                address,
                id,
                connections: Atomic::new(0),
                stats: Stats::new(GFP_KERNEL)?,
                drops: Drops::new(GFP_KERNEL)?,
            },
            GFP_KERNEL,
        )
    }

    /// Counts a packet of `bytes` from a client, here and at the service.
    #[inline]
    pub(crate) fn count_in(&self, bytes: u32) {
        self.stats.packet_in(bytes);
        self.service.stats.packet_in(bytes);
    }

    /// Counts a packet of `bytes` to a client, here and at the service.
    #[inline]
    pub(crate) fn count_out(&self, bytes: u32) {
        self.stats.packet_out(bytes);
        self.service.stats.packet_out(bytes);
    }

    /// Counts a packet that was dropped, here and at the service.
    pub(crate) fn count_drop(&self, reason: Drop) {
        self.drops.count(reason);
        self.service.drops.count(reason);
    }
}
