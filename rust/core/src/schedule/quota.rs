// SPDX-License-Identifier: GPL-2.0

//! How many slots of Maglev's table each process is due.
//!
//! By the method of Webster and Sainte-Laguë, as parliaments give seats to
//! parties: slot after slot goes to the claim with the largest quotient of its
//! weight by one less than twice the slots that it would then have. The first
//! slot of each claim with a weight comes before all these.
//!
//! The shares come out rounded to the nearest. Rounding by largest remainders
//! would do that, too, but here no claim gains or loses against a second one
//! because a third has come, left, or changed its weight. So no slot has to move
//! between the first two.

use super::maglev::Claim;
use core::cmp::Ordering;

/// Sets the quotas of `claims`, which add up to `slots`; all are zero if no
/// claim has a weight.
pub(super) fn apportion(claims: &mut [Claim], slots: u32) {
    let total = claims
        .iter()
        .fold(0_u64, |sum, claim| sum.saturating_add(claim.weight.into()));
    let mut given: u64 = 0;
    for claim in claims.iter_mut() {
        let weight = u64::from(claim.weight);
        // Twice the share and one, halved: rounded to the nearest.
        let share = weight
            .saturating_mul(slots.into())
            .saturating_mul(2)
            .saturating_add(total)
            .checked_div(total.saturating_mul(2))
            .unwrap_or(0);
        // No more than `slots`, so it fits.
        claim.quota = (share as u32).max(weight.min(1) as u32);
        given = given.saturating_add(claim.quota.into());
    }
    // Rounding has given all slots that come before some turn and none behind it,
    // so a few more turns, or a few less, make the sum right.
    while given < slots.into() {
        let turns = claims.iter().enumerate().filter(|(_, c)| c.weight > 0);
        let next = turns
            .map(|(index, c)| Turn::new(index, c.weight, c.quota.saturating_add(1)))
            .reduce(|a, b| if b.precedes(&a) { b } else { a });
        let Some(claim) = next.and_then(|turn| claims.get_mut(turn.index)) else {
            break;
        };
        claim.quota = claim.quota.saturating_add(1);
        given = given.saturating_add(1);
    }
    while given > slots.into() {
        let turns = claims.iter().enumerate().filter(|(_, c)| c.quota > 0);
        let last = turns
            .map(|(index, c)| Turn::new(index, c.weight, c.quota))
            .reduce(|a, b| if b.precedes(&a) { a } else { b });
        let Some(claim) = last.and_then(|turn| claims.get_mut(turn.index)) else {
            break;
        };
        claim.quota = claim.quota.saturating_sub(1);
        given = given.saturating_sub(1);
    }
}

/// The giving of one slot to a claim.
struct Turn {
    index: usize,
    weight: u64,
    /// What the weight is divided by; the larger the result, the sooner the turn.
    divisor: u64,
}

impl Turn {
    /// The turn in which a claim gets its `nth` slot, from one.
    fn new(index: usize, weight: u16, nth: u32) -> Self {
        Self {
            index,
            weight: weight.into(),
            divisor: match nth {
                // Before the second of any other.
                ..=1 => 0,
                _ => u64::from(nth).wrapping_mul(2).wrapping_sub(1),
            },
        }
    }

    /// Whether it comes before another.
    fn precedes(&self, other: &Self) -> bool {
        // a / b > c / d says the same as a * d > c * b, and b may be zero.
        let this = self.weight.wrapping_mul(other.divisor);
        let that = other.weight.wrapping_mul(self.divisor);
        this.cmp(&that).then(other.index.cmp(&self.index)) == Ordering::Greater
    }
}
