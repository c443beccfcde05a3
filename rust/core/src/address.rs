// SPDX-License-Identifier: GPL-2.0

//! Addresses of services, processes and clients, of either family.

use super::checksum::Sum;
use super::hash::{self, Secrets};
use super::packet::{Header, Ipv4Header, Ipv6Header};
use core::fmt::{self, Debug};
use core::hash::Hash;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use core::ops::{BitAnd, Not};

/// An IPv4 address as it is on the wire.
pub type Ipv4Address = [u8; 4];
/// An IPv6 address as it is on the wire.
pub type Ipv6Address = [u8; 16];

/// An [`Ipv4Address`] or an [`Ipv6Address`]. All that depends on the family is
/// here and in [`Header`].
pub trait Address:
    Copy + Eq + Ord + Hash + Debug + Default + AsRef<[u8]> + Into<IpAddr> + Send + Sync + 'static
{
    /// The same bytes as one number in network byte order.
    type Word: Copy + Eq + Debug + BitAnd<Output = Self::Word> + Not<Output = Self::Word>;
    /// The fixed part of the family's header.
    type Header: Header<Address = Self>;

    /// How many bits an address has.
    const BITS: u8;
    /// No bit set.
    const ZEROS: Self::Word;
    /// All bits set.
    const ONES: Self::Word;

    /// The address as a number in network byte order.
    fn to_word(self) -> Self::Word;

    /// The address that [`Address::to_word`] made `word` of.
    fn from_word(word: Self::Word) -> Self;

    /// `len` ones and then zeros, in network byte order; `None` if there are
    /// fewer bits.
    fn mask(len: u8) -> Option<Self::Word>;

    /// How many bits of `word` are ones.
    fn count_ones(word: Self::Word) -> u8;

    /// The sum of its words, as they count in a pseudo-header.
    fn sum(self) -> Sum;

    /// The address as one of IPv6, IPv4-mapped (RFC 4291, section 2.5.5.2) if
    /// it is of IPv4: the same for no two addresses of either family that can
    /// be on the wire.
    fn to_ipv6(self) -> Ipv6Address;

    /// Whether a client of any link could connect to it: a unicast address.
    fn is_unicast(self) -> bool;

    /// Whether it means another host on each link.
    fn is_link_local(self) -> bool;

    /// A word of both ends' addresses, for [`hash`](super::hash) to go on with.
    fn hash_two(source: Self, destination: Self, secrets: &Secrets) -> u64;
}

impl Address for Ipv4Address {
    type Word = u32;
    type Header = Ipv4Header;

    const BITS: u8 = 32;
    const ZEROS: u32 = 0;
    const ONES: u32 = u32::MAX;

    #[inline]
    fn to_word(self) -> u32 {
        u32::from_ne_bytes(self)
    }

    #[inline]
    fn from_word(word: u32) -> Self {
        word.to_ne_bytes()
    }

    #[inline]
    fn mask(len: u8) -> Option<u32> {
        // A shift by 32, which is what /32 wants, is not defined for a u32.
        let host = u32::MAX.checked_shr(len.into()).unwrap_or(0);
        (len <= Self::BITS).then_some((!host).to_be())
    }

    #[inline]
    fn count_ones(word: u32) -> u8 {
        word.count_ones() as u8
    }

    #[inline]
    fn sum(self) -> Sum {
        Sum::ZERO.add4(self)
    }

    #[inline]
    fn to_ipv6(self) -> Ipv6Address {
        let [a, b, c, d] = self;
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
    }

    /// None of "this network" (0/8), multicast (class D), reserved (class E)
    /// and broadcast.
    #[inline]
    fn is_unicast(self) -> bool {
        let [first, ..] = self;
        (1..=223).contains(&first)
    }

    /// 169.254/16 is routed like any other here.
    #[inline]
    fn is_link_local(self) -> bool {
        false
    }

    #[inline]
    fn hash_two(source: Self, destination: Self, _: &Secrets) -> u64 {
        hash::join_ipv4(source, destination)
    }
}

impl Address for Ipv6Address {
    type Word = u128;
    type Header = Ipv6Header;

    const BITS: u8 = 128;
    const ZEROS: u128 = 0;
    const ONES: u128 = u128::MAX;

    #[inline]
    fn to_word(self) -> u128 {
        u128::from_ne_bytes(self)
    }

    #[inline]
    fn from_word(word: u128) -> Self {
        word.to_ne_bytes()
    }

    #[inline]
    fn mask(len: u8) -> Option<u128> {
        let host = u128::MAX.checked_shr(len.into()).unwrap_or(0);
        (len <= Self::BITS).then_some((!host).to_be())
    }

    #[inline]
    fn count_ones(word: u128) -> u8 {
        word.count_ones() as u8
    }

    #[inline]
    fn sum(self) -> Sum {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = self;
        Sum::ZERO
            .add4([a, b, c, d])
            .add4([e, f, g, h])
            .add4([i, j, k, l])
            .add4([m, n, o, p])
    }

    #[inline]
    fn to_ipv6(self) -> Ipv6Address {
        self
    }

    /// None of the unspecified, multicast, link-local and IPv4-mapped ones.
    #[inline]
    fn is_unicast(self) -> bool {
        let ip = Ipv6Addr::from(self);
        !ip.is_unspecified()
            && !ip.is_multicast()
            && !self.is_link_local()
            && ip.to_ipv4_mapped().is_none()
    }

    /// fe80::/10.
    #[inline]
    fn is_link_local(self) -> bool {
        let [first, second, ..] = self;
        first == 0xfe && second & 0xc0 == 0x80
    }

    #[inline]
    fn hash_two(source: Self, destination: Self, secrets: &Secrets) -> u64 {
        hash::fold_ipv6(source, destination, secrets)
    }
}

/// An IP address and TCP port, both in network byte order as on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, PartialOrd, Ord)]
#[repr(C)]
pub struct SocketAddress<A> {
    /// The IP address.
    pub ip: A,
    /// The TCP port.
    pub port: [u8; 2],
}

impl<A> SocketAddress<A> {
    /// From an address and a port in host byte order.
    #[inline]
    pub const fn new(ip: A, port: u16) -> Self {
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
}

impl<A: Address> SocketAddress<A> {
    /// Whether clients could connect to it: see [`Address::is_unicast`], and a
    /// port other than 0.
    #[inline]
    pub fn is_service_address(&self) -> bool {
        self.ip.is_unicast() && self.port() != 0
    }
}

/// As people write it: `192.0.2.1:80` or `[2001:db8::1]:80`.
impl<A: Address> fmt::Display for SocketAddress<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&SocketAddr::new(self.ip.into(), self.port()), f)
    }
}

/// A [`SocketAddress`] of either family.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum AnySocketAddress {
    /// One of IPv4.
    V4(SocketAddress<Ipv4Address>),
    /// One of IPv6.
    V6(SocketAddress<Ipv6Address>),
}

impl AnySocketAddress {
    /// The port in network byte order.
    #[inline]
    pub const fn port(&self) -> [u8; 2] {
        match self {
            Self::V4(address) => address.port,
            Self::V6(address) => address.port,
        }
    }

    /// The IP address as one of IPv6, see [`Address::to_ipv6`].
    #[inline]
    pub fn ip(&self) -> Ipv6Address {
        match self {
            Self::V4(address) => address.ip.to_ipv6(),
            Self::V6(address) => address.ip,
        }
    }

    /// How many bits an address of the family has.
    #[inline]
    pub const fn bits(&self) -> u8 {
        match self {
            Self::V4(_) => Ipv4Address::BITS,
            Self::V6(_) => Ipv6Address::BITS,
        }
    }

    /// Whether both are of one family.
    #[inline]
    pub const fn is_of_family_of(&self, other: &Self) -> bool {
        matches!(
            (self, other),
            (Self::V4(_), Self::V4(_)) | (Self::V6(_), Self::V6(_))
        )
    }

    /// See [`SocketAddress::is_service_address`].
    #[inline]
    pub fn is_service_address(&self) -> bool {
        match self {
            Self::V4(address) => address.is_service_address(),
            Self::V6(address) => address.is_service_address(),
        }
    }
}

impl From<SocketAddress<Ipv4Address>> for AnySocketAddress {
    #[inline]
    fn from(address: SocketAddress<Ipv4Address>) -> Self {
        Self::V4(address)
    }
}

impl From<SocketAddress<Ipv6Address>> for AnySocketAddress {
    #[inline]
    fn from(address: SocketAddress<Ipv6Address>) -> Self {
        Self::V6(address)
    }
}

/// As people write it: `192.0.2.1:80` or `[2001:db8::1]:80`.
impl fmt::Display for AnySocketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => fmt::Display::fmt(address, f),
            Self::V6(address) => fmt::Display::fmt(address, f),
        }
    }
}
