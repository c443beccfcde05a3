// SPDX-License-Identifier: GPL-2.0

//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
//!
//! C header: `include/net/checksum.h`, whose results these are to the bit. One's
//! complement has two zeros, and the peer's or the hardware's arithmetic must
//! never meet another one than the kernel's own would have left there.

use super::address::Address;

/// IP's number for TCP, a part of the pseudo-header.
const TCP: u32 = 6;

/// What the kernel knows of a segment's checksum: `skb->ip_summed` and
/// `skb->csum`, see "Checksumming of received packets by device" and its
/// sequel in `include/linux/skbuff.h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChecksumState {
    /// TCP's field is complete (`CHECKSUM_NONE`, `CHECKSUM_UNNECESSARY`).
    Filled,
    /// `CHECKSUM_PARTIAL`: the field holds the pseudo-header's sum, and who
    /// sends the segment will add the rest.
    Partial,
    /// `CHECKSUM_COMPLETE`: the field is complete, and `csum` is the sum of TCP
    /// header and payload.
    Complete(u32),
}

/// A one's complement sum that is not folded to 16 bits yet: C's `__wsum`.
///
/// Its words are added in the machine's byte order, as RFC 1071 allows, so
/// that it is interchangeable with `skb->csum`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sum(u32);

impl Sum {
    /// The sum of nothing.
    pub const ZERO: Self = Self(0);

    /// From the kernel's representation.
    #[inline]
    pub const fn from_csum(csum: u32) -> Self {
        Self(csum)
    }

    /// The kernel's representation.
    #[inline]
    pub const fn to_csum(self) -> u32 {
        self.0
    }

    /// The sum that `field`, a checksum field, was made of: `csum_unfold()`.
    #[inline]
    pub const fn unfold(field: [u8; 2]) -> Self {
        Self(u16::from_ne_bytes(field) as u32)
    }

    /// Adds with end-around carry: `csum_add()`.
    #[inline]
    pub const fn add(self, other: Self) -> Self {
        let (sum, carry) = self.0.overflowing_add(other.0);
        // With a carry the sum is at most 0xfffffffe: no second one.
        Self(sum.wrapping_add(carry as u32))
    }

    /// Subtracts: `csum_sub()`.
    #[inline]
    pub const fn sub(self, other: Self) -> Self {
        self.add(other.negated())
    }

    /// The one's complement.
    #[inline]
    pub const fn negated(self) -> Self {
        Self(!self.0)
    }

    /// Adds the two bytes of a field that begins at an even offset.
    #[inline]
    pub const fn add2(self, field: [u8; 2]) -> Self {
        self.add(Self::unfold(field))
    }

    /// Adds the four bytes of a field that begins at an even offset.
    #[inline]
    pub const fn add4(self, field: [u8; 4]) -> Self {
        self.add(Self(u32::from_ne_bytes(field)))
    }

    /// Adds bytes that begin at an even offset; an odd last one counts as if
    /// a zero followed: `csum_partial()`.
    pub fn add_bytes(self, bytes: &[u8]) -> Self {
        let words = bytes.chunks_exact(2);
        let rest = words.remainder();
        let sum = words.fold(self, |sum, word| match word {
            &[first, second] => sum.add2([first, second]),
            _ => sum,
        });
        match rest {
            &[last] => sum.add2([last, 0]),
            _ => sum,
        }
    }

    /// To 16 bits: the pseudo-header's sum goes into a partial field like this.
    #[inline]
    pub const fn fold(self) -> [u8; 2] {
        self.to_word().to_ne_bytes()
    }

    /// To 16 bits and inverted, as a complete field holds it: `csum_fold()`.
    #[inline]
    pub const fn to_field(self) -> [u8; 2] {
        (!self.to_word()).to_ne_bytes()
    }

    #[inline]
    const fn to_word(self) -> u16 {
        // The upper half of this is the sum of both halves, and the lower
        // half's carry into it is the end-around one: `csum_from32to16()`.
        let twice = self.0.wrapping_add(self.0.rotate_right(16));
        (twice >> 16) as u16
    }
}

/// The sum of the pseudo-header of a segment of `len` bytes, header and
/// payload: `csum_tcpudp_nofold()`, and `csum_ipv6_magic()` before it folds.
#[inline]
pub fn pseudo_header<A: Address>(source_ip: A, destination_ip: A, len: u32) -> Sum {
    source_ip
        .sum()
        .add(destination_ip.sum())
        .add4(len.to_be_bytes())
        .add4(TCP.to_be_bytes())
}

/// What a complete field becomes when two bytes at an even offset, under its
/// sum, change: `csum_replace2()`.
#[inline]
pub const fn replace2(check: [u8; 2], from: [u8; 2], to: [u8; 2]) -> [u8; 2] {
    let sum = !u16::from_ne_bytes(check);
    let sum = add16(sum, !u16::from_ne_bytes(from));
    let sum = add16(sum, u16::from_ne_bytes(to));
    (!sum).to_ne_bytes()
}

/// What a complete field becomes when four bytes at an even offset, under its
/// sum, change: `csum_replace4()`.
#[inline]
pub const fn replace4(check: [u8; 2], from: [u8; 4], to: [u8; 4]) -> [u8; 2] {
    replace_by(check, Sum::ZERO.add4(to).sub(Sum::ZERO.add4(from)))
}

/// What a complete field becomes when the sum under it grows by `difference`:
/// `csum_replace_by_diff()`.
#[inline]
pub const fn replace_by(check: [u8; 2], difference: Sum) -> [u8; 2] {
    Sum::unfold(check).negated().add(difference).to_field()
}

/// What a partial field becomes when the pseudo-header's sum grows by
/// `difference`.
#[inline]
pub const fn replace_partial_by(check: [u8; 2], difference: Sum) -> [u8; 2] {
    Sum::unfold(check).add(difference).fold()
}

/// Adds with end-around carry: `csum16_add()`.
#[inline]
const fn add16(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum.wrapping_add(carry as u16)
}
