// SPDX-License-Identifier: GPL-2.0

//! Services to choose a process of.
// Each test is a crate of its own and uses a part of this.
#![allow(dead_code)]

use proptest::prelude::*;
use std::cell::Cell;
use tcp_dispatch_core::schedule::maglev::{fill, seed, Claim, FREE, SLOTS};
use tcp_dispatch_core::schedule::{choose, client, Candidates, Occasion, Scheduler};

/// How many processes the distributions are tested with.
pub const SIZES: [usize; 4] = [2, 3, 7, 100];

/// What a scheduler can learn of a process.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// Its weight.
    pub weight: u16,
    /// Its connections.
    pub connections: u32,
    /// Those in its accept queue.
    pub accept_queue: u32,
    /// How often the scheduler asked for that.
    pub asked: Cell<u32>,
    /// Whether it runs on the CPU that received the packet.
    pub on_cpu: bool,
}

/// A service's processes.
#[derive(Clone, Debug)]
pub struct Service(pub Vec<Process>);

impl Candidates for Service {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn weight(&self, index: usize) -> u16 {
        self.0[index].weight
    }

    fn connections(&self, index: usize) -> u32 {
        self.0[index].connections
    }

    fn accept_queue(&self, index: usize) -> u32 {
        let asked = &self.0[index].asked;
        asked.set(asked.get() + 1);
        self.0[index].accept_queue
    }

    fn on_cpu(&self, index: usize) -> bool {
        self.0[index].on_cpu
    }
}

impl Service {
    /// Idle processes of these weights.
    pub fn new(weights: &[u16]) -> Self {
        let process = |&weight| Process {
            weight,
            ..Process::default()
        };
        Self(weights.iter().map(process).collect())
    }

    /// The weights of all.
    pub fn weights(&self) -> Vec<u16> {
        self.0.iter().map(|process| process.weight).collect()
    }

    /// The indexes of those that may be chosen.
    pub fn eligible(&self) -> Vec<usize> {
        (0..self.0.len())
            .filter(|&index| self.0[index].weight > 0)
            .collect()
    }

    /// Who gets the connection of a turn, where clients and table don't matter.
    pub fn at(&self, scheduler: Scheduler, turn: u32) -> Option<usize> {
        let occasion = Occasion {
            turn,
            client: client([198, 51, 100, 7]),
            slots: &[],
        };
        choose(scheduler, self, &occasion)
    }

    /// Who gets the connection of a client, where turns don't matter.
    pub fn of(&self, scheduler: Scheduler, client: u32, slots: &[u16]) -> Option<usize> {
        let occasion = Occasion {
            turn: 0,
            client,
            slots,
        };
        choose(scheduler, self, &occasion)
    }

    /// How many connections each gets of those of these turns.
    pub fn counts(&self, scheduler: Scheduler, turns: impl Iterator<Item = u32>) -> Vec<u32> {
        let mut counts = vec![0; self.0.len()];
        for turn in turns {
            counts[self.at(scheduler, turn).expect("one has a weight")] += 1;
        }
        counts
    }
}

/// Equal and unequal weights for so many processes, some with processes between
/// them that have none.
pub fn weightings(processes: usize) -> Vec<Vec<u16>> {
    let make = |weight: fn(u16) -> u16| (0..processes as u16).map(weight).collect::<Vec<_>>();
    let mut all = vec![
        make(|_| 1),
        make(|_| 300),
        make(|index| index + 1),
        make(|index| if index == 0 { 1000 } else { 1 }),
        make(|index| [6, 10, 15][usize::from(index % 3)]),
        make(|index| 17 + index * 31 % 16),
    ];
    // The same with one in front, two in the middle, and one at the end.
    for mut weights in all.clone() {
        weights.insert(0, 0);
        weights.splice(2..2, [0, 0]);
        weights.push(0);
        all.push(weights);
    }
    all
}

/// The services of all sizes and weightings.
pub fn services() -> impl Iterator<Item = Service> {
    SIZES
        .into_iter()
        .flat_map(weightings)
        .map(|weights| Service::new(&weights))
}

/// Any weight, none and extremes among them.
pub fn weight() -> impl Strategy<Value = u16> {
    prop_oneof![Just(0), Just(1), Just(u16::MAX), 1..20_u16, any::<u16>()]
}

/// Any process, with small loads so that many tie.
pub fn process() -> impl Strategy<Value = Process> {
    let load = || prop_oneof![0..4_u32, any::<u32>()];
    (weight(), load(), load(), any::<bool>()).prop_map(
        |(weight, connections, accept_queue, on_cpu)| Process {
            weight,
            connections,
            accept_queue,
            asked: Cell::new(0),
            on_cpu,
        },
    )
}

/// Any service.
pub fn service() -> impl Strategy<Value = Service> {
    prop::collection::vec(process(), 0..40).prop_map(Service)
}

/// Any service with a process that may be chosen.
pub fn living_service() -> impl Strategy<Value = Service> {
    service().prop_filter("one has a weight", |service| !service.eligible().is_empty())
}

/// Any scheduler.
pub fn scheduler() -> impl Strategy<Value = Scheduler> {
    prop::sample::select(&Scheduler::ALL[..])
}

/// Maglev's table for the processes of a service.
pub fn table(service: &Service) -> Vec<u16> {
    table_of(SLOTS, service)
}

/// The same with another number of slots.
pub fn table_of(slots: usize, service: &Service) -> Vec<u16> {
    let mut claims: Vec<_> = (1..)
        .zip(service.weights())
        .map(|(port, weight)| Claim::new(seed([10, 77, 0, 1], port), weight))
        .collect();
    let mut slots = vec![FREE; slots];
    fill(&mut slots, &mut claims);
    slots
}

/// Asserts that clients are spread over processes as chance would by these shares:
/// Pearson's test, with a bound that chance exceeds once in thousands of times.
/// Clients and hashes being what they are, it is the same each time.
pub fn assert_spread(counts: &[usize], shares: &[f64], what: &str) {
    let all: usize = counts.iter().sum();
    // The test is right where 5 are expected. Those with fewer are taken together.
    let (mut cells, mut few) = (vec![], (0, 0.0));
    for (&count, share) in counts.iter().zip(shares) {
        assert!(count == 0 || *share > 0.0, "{what}: {counts:?}");
        let expected = all as f64 * share;
        if expected < 5.0 {
            few = (few.0 + count, few.1 + expected);
        } else {
            cells.push((count, expected));
        }
    }
    if few.1 >= 5.0 {
        cells.push(few);
    }
    assert!(!cells.is_empty(), "{what}: {all} are too few to tell");
    let part = |(count, expected): &(usize, f64)| (*count as f64 - expected).powi(2) / expected;
    let sum: f64 = cells.iter().map(part).sum();
    let freedom = cells.len() as f64;
    let bound = freedom + 5.0 * f64::sqrt(2.0 * freedom) + 5.0;
    assert!(sum < bound, "{what}: {sum} exceeds {bound}: {counts:?}");
}

/// How many of these homes are which process.
pub fn count(homes: impl IntoIterator<Item = usize>, processes: usize) -> Vec<usize> {
    let mut counts = vec![0; processes];
    for home in homes {
        counts[home] += 1;
    }
    counts
}

/// The part that each process has of all weights.
pub fn shares(service: &Service) -> Vec<f64> {
    let weights = service.weights();
    let total: f64 = weights.iter().copied().map(f64::from).sum();
    weights.into_iter().map(|w| f64::from(w) / total).collect()
}
