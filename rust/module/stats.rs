// SPDX-License-Identifier: GPL-2.0

//! What is counted, and why packets are refused or dropped.

use crate::wrappers::{clock, percpu::Counters};
use kernel::{
    alloc::Flags,
    prelude::*,
    sync::atomic::{ordering, Atomic},
};

/// A counter of [`Stats`]. The bytes of packets come right after their number.
#[derive(Clone, Copy)]
pub(crate) enum Stat {
    /// Connections that were assigned.
    Connections,
    /// Packets from clients to a process.
    PacketsIn,
    /// Their bytes, IP header included.
    BytesIn,
    /// Packets from a process to clients.
    PacketsOut,
    /// Their bytes, IP header included.
    BytesOut,
}

const _: () = assert!(Stat::BytesIn as usize == Stat::PacketsIn as usize + 1);
const _: () = assert!(Stat::BytesOut as usize == Stat::PacketsOut as usize + 1);

/// What went through a service or a process.
pub(crate) struct Stats(Counters<5>);

impl Stats {
    pub(crate) fn new(flags: Flags) -> Result<Self> {
        Ok(Self(Counters::new(flags)?))
    }

    /// Counts a connection.
    pub(crate) fn connection(&self) {
        self.0.add(Stat::Connections as usize, 1);
    }

    /// Counts a packet of `bytes` from a client, here and at `other`.
    #[inline]
    pub(crate) fn packet_in(&self, other: &Self, bytes: u32) {
        let counter = Stat::PacketsIn as usize;
        self.0.add_one_and(&other.0, counter, bytes.into());
    }

    /// Counts a packet of `bytes` to a client, here and at `other`.
    #[inline]
    pub(crate) fn packet_out(&self, other: &Self, bytes: u32) {
        let counter = Stat::PacketsOut as usize;
        self.0.add_one_and(&other.0, counter, bytes.into());
    }

    pub(crate) fn sum(&self, stat: Stat) -> u64 {
        self.0.sum(stat as usize)
    }
}

/// Why a packet was refused or dropped. The specification of the netlink family tells what each
/// means, under `drops`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Drop {
    /// No process of the service listens and has room.
    NoProcess,
    /// The connection table is full.
    ConnectionLimit,
    /// The client's tuple is taken at every process.
    Conflict,
    /// The kernel has no memory.
    NoMemory,
    /// From outside to or from a process address.
    Outside,
    /// From a process to the outside, of no connection.
    NoConnection,
    /// The client signs its segments, with the address that it knows.
    Signed,
}

/// Counters of refused and dropped packets.
pub(crate) struct Drops(Counters<7>);

impl Drops {
    pub(crate) fn new(flags: Flags) -> Result<Self> {
        Ok(Self(Counters::new(flags)?))
    }

    pub(crate) fn count(&self, reason: Drop) {
        self.0.add(reason as usize, 1);
    }

    pub(crate) fn sum(&self, reason: Drop) -> u64 {
        self.0.sum(reason as usize)
    }
}

/// Refused connections that nobody was told of yet.
pub(crate) struct Refusals {
    untold: Atomic<i64>,
    /// When somebody was told last: seconds since boot.
    told: Atomic<i64>,
}

impl Refusals {
    pub(crate) fn new() -> Self {
        Self {
            untold: Atomic::new(0),
            told: Atomic::new(-1),
        }
    }

    /// Counts one. Returns how many there are to tell of, at most once a second.
    pub(crate) fn count(&self) -> Option<u64> {
        self.untold.fetch_add(1, ordering::Relaxed);
        let (now, told) = (clock::seconds(), self.told.load(ordering::Relaxed));
        if now == told || self.told.cmpxchg(told, now, ordering::Full).is_err() {
            return None;
        }
        Some(self.untold.xchg(0, ordering::Relaxed).max(0) as u64)
    }
}
