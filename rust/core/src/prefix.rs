// SPDX-License-Identifier: GPL-2.0

//! Sets of addresses that share their first bits.

use core::fmt;

/// An IPv4 prefix such as 10.77.0.0/24, or no address at all.
///
/// It fits one atomic `u64`, see [`Prefix::to_bits`], so that a reader on the
/// packet path gets a whole one without a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prefix {
    /// The first address, in network byte order: packets are compared with
    /// it as they are.
    network: u32,
    /// Ones where addresses must agree with `network`, in network byte order.
    mask: u32,
}

impl Prefix {
    /// The prefix that contains nothing.
    ///
    /// No address masked with 0 equals this network, so [`Prefix::contains`]
    /// needs no case of its own for it.
    pub const EMPTY: Self = Self {
        network: u32::MAX,
        mask: 0,
    };

    /// The addresses whose first `len` bits are those of `ip`; `None` if `len`
    /// exceeds 32 or `ip` has a bit set beyond `len`.
    #[inline]
    pub const fn new(ip: [u8; 4], len: u8) -> Option<Self> {
        if len > 32 {
            return None;
        }
        // A shift by 32, which is what /0 wants, is not defined for a u32.
        let mask = match u32::MAX.checked_shr(len as u32) {
            Some(host) => !host,
            None => u32::MAX,
        };
        let (network, mask) = (u32::from_ne_bytes(ip), mask.to_be());
        if network & !mask != 0 {
            return None;
        }
        Some(Self { network, mask })
    }

    /// The addresses that share their first `len` bits with `ip`; `None` if
    /// `len` exceeds 32.
    #[inline]
    pub const fn containing(ip: [u8; 4], len: u8) -> Option<Self> {
        let mask = match Self::new([0; 4], len) {
            Some(prefix) => prefix.mask,
            None => return None,
        };
        Self::new((u32::from_ne_bytes(ip) & mask).to_ne_bytes(), len)
    }

    /// Whether all addresses of `other` are its addresses, too.
    #[inline]
    pub const fn covers(&self, other: &Self) -> bool {
        other.is_empty() || (self.contains(other.ip()) && self.len() <= other.len())
    }

    /// Whether `ip` is one of its addresses.
    #[inline]
    pub const fn contains(&self, ip: [u8; 4]) -> bool {
        u32::from_ne_bytes(ip) & self.mask == self.network
    }

    /// Its first address.
    #[inline]
    pub const fn ip(&self) -> [u8; 4] {
        self.network.to_ne_bytes()
    }

    /// The number of bits that its addresses share.
    #[inline]
    pub const fn len(&self) -> u8 {
        self.mask.count_ones() as u8
    }

    /// Whether it contains nothing.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.network & !self.mask != 0
    }

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

/// As people write it: `10.77.0.0/24`.
impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        let [a, b, c, d] = self.ip();
        write!(f, "{a}.{b}.{c}.{d}/{}", self.len())
    }
}
