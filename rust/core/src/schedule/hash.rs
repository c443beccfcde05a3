// SPDX-License-Identifier: GPL-2.0

//! Hashing of addresses.
//!
//! There is no secret in it, so that a client finds the same process after a
//! reboot, and on each of several computers that serve one address.

use super::super::address::{Address, Ipv4Address};

/// Mixes the bits of a word: each bit of `word` flips about half of the
/// result's. No two words have the same result.
///
/// It is lowbias32 of <https://nullprogram.com/blog/2018/07/31/>.
#[inline]
pub(super) const fn mix(word: u32) -> u32 {
    let word = (word ^ (word >> 16)).wrapping_mul(0x7feb_352d);
    let word = (word ^ (word >> 15)).wrapping_mul(0x846c_a68b);
    word ^ (word >> 16)
}

/// The `n`th of the hashes of a word, which have nothing to do with each other.
#[inline]
pub(super) const fn nth(word: u32, n: u32) -> u32 {
    mix(mix(word).wrapping_add(n.wrapping_mul(0x9e37_79b9)))
}

/// An address as one word: one of IPv4 as it is, in host byte order; one of IPv6
/// as a hash of its words.
#[inline]
pub(super) fn address<A: Address>(ip: A) -> u32 {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = ip.to_ipv6();
    let last = u32::from_be_bytes([m, n, o, p]);
    if A::BITS == Ipv4Address::BITS {
        return last;
    }
    let words = [[a, b, c, d], [e, f, g, h], [i, j, k, l]];
    words
        .into_iter()
        .fold(last, |hash, word| nth(hash, u32::from_be_bytes(word)))
}
