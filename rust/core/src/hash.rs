// SPDX-License-Identifier: GPL-2.0

//! The hash of the tables' keys, under secret keys of its own.
//!
//! Folded multiplication, as in wyhash and its kin: the product of two words, each under a secret, has
//! 128 bits, of which both halves are combined. Who doesn't know the secrets can't choose what meets
//! in a bucket, as with the kernel's `jhash()` under a random seed, which takes four times as many
//! instructions.

use super::address::{Address, Ipv4Address, Ipv6Address};
use super::tuple::Tuple;

/// The secrets: the same as long as there is a table.
#[derive(Clone, Copy)]
pub struct Secrets([u64; 6]);

impl Secrets {
    /// Those that `random` words make.
    pub const fn new(random: [u64; 6]) -> Self {
        let [first, second, third, fourth, fifth, sixth] = random;
        // To multiply with an even number would lose bits.
        Self([first, second, third | 1, fourth, fifth, sixth])
    }
}

/// What is hashed to be found.
pub trait Key {
    /// A hash of which any bits may be taken. `seed` is the table's, which draws another when too many
    /// keys meet.
    fn hash(&self, secrets: &Secrets, seed: u32) -> u32;

    /// Whether it is the same key.
    fn is(&self, other: &Self) -> bool;
}

impl<A: Address> Key for Tuple<A> {
    #[inline]
    fn hash(&self, secrets: &Secrets, seed: u32) -> u32 {
        let addresses = A::hash_two(self.source_ip, self.destination_ip, secrets);
        last(addresses, self.ports().into(), secrets, seed)
    }

    #[inline]
    fn is(&self, other: &Self) -> bool {
        self.ports() == other.ports()
            && self.source_ip.to_word() == other.source_ip.to_word()
            && self.destination_ip.to_word() == other.destination_ip.to_word()
    }
}

/// Two addresses of IPv4 in a word. No two pairs have the same.
#[inline]
pub(super) const fn join_ipv4(source: Ipv4Address, destination: Ipv4Address) -> u64 {
    join(u32::from_ne_bytes(source), u32::from_ne_bytes(destination))
}

/// Two addresses of IPv6 in a word.
#[inline]
pub(super) const fn fold_ipv6(
    source: Ipv6Address,
    destination: Ipv6Address,
    secrets: &Secrets,
) -> u64 {
    let Secrets([_, _, third, fourth, fifth, sixth]) = *secrets;
    fold_address(source, third, fourth) ^ fold_address(destination, fifth, sixth)
}

/// The hash of an address, of either family, and another word.
#[inline]
pub fn of_address_and(address: Ipv6Address, word: u64, secrets: &Secrets, seed: u32) -> u32 {
    let Secrets([_, _, third, fourth, ..]) = *secrets;
    last(fold_address(address, third, fourth), word, secrets, seed)
}

impl<A> Tuple<A> {
    #[inline]
    fn ports(&self) -> u32 {
        let ([a, b], [c, d]) = (self.source_port, self.destination_port);
        u32::from_ne_bytes([a, b, c, d])
    }
}

#[inline]
const fn join(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

#[inline]
const fn fold_address(address: Ipv6Address, one: u64, other: u64) -> u64 {
    let bits = u128::from_ne_bytes(address);
    fold(bits as u64 ^ one, (bits >> 64) as u64 ^ other)
}

#[inline]
fn last(words: u64, word: u64, secrets: &Secrets, seed: u32) -> u32 {
    let Secrets([first, second, third, ..]) = *secrets;
    let folded = fold(words ^ first, word ^ join(0, seed) ^ second);
    // Keys in a row leave rows in one product, and none in the upper half of the next.
    (folded.wrapping_mul(third) >> 32) as u32
}

/// Both halves of the product.
#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    // Two words' product fits.
    let product = (a as u128).wrapping_mul(b as u128);
    product as u64 ^ (product >> 64) as u64
}
