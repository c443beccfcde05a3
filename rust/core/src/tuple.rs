// SPDX-License-Identifier: GPL-2.0

//! What tells one connection from another.

use super::address::SocketAddress;
use core::fmt;

/// Both ends of a connection, as one direction's packets name them, in network
/// byte order: the connection table's key.
///
/// The table hashes it as 12 bytes, so there must be no padding among them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(C, align(4))]
pub struct Tuple {
    /// Where the packet comes from.
    pub source_ip: [u8; 4],
    /// Where the packet goes to.
    pub destination_ip: [u8; 4],
    /// The port it comes from.
    pub source_port: [u8; 2],
    /// The port it goes to.
    pub destination_port: [u8; 2],
}

const _: () = assert!(size_of::<Tuple>() == 12 && align_of::<Tuple>() == 4);

impl Tuple {
    /// The tuple of packets from `source` to `destination`.
    #[inline]
    pub const fn new(source: SocketAddress, destination: SocketAddress) -> Self {
        Self {
            source_ip: source.ip,
            destination_ip: destination.ip,
            source_port: source.port,
            destination_port: destination.port,
        }
    }

    /// Where the packet comes from.
    #[inline]
    pub const fn source(&self) -> SocketAddress {
        SocketAddress {
            ip: self.source_ip,
            port: self.source_port,
        }
    }

    /// Where the packet goes to.
    #[inline]
    pub const fn destination(&self) -> SocketAddress {
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
impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.source(), self.destination())
    }
}
