// SPDX-License-Identifier: GPL-2.0

//! The ways back that were looked up for SYNs before IP routed them, until the connections take them.
//!
//! Between the two is netfilter, which may drop a SYN, so there is no connection yet that could keep
//! its way back.

use crate::{
    tcp_dispatch_core::Tuple,
    wrappers::{dst::Dst, rcu::RcuArc, try_cell::TryCell},
};
use kernel::{
    cpu::{nr_cpu_ids, CpuId},
    prelude::*,
};

/// The way back of one SYN.
struct WayBack<A> {
    /// The SYN's addresses and ports: rules and multipath routes may go by all of them.
    tuple: Tuple<A>,
    /// The index of the device that it came by.
    iif: i32,
    route: Dst,
}

/// A place that no two CPUs write to.
#[repr(align(64))]
struct Place<A>(TryCell<Option<WayBack<A>>>);

/// The way back of the last SYN of each CPU. IP handles a SYN on one CPU, nearly always before the next;
/// else it is looked up again.
pub(crate) struct WaysBack<A>(KVec<Place<A>>);

impl<A: Copy + PartialEq> WaysBack<A> {
    /// Without any. Process context.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<RcuArc<Self>>
    where
        A: Send + Sync + 'static,
    {
        let cpus = nr_cpu_ids() as usize;
        let mut places = KVec::with_capacity(cpus, GFP_KERNEL)?;
        for _ in 0..cpus {
            places.push(Place(TryCell::new(None)), GFP_KERNEL)?;
        }
        RcuArc::new(Self(places), GFP_KERNEL)
    }

    fn here(&self) -> Option<&TryCell<Option<WayBack<A>>>> {
        let cpu = CpuId::current().as_u32() as usize;
        self.0.get(cpu).map(|place| &place.0)
    }

    /// Keeps `route` for the connection that the SYN from and to `tuple`, which came by the device of
    /// index `iif`, may begin. Softirq context.
    pub(crate) fn put(&self, tuple: Tuple<A>, iif: i32, route: Dst) {
        let way_back = WayBack { tuple, iif, route };
        if let Some(here) = self.here() {
            here.try_with(|place| place.replace(way_back));
        }
    }

    /// The route that was [`put`](Self::put) for the same SYN, if routing still vouches for it. Softirq
    /// context.
    pub(crate) fn take(&self, tuple: &Tuple<A>, iif: i32) -> Option<Dst> {
        let way_back = self.here()?.try_with(|place| {
            place.take_if(|way_back| way_back.iif == iif && way_back.tuple == *tuple)
        })??;
        Some(way_back.route).filter(Dst::is_valid)
    }
}
