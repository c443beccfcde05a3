// SPDX-License-Identifier: GPL-2.0

//! The ways back to clients that were looked up for SYNs before IP routed them.
//!
//! Connections take them later: between the two is netfilter, which may drop a SYN, so there is no
//! connection yet that could keep its way back. And further SYNs of the same client do with the same,
//! for a moment: clients that come again come soon, proxies above all.

use crate::{
    tcp_dispatch_core::{Address, Tuple},
    wrappers::{clock, dst::Dst, rcu::RcuArc, try_cell::TryCell},
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
    /// When it was looked up, in seconds, if a SYN from another port of the client would get the same.
    shared_since: Option<i64>,
}

impl<A: Address> WayBack<A> {
    /// Whether it was looked up for the SYN from and to `tuple`, which came by the device of index `iif`.
    fn is_of(&self, tuple: &Tuple<A>, iif: i32) -> bool {
        self.iif == iif && self.tuple == *tuple
    }

    /// Whether it does for that SYN, too. Routing tells when a route has become another, but not that a
    /// gateway is dead, for which the next look-up may find another: so it does for a second at most.
    fn does_for(&self, tuple: &Tuple<A>, iif: i32) -> bool {
        self.iif == iif
            && self.tuple.source_ip == tuple.source_ip
            && self.tuple.destination_ip == tuple.destination_ip
            && self.shared_since == Some(clock::seconds())
            && self.route.is_valid()
    }
}

/// A place that no two CPUs write to.
#[repr(align(64))]
struct Place<A>(TryCell<Option<WayBack<A>>>);

/// How many places a CPU has: proxies in front of a service are often more than one.
const PLACES: usize = 16;

/// The ways back to the last clients of each CPU. IP handles a SYN on one CPU, nearly always before the
/// next of a client who has the same place; else the way back is looked up again.
pub(crate) struct WaysBack<A>(KVVec<Place<A>>);

impl<A: Address> WaysBack<A> {
    /// Without any. Process context.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<RcuArc<Self>> {
        let count = nr_cpu_ids() as usize * PLACES;
        let mut places = KVVec::with_capacity(count, GFP_KERNEL)?;
        for _ in 0..count {
            places.push(Place(TryCell::new(None)), GFP_KERNEL)?;
        }
        RcuArc::new(Self(places), GFP_KERNEL)
    }

    /// What `f` makes of this CPU's place for a client.
    fn with<R>(&self, tuple: &Tuple<A>, f: impl FnOnce(&mut Option<WayBack<A>>) -> R) -> Option<R> {
        let client = tuple
            .source_ip
            .as_ref()
            .iter()
            .fold(0, |sum, byte| sum ^ byte);
        let cpu = CpuId::current().as_u32() as usize;
        let place = self.0.get(cpu * PLACES + usize::from(client) % PLACES)?;
        place.0.try_with(f)
    }

    /// Keeps `route` for the connection that the SYN from and to `tuple`, which came by the device of
    /// index `iif`, may begin. `is_shared`: whether the route doesn't go by ports. Softirq context.
    pub(crate) fn put(&self, tuple: Tuple<A>, iif: i32, route: Dst, is_shared: bool) {
        let way_back = WayBack {
            tuple,
            iif,
            route,
            shared_since: is_shared.then(clock::seconds),
        };
        self.with(&tuple, |place| place.replace(way_back));
    }

    /// Keeps the route that was [`put`](Self::put) for an earlier SYN of the same client for this one,
    /// if it does for it. Returns what `f` says of it. Softirq context, under RCU.
    pub(crate) fn keep_for<R>(
        &self,
        tuple: &Tuple<A>,
        iif: i32,
        f: impl FnOnce(&Dst) -> R,
    ) -> Option<R> {
        self.with(tuple, |place| {
            let way_back = place.as_mut().filter(|it| it.does_for(tuple, iif))?;
            way_back.tuple = *tuple;
            Some(f(&way_back.route))
        })?
    }

    /// The route that is kept for a SYN. Softirq context.
    pub(crate) fn take(&self, tuple: &Tuple<A>, iif: i32) -> Option<Dst> {
        self.with(tuple, |place| {
            let way_back = place.as_ref().filter(|it| it.is_of(tuple, iif))?;
            if way_back.shared_since.is_some() {
                return Some(way_back.route.clone());
            }
            place.take().map(|way_back| way_back.route)
        })?
    }
}
