// SPDX-License-Identifier: GPL-2.0

//! What tells one connection from another.

use super::address::{Address, Ipv4Address, Ipv6Address, SocketAddress};
use core::fmt;

/// Both ends of a connection, as one direction's packets name them, in network
/// byte order: the connection table's key.
///
/// The table hashes it as 12 bytes, or 36 with IPv6, so there must be no padding
/// among them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(C, align(4))]
pub struct Tuple<A> {
    /// Where the packet comes from.
    pub source_ip: A,
    /// Where the packet goes to.
    pub destination_ip: A,
    /// The port it comes from.
    pub source_port: [u8; 2],
    /// The port it goes to.
    pub destination_port: [u8; 2],
}

const _: () = {
    assert!(size_of::<Tuple<Ipv4Address>>() == 12 && align_of::<Tuple<Ipv4Address>>() == 4);
    assert!(size_of::<Tuple<Ipv6Address>>() == 36 && align_of::<Tuple<Ipv6Address>>() == 4);
};

impl<A: Address> Tuple<A> {
    /// The tuple of packets from `source` to `destination`.
    #[inline]
    pub const fn new(source: SocketAddress<A>, destination: SocketAddress<A>) -> Self {
        Self {
            source_ip: source.ip,
            destination_ip: destination.ip,
            source_port: source.port,
            destination_port: destination.port,
        }
    }

    /// Where the packet comes from.
    #[inline]
    pub const fn source(&self) -> SocketAddress<A> {
        SocketAddress {
            ip: self.source_ip,
            port: self.source_port,
        }
    }

    /// Where the packet goes to.
    #[inline]
    pub const fn destination(&self) -> SocketAddress<A> {
        SocketAddress {
            ip: self.destination_ip,
            port: self.destination_port,
        }
    }

    /// The tuple of the answers.
    #[inline]
    pub const fn reversed(&self) -> Self {
        Self::new(self.destination(), self.source())
    }
}

/// As people write it: `198.51.100.7:40000 -> 192.0.2.1:80`.
impl<A: Address> fmt::Display for Tuple<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.source(), self.destination())
    }
}
