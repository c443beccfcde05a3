// SPDX-License-Identifier: GPL-2.0

//! A service's plan: by what its new connections are assigned.

use crate::{
    process::Process,
    tcp_dispatch_core::{
        schedule::{
            maglev::{self, Claim},
            turns, Scheduler,
        },
        AnySocketAddress, Ipv6Address, Prefix,
    },
    wrappers::{
        cred::{Gid, Uid},
        rcu::RcuArc,
    },
};
use kernel::prelude::*;

/// How many processes a service may have. A choice may have to look at all of them.
pub(crate) const MAX_PROCESSES: usize = 1024;

/// What a client sees whose connection no process can take. The numbers are the specification's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Refusal {
    /// What TCP does: a reset if nobody listens, nothing if all accept queues are full.
    Tcp,
    /// A reset.
    Reset,
    /// Nothing: the client tries again.
    Retry,
}

impl Refusal {
    /// What a number of the specification's means.
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        [Self::Tcp, Self::Reset, Self::Retry]
            .into_iter()
            .find(|refusal| *refusal as u32 == number)
    }
}

/// For how long a client comes back to the process that it had.
#[derive(Clone, Copy)]
pub(crate) struct AffinitySettings {
    /// For how many seconds after its last new connection. Zero: not at all.
    pub(crate) timeout: u32,
    /// The prefix length of what counts as one client, of addresses as
    /// [`to_ipv6`](crate::tcp_dispatch_core::Address::to_ipv6) has them.
    pub(crate) prefix_len: u8,
}

/// Who may register processes without being an administrator, and where.
#[derive(Clone, Copy)]
pub(crate) struct Registrants {
    /// A user.
    pub(crate) user: Option<Uid>,
    /// The members of a group.
    pub(crate) group: Option<Gid>,
    /// The range of their process addresses, as [`to_ipv6`](crate::tcp_dispatch_core::Address::to_ipv6) has them.
    pub(crate) prefix: Prefix<Ipv6Address>,
}

/// A service's settings.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) scheduler: Scheduler,
    pub(crate) refusal: Refusal,
    pub(crate) affinity: AffinitySettings,
    pub(crate) registrants: Registrants,
}

impl Settings {
    /// Those of a service of which nothing was said.
    pub(crate) const DEFAULT: Self = Self {
        scheduler: Scheduler::Rr,
        refusal: Refusal::Tcp,
        affinity: AffinitySettings {
            timeout: 0,
            prefix_len: 128,
        },
        registrants: Registrants {
            user: None,
            group: None,
            prefix: Prefix::EMPTY,
        },
    };
}

/// What new connections of a service are assigned by. Never changed, but replaced as a whole.
pub(crate) struct Plan {
    /// How.
    pub(crate) settings: Settings,
    /// The registered processes, in the order of their registration. At most [`MAX_PROCESSES`].
    pub(crate) processes: KVec<RcuArc<Process>>,
    /// The scheduler's table, if it goes by one.
    pub(crate) slots: KVVec<u16>,
}

impl Plan {
    /// Makes a plan. With Maglev hashing, clients stay where `before` put them as far as the weights
    /// allow. Process context.
    pub(crate) fn new(
        settings: Settings,
        processes: KVec<RcuArc<Process>>,
        before: Option<&Plan>,
    ) -> Result<Self> {
        let slots = match settings.scheduler {
            Scheduler::Rr => cycle(&processes, false)?,
            Scheduler::Wrr => cycle(&processes, true)?,
            Scheduler::Mh => {
                let is_alike = |before: &&Plan| before.settings.scheduler == Scheduler::Mh;
                slots(&processes, before.filter(is_alike))?
            }
            _ => KVVec::new(),
        };
        Ok(Self {
            settings,
            processes,
            slots,
        })
    }

    /// Where in the plan `process` is.
    pub(crate) fn position(&self, process: &RcuArc<Process>) -> Option<usize> {
        self.processes
            .iter()
            .position(|other| other.ptr_eq(process))
    }
}

fn seed(address: AnySocketAddress) -> u32 {
    match address {
        AnySocketAddress::V4(address) => maglev::seed(address.ip, address.port()),
        AnySocketAddress::V6(address) => maglev::seed(address.ip, address.port()),
    }
}

/// The table of schedulers that take turns; none if it were too long.
fn cycle(processes: &[RcuArc<Process>], weighted: bool) -> Result<KVVec<u16>> {
    let weights = || processes.iter().map(|process| process.weight_now());
    let mut table = KVVec::new();
    if let Some(places) = turns::places(weights(), weighted) {
        table.resize(places, 0, GFP_KERNEL)?;
        turns::fill(&mut table, weights(), weighted);
    }
    Ok(table)
}

/// Maglev's table.
fn slots(processes: &[RcuArc<Process>], before: Option<&Plan>) -> Result<KVVec<u16>> {
    let mut slots = KVVec::from_elem(maglev::FREE, maglev::SLOTS, GFP_KERNEL)?;
    if let Some(before) = before {
        let mut moved = KVec::with_capacity(before.processes.len(), GFP_KERNEL)?;
        for process in &before.processes {
            let now = processes.iter().position(|other| other.ptr_eq(process));
            moved.push(now.map_or(maglev::FREE, |now| now as u16), GFP_KERNEL)?;
        }
        for (slot, owner) in slots.iter_mut().zip(&before.slots) {
            *slot = moved
                .get(usize::from(*owner))
                .copied()
                .unwrap_or(maglev::FREE);
        }
    }
    let mut claims = KVec::with_capacity(processes.len(), GFP_KERNEL)?;
    for process in processes {
        let seed = seed(process.address);
        claims.push(Claim::new(seed, process.weight_now()), GFP_KERNEL)?;
    }
    maglev::fill(&mut slots, &mut claims);
    Ok(slots)
}
