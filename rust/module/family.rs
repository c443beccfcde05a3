// SPDX-License-Identifier: GPL-2.0

//! Address families. The layer is written once for both; what it has of its own for each is here.

use crate::{
    connection::ConnectionTable,
    dispatch_net::DispatchNet,
    tcp_dispatch_core::{AnySocketAddress, Ipv4Address, Ipv6Address, Prefix, SocketAddress},
    way_back::WaysBack,
    wrappers::{
        net_protocol::Protocol,
        rcu::{read_once, RcuArc, RcuCell},
    },
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{ordering, Atomic},
        rcu::Guard,
    },
};
use pin_init::{pin_data, PinInit};

/// A family whose connections are dispatched.
pub(crate) trait Family: Protocol {
    /// A prefix that packets read while it may be changed.
    type PrefixCell: PrefixCell<Self>;

    /// What a namespace has of the family.
    fn of(net: &DispatchNet) -> &FamilyNet<Self>;

    /// An address, if it is of the family.
    fn address(any: AnySocketAddress) -> Option<SocketAddress<Self>>;

    /// An address of the family.
    fn any(address: SocketAddress<Self>) -> AnySocketAddress;
}

impl Family for Ipv4Address {
    type PrefixCell = AtomicPrefix;

    #[inline]
    fn of(net: &DispatchNet) -> &FamilyNet<Self> {
        &net.ipv4
    }

    #[inline]
    fn address(any: AnySocketAddress) -> Option<SocketAddress<Self>> {
        match any {
            AnySocketAddress::V4(address) => Some(address),
            AnySocketAddress::V6(_) => None,
        }
    }

    #[inline]
    fn any(address: SocketAddress<Self>) -> AnySocketAddress {
        address.into()
    }
}

impl Family for Ipv6Address {
    type PrefixCell = RcuCell<Prefix<Ipv6Address>>;

    #[inline]
    fn of(net: &DispatchNet) -> &FamilyNet<Self> {
        &net.ipv6
    }

    #[inline]
    fn address(any: AnySocketAddress) -> Option<SocketAddress<Self>> {
        match any {
            AnySocketAddress::V4(_) => None,
            AnySocketAddress::V6(address) => Some(address),
        }
    }

    #[inline]
    fn any(address: SocketAddress<Self>) -> AnySocketAddress {
        address.into()
    }
}

/// What a network namespace has of one family.
#[pin_data]
pub(crate) struct FamilyNet<A: Family> {
    /// The range of process addresses. Set under the control lock, read by every packet.
    process_prefix: A::PrefixCell,
    /// Has rules of its own.
    #[pin]
    pub(crate) connections: ConnectionTable<A>,
    /// Where IP wants to know them of SYNs, and while there is a range. Replaced under the control lock,
    /// read under RCU.
    pub(crate) ways_back: RcuCell<WaysBack<A>>,
}

impl<A: Family> FamilyNet<A> {
    /// Nothing yet. Process context.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        pin_init::pin_init!(Self {
            process_prefix: PrefixCell::new(),
            connections <- ConnectionTable::new(),
            ways_back: RcuCell::new(),
        }? Error)
    }

    /// The range of process addresses.
    #[inline]
    pub(crate) fn process_prefix(&self, guard: &Guard) -> Prefix<A> {
        self.process_prefix.get(guard)
    }

    /// Sets the range of process addresses. Under the control lock.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn set_process_prefix(&self, prefix: Prefix<A>) -> Result {
        let has_syns = !prefix.is_empty();
        let ways_back = if A::VALIDATES_SOURCES && has_syns {
            Some(WaysBack::new()?)
        } else {
            None
        };
        self.process_prefix.set(prefix)?;
        self.ways_back.replace(ways_back);
        Ok(())
    }
}

/// A place for a prefix that readers get as a whole, without a lock.
pub(crate) trait PrefixCell<A: Family>: Send + Sync + Sized {
    /// With the prefix that contains nothing.
    fn new() -> Self;

    /// The prefix. Any context.
    fn get(&self, guard: &Guard) -> Prefix<A>;

    /// Puts another in its place. Process context.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    fn set(&self, prefix: Prefix<A>) -> Result;
}

/// An IPv4 prefix fits a word: [`Prefix::to_bits`].
pub(crate) struct AtomicPrefix(Atomic<u64>);

impl PrefixCell<Ipv4Address> for AtomicPrefix {
    fn new() -> Self {
        Self(Atomic::new(Prefix::EMPTY.to_bits()))
    }

    #[inline]
    fn get(&self, _guard: &Guard) -> Prefix<Ipv4Address> {
        Prefix::from_bits(read_once(&self.0))
    }

    fn set(&self, prefix: Prefix<Ipv4Address>) -> Result {
        self.0.store(prefix.to_bits(), ordering::Relaxed);
        Ok(())
    }
}

/// One of IPv6 doesn't.
impl PrefixCell<Ipv6Address> for RcuCell<Prefix<Ipv6Address>> {
    fn new() -> Self {
        Self::new()
    }

    #[inline]
    fn get(&self, guard: &Guard) -> Prefix<Ipv6Address> {
        self.read(guard).map_or(Prefix::EMPTY, |prefix| *prefix)
    }

    fn set(&self, prefix: Prefix<Ipv6Address>) -> Result {
        self.replace(Some(RcuArc::new(prefix, GFP_KERNEL)?));
        Ok(())
    }
}
