// SPDX-License-Identifier: GPL-2.0

//! Schedulers by load: `lc`, `wlc` and `saq`.

use super::{eligible, Candidates};
use core::cmp::{Ordering, Reverse};

/// The one with the fewest connections.
pub(super) fn connections(candidates: &impl Candidates, turn: u32) -> Option<usize> {
    least(
        candidates,
        turn,
        |index, _| candidates.connections(index),
        Ord::cmp,
    )
}

/// The one with the fewest connections for its weight, or the largest weight of
/// several.
pub(super) fn connections_for_weight(candidates: &impl Candidates, turn: u32) -> Option<usize> {
    least(
        candidates,
        turn,
        |index, weight| (candidates.connections(index), weight),
        |&(a_connections, a_weight), &(b_connections, b_weight)| {
            // a / b < c / d says the same as a * d < c * b.
            u64::from(a_connections)
                .wrapping_mul(b_weight.into())
                .cmp(&u64::from(b_connections).wrapping_mul(a_weight.into()))
                .then(Reverse(a_weight).cmp(&Reverse(b_weight)))
        },
    )
}

/// The one with the shortest accept queue, or the fewest connections of several.
pub(super) fn accept_queue(candidates: &impl Candidates, turn: u32) -> Option<usize> {
    least(
        candidates,
        turn,
        |index, _| {
            (
                candidates.accept_queue(index),
                candidates.connections(index),
            )
        },
        Ord::cmp,
    )
}

/// The one with the least `load`; those that tie take turns.
///
/// Asks for each load once: it may be costly, and may change.
fn least<Load>(
    candidates: &impl Candidates,
    turn: u32,
    load: impl Fn(usize, u16) -> Load,
    order: impl Fn(&Load, &Load) -> Ordering,
) -> Option<usize> {
    let mut found: Option<(Load, Ties)> = None;
    for (index, weight) in eligible(candidates) {
        let load = load(index, weight);
        match &mut found {
            Some((least, ties)) => match order(&load, least) {
                Ordering::Less => {
                    *least = load;
                    ties.restart(index);
                }
                Ordering::Equal => ties.add(index),
                Ordering::Greater => {}
            },
            None => found = Some((load, Ties::new(index))),
        }
    }
    found.map(|(_, ties)| ties.in_turn(turn))
}

/// Indexes that tie for the least load.
struct Ties {
    first: usize,
    /// A bit for each: index 0 is the lowest of the first word. There is room
    /// for as many processes as a service may have, 1024; one beyond can be the
    /// first and takes no turns.
    words: [u64; 16],
}

impl Ties {
    fn new(first: usize) -> Self {
        let mut ties = Self {
            first,
            words: [0; 16],
        };
        ties.add(first);
        ties
    }

    fn restart(&mut self, first: usize) {
        *self = Self::new(first);
    }

    fn add(&mut self, index: usize) {
        if let Some(word) = self.words.get_mut(index / 64) {
            *word |= 1_u64.wrapping_shl((index % 64) as u32);
        }
    }

    /// The one whose turn it is.
    fn in_turn(&self, turn: u32) -> usize {
        let count = self
            .words
            .iter()
            .fold(0_u32, |sum, word| sum.saturating_add(word.count_ones()));
        let mut nth = turn.checked_rem(count).unwrap_or(0);
        for (at, &word) in self.words.iter().enumerate() {
            match nth.checked_sub(word.count_ones()) {
                Some(rest) => nth = rest,
                None => {
                    let bit = nth_one(word, nth).trailing_zeros() as usize;
                    return at.saturating_mul(64).saturating_add(bit);
                }
            }
        }
        self.first
    }
}

/// `word` without the lowest `nth` of its ones.
fn nth_one(mut word: u64, nth: u32) -> u64 {
    for _ in 0..nth {
        word &= word.wrapping_sub(1);
    }
    word
}
