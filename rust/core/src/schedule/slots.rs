// SPDX-License-Identifier: GPL-2.0

//! Scheduler `mh`: looking a client up in Maglev's table.

use super::maglev::FREE;
use super::{hash, rendezvous, Candidates};

/// In how many slots a client is looked for.
const PROBES: u32 = 8;

/// The owner of the first of the client's slots whose owner may be chosen, or
/// the nearest process.
///
/// Which slots are the client's is up to its address alone, and so is who is
/// nearest: whose owner may be chosen stays there, whatever others become.
pub(super) fn owner(candidates: &impl Candidates, client: u32, slots: &[u16]) -> Option<usize> {
    (0..PROBES)
        .find_map(|probe| {
            let slot = (hash::nth(client, probe) as usize).checked_rem(slots.len())?;
            let owner = slots.get(slot).copied().filter(|&owner| owner != FREE)?;
            let owner = usize::from(owner);
            (owner < candidates.len() && candidates.weight(owner) > 0).then_some(owner)
        })
        .or_else(|| rendezvous::nearest(candidates, client))
}
