// SPDX-License-Identifier: GPL-2.0

//! The table of Maglev hashing: which process owns which slot.
//!
//! Each process has a permutation of the slots, made of its address, and in
//! turns each takes the next free slot of its own. See section 3.4 of
//! "Maglev: A Fast and Reliable Software Network Load Balancer" (NSDI 2016).
//!
//! There a table is made anew whenever a process comes or leaves, and some slots
//! move between two that stay. Here the table that is there is changed, and no
//! more than the number of slots that each is due demands, so none does.

use super::super::address::Address;
use super::{hash, quota};

/// The number of a table's slots, a prime.
///
/// With as many processes as a service may have, 1024, each has 16 if their
/// weights are equal.
pub const SLOTS: usize = 16381;

/// The owner of a slot that nobody owns.
pub const FREE: u16 = u16::MAX;

/// A process's claim on slots.
#[derive(Clone, Debug)]
pub struct Claim {
    /// What decides which slots it takes, see [`seed`].
    pub seed: u32,
    /// In proportion to what it gets slots; none for zero.
    pub weight: u16,
    /// How many it is due.
    pub(super) quota: u32,
    /// How many it has.
    held: u32,
    /// The slot of its permutation to try next.
    next: usize,
}

impl Claim {
    /// The claim of a process of some weight.
    pub const fn new(seed: u32, weight: u16) -> Self {
        Self {
            seed,
            weight,
            quota: 0,
            held: 0,
            next: 0,
        }
    }

    /// From one slot of its permutation to the next, modulo the number of slots:
    /// less than that, and not zero if there are more slots than one.
    fn skip(&self, slots: usize) -> usize {
        (hash::nth(self.seed, 1) as usize)
            .checked_rem(slots.saturating_sub(1))
            .map_or(0, |skip| skip.saturating_add(1))
    }

    /// The first slot of its permutation.
    fn offset(&self, slots: usize) -> usize {
        (hash::nth(self.seed, 0) as usize)
            .checked_rem(slots)
            .unwrap_or(0)
    }

    /// Takes the next free slot of the permutation, if there is one.
    fn take(&mut self, slots: &mut [u16], owner: u16) -> bool {
        let skip = self.skip(slots.len());
        for _ in 0..slots.len() {
            let at = self.next;
            self.next = step(at, skip, slots.len());
            if let Some(slot) = slots.get_mut(at).filter(|slot| **slot == FREE) {
                *slot = owner;
                self.held = self.held.saturating_add(1);
                return true;
            }
        }
        false
    }
}

/// The seed of the process that listens at a process address, whose port is in
/// host byte order.
pub fn seed<A: Address>(ip: A, port: u16) -> u32 {
    hash::nth(hash::address(ip), port.into())
}

/// Gives each slot an owner, each claim as many as its weight is due and at least
/// one, and takes as few as possible from those that have some.
///
/// `slots` holds the owners so far, and afterwards the new ones, as indexes into
/// `claims`. An index that is not there means [`FREE`]. The length must be prime,
/// such as [`SLOTS`]. If all weights are zero, all slots become free.
///
/// If a process has left, its slots change their owner and no others; if one has
/// come, or has another weight, slots change to it or from it and no others.
///
/// Process context: with 1024 claims and a table of [`SLOTS`] it takes milliseconds.
pub fn fill(slots: &mut [u16], claims: &mut [Claim]) {
    // More can't be told from nobody.
    let most = claims.len().min(FREE.into());
    let (Some(claims), Ok(len)) = (claims.get_mut(..most), u32::try_from(slots.len())) else {
        return;
    };
    quota::apportion(claims, len);
    for claim in claims.iter_mut() {
        claim.held = 0;
        claim.next = claim.offset(slots.len());
    }
    // What exceeds a quota is freed from the table's end on. So if one comes and
    // goes, it is by and by the same slots that move.
    for slot in slots.iter_mut() {
        match claims.get_mut(usize::from(*slot)) {
            Some(claim) if claim.held < claim.quota => claim.held = claim.held.saturating_add(1),
            _ => *slot = FREE,
        }
    }
    take_in_turns(slots, claims);
}

/// Lets claims take free slots until each has its quota: the least weight one a
/// turn, others in proportion.
///
/// One a turn for all would need as many rounds through all claims as the largest
/// of them takes slots.
fn take_in_turns(slots: &mut [u16], claims: &mut [Claim]) {
    let weights = claims.iter().map(|claim| claim.weight);
    let least = weights.filter(|&weight| weight > 0).min().unwrap_or(1);
    let mut took = true;
    while took {
        took = false;
        for (owner, claim) in (0..FREE).zip(claims.iter_mut()) {
            for _ in 0..claim.weight.checked_div(least).unwrap_or(0) {
                if claim.held >= claim.quota || !claim.take(slots, owner) {
                    break;
                }
                took = true;
            }
        }
    }
}

/// The slot `by` behind another, modulo the number of slots, which both are less
/// than.
fn step(at: usize, by: usize, slots: usize) -> usize {
    let to = at.wrapping_add(by);
    to.checked_sub(slots).unwrap_or(to)
}
