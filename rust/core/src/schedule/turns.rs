// SPDX-License-Identifier: GPL-2.0

//! Schedulers by turn: `rr`, `wrr` and `cpu`.

use super::{eligible, Candidates};

/// The golden ratio's fractional part, in parts of 2^32.
const GOLDEN: u64 = 0x9e37_79b9;

/// The one whose turn it is among those that may be chosen and are `wanted`.
pub(super) fn evenly(
    candidates: &impl Candidates,
    turn: u32,
    wanted: impl Fn(usize) -> bool,
) -> Option<usize> {
    let indexes = || {
        eligible(candidates)
            .map(|(index, _)| index)
            .filter(|&index| wanted(index))
    };
    let (mut count, mut last) = (0_usize, None);
    for index in indexes() {
        count = count.saturating_add(1);
        last = Some(index);
    }
    let nth = (turn as usize).checked_rem(count)?;
    // There may be fewer by now.
    indexes().nth(nth).or(last)
}

/// The one whose turn it is by weight.
///
/// Think of a cycle in which each process has as many places in a row as its
/// weight says. Each turn goes on by the same stride. As the stride has no
/// divisor with the cycle's length in common, each place is visited once before
/// any is visited again. As it is near the golden ratio of the length, which is
/// worst to approximate by fractions, consecutive turns are spread evenly.
pub(super) fn by_weight(candidates: &impl Candidates, turn: u32) -> Option<usize> {
    let (mut total, mut divisor, mut last) = (0_u64, 0, None);
    for (index, weight) in eligible(candidates) {
        total = total.saturating_add(weight.into());
        divisor = greatest_common_divisor(weight.into(), divisor);
        last = Some(index);
    }
    let cycle = total.checked_div(divisor)?;
    let place = u64::from(turn)
        .wrapping_mul(stride(cycle))
        .checked_rem(cycle)?;
    let mut rest = place.saturating_mul(divisor);
    for (index, weight) in eligible(candidates) {
        match rest.checked_sub(weight.into()) {
            Some(less) => rest = less,
            None => return Some(index),
        }
    }
    // The weights have sunk since they were added up.
    last
}

/// The number next to the golden ratio of `cycle` that has no divisor with it
/// in common.
fn stride(cycle: u64) -> u64 {
    let golden = cycle.wrapping_mul(GOLDEN) >> 32;
    // Among so many consecutive numbers there is one, at 40 steps at most for
    // what 1024 weights may add up to.
    (0..cycle)
        .flat_map(|by| [golden.saturating_add(by), golden.saturating_sub(by)])
        .find(|&stride| greatest_common_divisor(stride, cycle) == 1)
        .unwrap_or(1)
}

/// Euclid's algorithm. Zero is divided by everything.
fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while let Some(rest) = a.checked_rem(b) {
        (a, b) = (b, rest);
    }
    a
}
