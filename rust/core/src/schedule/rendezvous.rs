// SPDX-License-Identifier: GPL-2.0

//! Scheduler `sh`: weighted rendezvous hashing.
//!
//! Each process is at some distance from the client, which client and index
//! decide by a hash, divided by the process's weight. The nearest is chosen. So
//! a change of one weight changes one distance, and moves no client between two
//! other processes.
//!
//! For the shares to be in proportion to the weights, distances have to be
//! distributed exponentially: they are the logarithms of hashes, negated.

use super::{eligible, hash, Candidates};

/// The number of bits behind the binary point of a logarithm.
const FRACTION: u32 = 26;

/// `TABLE` divides the numbers from a half to one into 2 to the power of this.
const SEGMENTS: u32 = 6;

/// The number of bits that say where in a segment a number is.
const WITHIN: u32 = 31_u32.wrapping_sub(SEGMENTS);

/// The negative binary logarithms of 1, of 127/128 and so on down to 64/128.
static TABLE: [u32; 65] = {
    let mut table = [0; 65];
    let mut rest: &mut [u32] = &mut table;
    let mut number: u64 = 1 << 32;
    while let Some((first, others)) = rest.split_first_mut() {
        *first = negative_logarithm(number);
        number = number.wrapping_sub(1 << WITHIN);
        rest = others;
    }
    table
};

/// The nearest process.
pub(super) fn nearest(candidates: &impl Candidates, client: u32) -> Option<usize> {
    let mut found: Option<(usize, u64, u64)> = None;
    for (index, weight) in eligible(candidates) {
        let (distance, weight) = (distance(client, index), u64::from(weight));
        let is_nearer = found.is_none_or(|(_, least, its_weight)| {
            // a / b < c / d says the same as a * d < c * b.
            distance.wrapping_mul(its_weight) < least.wrapping_mul(weight)
        });
        if is_nearer {
            found = Some((index, distance, weight));
        }
    }
    found.map(|(index, _, _)| index)
}

/// The distance of a process of weight one, in parts of 2^`FRACTION`: at most 32.
fn distance(client: u32, index: usize) -> u64 {
    let hash = hash::nth(client, index as u32);
    // In parts of 2^32 this is more than zero and at most one; doubled as often
    // as the hash has leading zeros, more than a half.
    let doublings = hash.leading_zeros();
    let number = u64::from(hash).wrapping_add(1).wrapping_shl(doublings);
    let short = (1_u64 << 32).saturating_sub(number);
    let segment = (short >> WITHIN) as usize;
    let (from, to) = match (TABLE.get(segment), TABLE.get(segment.wrapping_add(1))) {
        (Some(&from), Some(&to)) => (u64::from(from), u64::from(to)),
        // The table ends at a half.
        _ => (0, 0),
    };
    let within = short & (1_u64 << WITHIN).wrapping_sub(1);
    let logarithm = from.wrapping_add(to.wrapping_sub(from).wrapping_mul(within) >> WITHIN);
    logarithm.wrapping_add(u64::from(doublings) << FRACTION)
}

/// The negative binary logarithm of a number from a half to one, given in parts
/// of 2^32, in parts of 2^`FRACTION`: squaring doubles a logarithm, so each
/// square tells one more bit of it.
const fn negative_logarithm(mut number: u64) -> u32 {
    let one = 1_u64 << 32;
    if number >= one {
        return 0;
    }
    // From here on twice the number, from one to two in parts of 2^31.
    let mut logarithm = 0_u32;
    let mut bits = 0;
    while bits < FRACTION {
        number = number.wrapping_mul(number) >> 31;
        logarithm <<= 1;
        if number >= one {
            number >>= 1;
            logarithm |= 1;
        }
        bits = bits.wrapping_add(1);
    }
    (1_u32 << FRACTION).wrapping_sub(logarithm)
}
