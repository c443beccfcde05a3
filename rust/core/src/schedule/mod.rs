// SPDX-License-Identifier: GPL-2.0

//! Choosing a process for a new connection.
//!
//! The schedulers bear the names of `net/netfilter/ipvs/`, and choose by the
//! same rules where these are there. None keeps a state of its own: what one
//! needs to know comes with the [`Candidates`] and the [`Occasion`], so any
//! number of CPUs may choose at the same time without a lock.

mod hash;
mod least;
pub mod maglev;
mod quota;
mod rendezvous;
mod slots;
pub mod turns;

use super::address::Address;

/// How a service chooses among its processes.
///
/// The numbers are those of enum `scheduler` in
/// `Documentation/netlink/specs/tcp_dispatch.yaml`. In all of them a process
/// of weight zero is not chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Scheduler {
    /// Round robin: each process in turn, whatever its weight.
    Rr = 0,
    /// Weighted round robin: in as many turns as the sum of all weights,
    /// divided by their greatest common divisor, each process is chosen as
    /// many times as its weight, divided likewise, says.
    ///
    /// Turns of one process are spread over the others'. Where
    /// [`Occasion::turn`] wraps, one such cycle is cut short.
    Wrr = 1,
    /// Least connections: the process with the fewest. Those that tie take
    /// turns.
    Lc = 2,
    /// Weighted least connections: the process with the fewest for its weight.
    /// Of those that tie the largest weights take turns.
    Wlc = 3,
    /// Maglev hashing: who owns the slot of the client's address in the table
    /// that [`maglev::fill`] makes.
    ///
    /// A client of a process that can't be chosen tries further slots, and at
    /// last goes by [`Scheduler::Sh`]; nobody else's client moves.
    Mh = 4,
    /// Source hashing: by the client's address, in proportion to the weights.
    ///
    /// If a weight sinks or becomes zero, clients move away from that process
    /// only; if one grows, clients move to that process only. Processes go by
    /// their index here: of one that is added behind all others the same
    /// holds, but where one is taken out, the clients of all behind it move.
    Sh = 5,
    /// Shortest accept queue: among those that tie, the process with the
    /// fewest connections; who ties in both takes turns.
    Saq = 6,
    /// The processes that run on the CPU that received the packet in turn; all
    /// in turn if there is none.
    Cpu = 7,
}

impl Scheduler {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Rr,
        Self::Wrr,
        Self::Lc,
        Self::Wlc,
        Self::Mh,
        Self::Sh,
        Self::Saq,
        Self::Cpu,
    ];

    /// The scheduler of a number, `None` if no scheduler has it.
    #[inline]
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Rr,
            1 => Self::Wrr,
            2 => Self::Lc,
            3 => Self::Wlc,
            4 => Self::Mh,
            5 => Self::Sh,
            6 => Self::Saq,
            7 => Self::Cpu,
            _ => return None,
        })
    }

    /// Its number.
    #[inline]
    pub const fn number(self) -> u32 {
        self as u32
    }
}

/// What a scheduler may ask of the processes of a service, by index from zero.
///
/// Other CPUs may change all but the length while a scheduler chooses; then
/// the choice may be one that either the old or the new values allow.
pub trait Candidates {
    /// How many processes there are.
    fn len(&self) -> usize;

    /// Whether there are no processes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The weight of a process. One of weight zero is not chosen.
    fn weight(&self, index: usize) -> u16;

    /// How many connections it has.
    fn connections(&self, index: usize) -> u32;

    /// How many connections wait for it in its accept queue. Only
    /// [`Scheduler::Saq`] asks, and once a choice of each process.
    fn accept_queue(&self, index: usize) -> u32;

    /// Whether its CPUs include the one that received the packet. Only
    /// [`Scheduler::Cpu`] asks.
    fn on_cpu(&self, index: usize) -> bool;
}

/// What the schedulers that go by a client's address go by.
#[inline]
pub fn client<A: Address>(ip: A) -> u32 {
    hash::address(ip)
}

/// What a new connection brings.
#[derive(Clone, Copy, Debug)]
pub struct Occasion<'a> {
    /// Grows by one with each new connection of the service, and wraps.
    pub turn: u32,
    /// The hash of the client's address, see [`client`].
    pub client: u32,
    /// The table that was made of the same processes: the index of the owner of
    /// each slot. With [`Scheduler::Mh`] it is that of [`maglev::fill`], with
    /// [`Scheduler::Rr`] and [`Scheduler::Wrr`] that of [`turns::fill`] or
    /// empty; the others go by none.
    pub slots: &'a [u16],
}

impl Occasion<'_> {
    /// The same connection's occasion for another choice, after `attempt` that
    /// chose a process which is to be passed over.
    ///
    /// With the turn as it was, the turns of one that is always passed over
    /// would not be spread over the others as their weights are.
    #[inline]
    pub const fn again(&self, attempt: u32) -> Self {
        Self {
            turn: hash::nth(self.turn, attempt),
            ..*self
        }
    }
}

/// Chooses the process that a new connection is assigned to, as an index;
/// `None` if all weights are zero.
///
/// Any context. The cost grows with the number of processes, except for that of
/// schedulers that go by a table. To pass over the one chosen, choose again with its weight
/// zero on [`Occasion::again`].
pub fn choose(
    scheduler: Scheduler,
    candidates: &impl Candidates,
    occasion: &Occasion<'_>,
) -> Option<usize> {
    let turn = occasion.turn;
    let client = occasion.client;
    match scheduler {
        Scheduler::Rr => turns::by_table(candidates, turn, occasion.slots, false),
        Scheduler::Wrr => turns::by_table(candidates, turn, occasion.slots, true),
        Scheduler::Lc => least::connections(candidates, turn),
        Scheduler::Wlc => least::connections_for_weight(candidates, turn),
        Scheduler::Mh => slots::owner(candidates, client, occasion.slots),
        Scheduler::Sh => rendezvous::nearest(candidates, client),
        Scheduler::Saq => least::accept_queue(candidates, turn),
        Scheduler::Cpu => turns::evenly(candidates, turn, |index| candidates.on_cpu(index))
            .or_else(|| turns::evenly(candidates, turn, |_| true)),
    }
}

/// The processes that may be chosen, with their weights.
fn eligible(candidates: &impl Candidates) -> impl Iterator<Item = (usize, u16)> + '_ {
    (0..candidates.len())
        .map(|index| (index, candidates.weight(index)))
        .filter(|&(_, weight)| weight > 0)
}
