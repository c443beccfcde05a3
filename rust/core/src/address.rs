// SPDX-License-Identifier: GPL-2.0

//! Addresses of services and processes.

use core::fmt;

/// An IPv4 address and TCP port, both in network byte order as on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, PartialOrd, Ord)]
#[repr(C)]
pub struct SocketAddress {
    /// The IPv4 address.
    pub ip: [u8; 4],
    /// The TCP port.
    pub port: [u8; 2],
}

impl SocketAddress {
    /// From an address and a port in host byte order.
    #[inline]
    pub const fn new(ip: [u8; 4], port: u16) -> Self {
        Self {
            ip,
            port: port.to_be_bytes(),
        }
    }

    /// The port in host byte order.
    #[inline]
    pub const fn port(&self) -> u16 {
        u16::from_be_bytes(self.port)
    }

    /// Whether clients could connect to it: a unicast address, thus neither of
    /// "this network" (0/8), multicast (class D), reserved (class E) nor
    /// broadcast, and a port other than 0.
    #[inline]
    pub const fn is_service_address(&self) -> bool {
        let [first, ..] = self.ip;
        1 <= first && first <= 223 && self.port() != 0
    }
}

/// As people write it: `192.0.2.1:80`.
impl fmt::Display for SocketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.ip;
        write!(f, "{a}.{b}.{c}.{d}:{}", self.port())
    }
}
