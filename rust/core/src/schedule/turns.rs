// SPDX-License-Identifier: GPL-2.0

//! Schedulers by turn: `rr`, `wrr` and `cpu`.
//!
//! A choice looks at all processes, to learn whose turn it is. What it would
//! come to can be laid out in a table beforehand, [`fill`]; then it looks at one.

use super::{eligible, hash, Candidates};

/// The length of the longest table.
///
/// Each of as many processes as a service may have, 1024, may weigh 16 times
/// what the lightest does.
pub const MAX_PLACES: usize = 16384;

/// How many places in a cycle weights come to, with those of [`super::Scheduler::Wrr`] if
/// `weighted`, else with those of [`super::Scheduler::Rr`]. `None` if there are more than
/// [`MAX_PLACES`]: then the scheduler does without a table.
pub fn places(weights: impl Iterator<Item = u16> + Clone, weighted: bool) -> Option<usize> {
    let divisor = divisor(weights.clone());
    let places = shares(weights, divisor, weighted)
        .fold(0_usize, |places, share| places.saturating_add(share.into()));
    (places <= MAX_PLACES).then_some(places)
}

/// Lays a cycle out: writes who has each place, as the index of its weight. The
/// table has as many as [`places`] says.
pub fn fill(table: &mut [u16], weights: impl Iterator<Item = u16> + Clone, weighted: bool) {
    let divisor = divisor(weights.clone());
    let owners = shares(weights, divisor, weighted)
        .zip(0_u16..)
        .flat_map(|(share, index)| (0..share).map(move |_| index));
    for (place, owner) in table.iter_mut().zip(owners) {
        *place = owner;
    }
}

/// How many places each process has.
fn shares(
    weights: impl Iterator<Item = u16>,
    divisor: u64,
    weighted: bool,
) -> impl Iterator<Item = u16> {
    weights.map(move |weight| match weight {
        0 => 0,
        _ if !weighted => 1,
        // What divides all of them is no more than one.
        _ => u64::from(weight)
            .checked_div(divisor)
            .map_or(0, |share| share as u16),
    })
}

/// What divides all weights.
fn divisor(weights: impl Iterator<Item = u16>) -> u64 {
    weights.fold(0, |divisor, weight| {
        greatest_common_divisor(weight.into(), divisor)
    })
}

/// Whose turn it is by the table of the processes, or by what all of them say if
/// there is none: by weight if `weighted`.
///
/// Who has gone since the table was made leaves his turns to the others, by
/// chance: turns that follow each other would all go to the same.
pub(super) fn by_table(
    candidates: &impl Candidates,
    turn: u32,
    table: &[u16],
    weighted: bool,
) -> Option<usize> {
    let choose = |turn| {
        if weighted {
            by_weight(candidates, turn)
        } else {
            evenly(candidates, turn, |_| true)
        }
    };
    let length = table.len() as u64;
    let stride = if weighted { stride(length) } else { 1 };
    let Some(place) = u64::from(turn).wrapping_mul(stride).checked_rem(length) else {
        return choose(turn);
    };
    table
        .get(place as usize)
        .map(|&owner| usize::from(owner))
        .filter(|&owner| owner < candidates.len() && candidates.weight(owner) > 0)
        .or_else(|| choose(hash::nth(turn, 0)))
}

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
