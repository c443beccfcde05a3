// SPDX-License-Identifier: GPL-2.0

//! Sets of addresses that share their first bits.

use super::address::{Address, Ipv4Address, Ipv6Address};
use core::fmt;
use core::net::IpAddr;

/// A range of addresses such as 10.77.0.0/24, or no address at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prefix<A: Address> {
    /// The first address, in network byte order: packets are compared with
    /// it as they are.
    network: A::Word,
    /// Ones where addresses must agree with `network`, in network byte order.
    mask: A::Word,
}

impl<A: Address> Prefix<A> {
    /// The prefix that contains nothing.
    ///
    /// No address masked with 0 equals this network, so [`Prefix::contains`]
    /// needs no case of its own for it.
    pub const EMPTY: Self = Self {
        network: A::ONES,
        mask: A::ZEROS,
    };

    /// The addresses whose first `len` bits are those of `ip`; `None` if an
    /// address has fewer bits or `ip` has a bit set beyond `len`.
    #[inline]
    pub fn new(ip: A, len: u8) -> Option<Self> {
        let (network, mask) = (ip.to_word(), A::mask(len)?);
        (network & !mask == A::ZEROS).then_some(Self { network, mask })
    }

    /// The addresses that share their first `len` bits with `ip`; `None` if an
    /// address has fewer bits.
    #[inline]
    pub fn containing(ip: A, len: u8) -> Option<Self> {
        let mask = A::mask(len)?;
        Some(Self {
            network: ip.to_word() & mask,
            mask,
        })
    }

    /// Whether all addresses of `other` are its addresses, too.
    #[inline]
    pub fn covers(&self, other: &Self) -> bool {
        other.is_empty() || (self.contains(other.ip()) && self.len() <= other.len())
    }

    /// Whether `ip` is one of its addresses.
    #[inline]
    pub fn contains(&self, ip: A) -> bool {
        ip.to_word() & self.mask == self.network
    }

    /// Its first address.
    #[inline]
    pub fn ip(&self) -> A {
        A::from_word(self.network)
    }

    /// The number of bits that its addresses share.
    #[inline]
    pub fn len(&self) -> u8 {
        A::count_ones(self.mask)
    }

    /// The same addresses as [`Address::to_ipv6`] has them.
    pub fn to_ipv6(self) -> Prefix<Ipv6Address> {
        let more = Ipv6Address::BITS.saturating_sub(A::BITS);
        let len = self.len().saturating_add(more);
        match Prefix::new(self.ip().to_ipv6(), len) {
            Some(prefix) if !self.is_empty() => prefix,
            _ => Prefix::EMPTY,
        }
    }

    /// Whether it contains nothing.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.network & !self.mask != A::ZEROS
    }
}

impl Prefix<Ipv6Address> {
    /// The prefix of which [`Prefix::to_ipv6`] made this; `None` if it was none of IPv4, or
    /// contained nothing.
    pub fn to_ipv4(self) -> Option<Prefix<Ipv4Address>> {
        let [.., a, b, c, d] = self.ip();
        let less = Ipv6Address::BITS.saturating_sub(Ipv4Address::BITS);
        let prefix = Prefix::new([a, b, c, d], self.len().checked_sub(less)?)?;
        (prefix.to_ipv6() == self).then_some(prefix)
    }
}

/// An IPv4 prefix fits one atomic `u64`, so that a reader on the packet path
/// gets a whole one without a lock.
impl Prefix<Ipv4Address> {
    /// The same in one word. Initialise the word with [`Prefix::EMPTY`]'s
    /// bits: all bits zero are 0.0.0.0/0, which contains everything.
    #[inline]
    pub const fn to_bits(self) -> u64 {
        ((self.network as u64) << 32) | self.mask as u64
    }

    /// The prefix that [`Prefix::to_bits`] made `bits` of.
    #[inline]
    pub const fn from_bits(bits: u64) -> Self {
        Self {
            network: (bits >> 32) as u32,
            mask: bits as u32,
        }
    }
}

/// As people write it: `10.77.0.0/24` or `fd77::/64`.
impl<A: Address> fmt::Display for Prefix<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        let ip: IpAddr = self.ip().into();
        write!(f, "{ip}/{}", self.len())
    }
}
