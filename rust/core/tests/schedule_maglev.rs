// SPDX-License-Identifier: GPL-2.0

//! Maglev's table.

mod schedule_support;

use proptest::prelude::*;
use schedule_support::{weight, weightings, SIZES};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use tcp_dispatch_core::schedule::maglev::{fill, seed, Claim, FREE, SLOTS};

/// Smaller than [`SLOTS`], so that many tables can be tried; a prime, too.
const FEW: usize = 251;

/// A process in these tests: the last two bytes of its address, and its weight.
type Process = (u16, u16);

/// A table by the addresses of the owners, which stay when indexes change.
struct Table {
    processes: Vec<Process>,
    slots: Vec<u16>,
}

impl Table {
    fn new(slots: usize) -> Self {
        Self {
            processes: vec![],
            slots: vec![FREE; slots],
        }
    }

    /// A filled table with processes of these weights.
    fn of(slots: usize, weights: &[u16]) -> Self {
        let mut table = Self::new(slots);
        table.set((0..).zip(weights.iter().copied()).collect());
        table
    }

    /// Fills the table for other processes, as the module does: the owners so far
    /// keep their slots under their new indexes.
    fn set(&mut self, processes: Vec<Process>) {
        let index: HashMap<_, _> = processes.iter().map(|p| p.0).zip(0..).collect();
        for slot in &mut self.slots {
            let process = self.processes.get(usize::from(*slot));
            *slot = process
                .and_then(|p| index.get(&p.0))
                .copied()
                .unwrap_or(FREE);
        }
        let mut claims: Vec<_> = processes
            .iter()
            .map(|&(address, weight)| {
                let [c, d] = address.to_be_bytes();
                Claim::new(seed([10, 77, c, d], 80), weight)
            })
            .collect();
        fill(&mut self.slots, &mut claims);
        self.processes = processes;
    }

    /// The address of the owner of each slot.
    fn owners(&self) -> Vec<Option<u16>> {
        let owner = |&slot: &u16| self.processes.get(usize::from(slot)).map(|p| p.0);
        self.slots.iter().map(owner).collect()
    }

    /// How many slots each process has.
    fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.processes.len()];
        for &slot in self.slots.iter().filter(|&&slot| slot != FREE) {
            counts[usize::from(slot)] += 1;
        }
        counts
    }
}

/// The owners of the slots that changed it: before and after.
fn moves(before: &[Option<u16>], after: &[Option<u16>]) -> Vec<(Option<u16>, Option<u16>)> {
    let pairs = before.iter().copied().zip(after.iter().copied());
    pairs.filter(|(before, after)| before != after).collect()
}

/// What each is due: slot after slot to who has most weight for it.
fn quotas(weights: &[u16], slots: usize) -> Vec<usize> {
    let mut quotas: Vec<_> = weights.iter().map(|&w| usize::from(w > 0)).collect();
    // No two quotients that differ do so by less than 2^-40. Of equal ones the
    // first counts.
    let quotient = |weight: u16, quota: usize| (u64::from(weight) << 40) / (2 * quota as u64 + 1);
    let mut next: BinaryHeap<_> = (0..weights.len())
        .filter(|&index| weights[index] > 0)
        .map(|index| (quotient(weights[index], 1), Reverse(index)))
        .collect();
    for _ in next.len()..slots {
        let Some((_, Reverse(index))) = next.pop() else {
            break;
        };
        quotas[index] += 1;
        next.push((quotient(weights[index], quotas[index]), Reverse(index)));
    }
    quotas
}

#[test]
fn the_number_of_slots_is_prime() {
    assert!((2..SLOTS).all(|divisor| SLOTS % divisor != 0));
}

#[test]
fn each_process_has_the_slots_that_its_weight_is_due() {
    for weights in SIZES.into_iter().flat_map(weightings) {
        let counts = Table::of(SLOTS, &weights).counts();
        assert_eq!(counts, quotas(&weights, SLOTS), "{weights:?}");
        let total: usize = weights.iter().map(|&weight| usize::from(weight)).sum();
        for (count, weight) in counts.into_iter().zip(weights) {
            let share = SLOTS as f64 * f64::from(weight) / total as f64;
            assert!(
                (count as f64 - share).abs() < 1.0 + share / 100.0,
                "{count} instead of {share}"
            );
        }
    }
}

#[test]
fn equal_weights_have_equally_many_slots() {
    for processes in [1, 2, 3, 7, 100, 1024] {
        for count in Table::of(SLOTS, &vec![5; processes]).counts() {
            assert!(count == SLOTS / processes || count == SLOTS.div_ceil(processes));
        }
    }
}

#[test]
fn the_smallest_weight_has_a_slot_beside_1023_of_the_largest() {
    let mut weights = vec![u16::MAX; 1024];
    weights[512] = 1;
    let counts = Table::of(SLOTS, &weights).counts();
    assert_eq!(counts[512], 1);
    assert_eq!(counts.iter().sum::<usize>(), SLOTS);
    assert_eq!(counts, quotas(&weights, SLOTS));
}

#[test]
fn one_large_weight_leaves_a_slot_to_each_of_1023_small_ones() {
    let mut weights = vec![1; 1024];
    weights[1000] = u16::MAX;
    let counts = Table::of(SLOTS, &weights).counts();
    assert_eq!(counts[1000], SLOTS - 1023);
    assert_eq!(counts.iter().filter(|&&count| count == 1).count(), 1023);
}

#[test]
fn without_weights_all_slots_are_free() {
    assert!(Table::of(SLOTS, &[]).slots.iter().all(|&slot| slot == FREE));
    assert!(Table::of(SLOTS, &[0, 0])
        .slots
        .iter()
        .all(|&slot| slot == FREE));
    let mut table = Table::of(SLOTS, &[1, 2, 3]);
    table.set(vec![(0, 0), (1, 0), (2, 0)]);
    assert!(table.slots.iter().all(|&slot| slot == FREE));
}

#[test]
fn a_table_of_any_prime_length_is_filled() {
    for slots in [1, 2, 3, 5, 7, 11, 101] {
        for weights in [vec![1], vec![1, 1], vec![3, 0, 1, 9]] {
            let table = Table::of(slots, &weights);
            assert!(table.slots.iter().all(|&slot| slot != FREE));
        }
    }
    fill(&mut [], &mut [Claim::new(1, 1)]);
}

/// When one of n leaves, at most 1/n of the slots move, rounded up.
#[test]
fn if_one_of_n_leaves_its_slots_move_to_all_others_and_no_other_slot() {
    for processes in [2_u16, 3, 7, 100, 1024] {
        let everyone: Vec<_> = (0..processes).map(|address| (address, 1)).collect();
        for leaver in [0, processes / 2, processes - 1] {
            let mut table = Table::new(SLOTS);
            table.set(everyone.clone());
            let before = table.owners();
            let mut others = everyone.clone();
            others.retain(|process| process.0 != leaver);
            table.set(others);
            let moves = moves(&before, &table.owners());
            assert!(moves.iter().all(|(from, _)| *from == Some(leaver)));
            assert!(moves.len() <= SLOTS.div_ceil(processes.into()));
            assert!(moves.len() >= SLOTS / usize::from(processes));
            let heirs: HashSet<_> = moves.iter().map(|(_, to)| to).collect();
            assert_eq!(heirs.len(), moves.len().min(usize::from(processes) - 1));
        }
    }
}

#[test]
fn if_one_comes_it_takes_its_slots_from_all_others_and_no_other_slot_moves() {
    for processes in [1_u16, 2, 6, 99, 1023] {
        let mut table = Table::of(SLOTS, &vec![1; processes.into()]);
        let before = table.owners();
        table.set((0..=processes).map(|address| (address, 1)).collect());
        let moves = moves(&before, &table.owners());
        assert!(moves.iter().all(|(_, to)| *to == Some(processes)));
        assert!(moves.len() <= SLOTS.div_ceil(usize::from(processes) + 1));
        assert!(moves.len() >= SLOTS / (usize::from(processes) + 1));
        let givers: HashSet<_> = moves.iter().map(|(from, _)| from).collect();
        assert_eq!(givers.len(), moves.len().min(processes.into()));
    }
}

#[test]
fn one_that_comes_and_goes_moves_the_same_slots_again_and_again() {
    let everyone: Vec<_> = (0..100).map(|address| (address, 1)).collect();
    let mut table = Table::new(SLOTS);
    table.set(everyone.clone());
    let its_slots = |table: &Table| -> HashSet<usize> {
        let owners = table.owners();
        (0..SLOTS).filter(|&at| owners[at] == Some(99)).collect()
    };
    let mut moved: HashSet<usize> = HashSet::new();
    for _ in 0..20 {
        moved.extend(its_slots(&table));
        table.set(everyone[..99].to_vec());
        table.set(everyone.clone());
    }
    // It has 163 at a time, so 20 times others would be 3260.
    assert!(moved.len() < 3 * 164, "{} slots have moved", moved.len());
}

#[test]
fn the_slots_of_a_process_lie_all_over_the_table() {
    for weights in [vec![1; 2], vec![1; 7], vec![1, 2, 3, 4]] {
        let table = Table::of(SLOTS, &weights);
        let counts = table.counts();
        for part in table.slots.chunks_exact(SLOTS / 20) {
            for (owner, &count) in (0..).zip(&counts) {
                let share = count as f64 / SLOTS as f64;
                let expected = part.len() as f64 * share;
                let found = part.iter().filter(|&&slot| slot == owner).count() as f64;
                // Far more than chance, far less than a part that one has alone.
                assert!(found > expected * 0.5 && found < expected * 1.5);
            }
        }
        // Neither does a slot tell the owner of the next.
        let same = table
            .slots
            .windows(2)
            .filter(|pair| pair[0] == pair[1])
            .count() as f64;
        let by_chance: f64 = counts
            .iter()
            .map(|&c| (c as f64).powi(2) / SLOTS as f64)
            .sum();
        assert!(
            (same - by_chance).abs() < by_chance * 0.3,
            "{same} instead of {by_chance}"
        );
    }
}

#[test]
fn seeds_differ_by_address_and_by_port() {
    let addresses = (0..=u16::MAX).map(|low| {
        let [c, d] = low.to_be_bytes();
        seed([10, 77, c, d], 80)
    });
    assert_eq!(addresses.collect::<HashSet<_>>().len(), 65_536);
    let ports = (0..=u16::MAX).map(|port| seed([10, 77, 0, 1], port));
    assert_eq!(ports.collect::<HashSet<_>>().len(), 65_536);
}

#[test]
fn processes_with_the_same_seed_share_slots_nevertheless() {
    let mut slots = vec![FREE; SLOTS];
    fill(&mut slots, &mut [Claim::new(5, 1), Claim::new(5, 1)]);
    assert_eq!(
        slots.iter().filter(|&&slot| slot == 0).count(),
        SLOTS.div_ceil(2)
    );
    assert_eq!(slots.iter().filter(|&&slot| slot == 1).count(), SLOTS / 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_weights_have_the_slots_that_they_are_due(
        weights in prop::collection::vec(weight(), 0..60),
    ) {
        prop_assert_eq!(Table::of(FEW, &weights).counts(), quotas(&weights, FEW));
    }

    #[test]
    fn whatever_the_table_held_each_has_what_it_is_due(
        weights in prop::collection::vec(weight(), 1..60),
        slots in prop::collection::vec(prop_oneof![0..60_u16, Just(FREE), any::<u16>()], FEW),
    ) {
        let mut table = Table { processes: vec![], slots };
        let mut claims: Vec<_> = (0..)
            .zip(&weights)
            .map(|(port, &weight)| Claim::new(seed([10, 77, 0, 1], port), weight))
            .collect();
        fill(&mut table.slots, &mut claims);
        table.processes = (0..).zip(weights.iter().copied()).collect();
        prop_assert_eq!(table.counts(), quotas(&weights, FEW));
        // And with the same claims again nothing changes.
        let before = table.slots.clone();
        fill(&mut table.slots, &mut claims);
        prop_assert_eq!(table.slots, before);
    }

    #[test]
    fn whatever_happens_to_one_no_slot_moves_between_two_others(
        weights in prop::collection::vec(weight(), 1..40),
        events in prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, weight()), 1..12),
    ) {
        let mut table = Table::of(FEW, &weights);
        let mut next = weights.len() as u16;
        for (which, event, weight) in events {
            let mut processes = table.processes.clone();
            let address = if event == 0 || processes.is_empty() {
                processes.push((next, weight));
                next += 1;
                next - 1
            } else {
                let at = which.index(processes.len());
                let address = processes[at].0;
                if event == 1 {
                    processes.remove(at);
                } else {
                    processes[at].1 = weight;
                }
                address
            };
            let (before, had) = (table.owners(), table.processes.clone());
            table.set(processes);
            let weights: Vec<_> = table.processes.iter().map(|p| p.1).collect();
            prop_assert_eq!(table.counts(), quotas(&weights, FEW));
            let count = |owners: &[Option<u16>]| {
                owners.iter().filter(|&&owner| owner == Some(address)).count()
            };
            let after = table.owners();
            let moves = moves(&before, &after);
            // All or none are free before the first and after the last weight.
            let weightless = |list: &[Process]| list.iter().all(|p| p.1 == 0);
            if !weightless(&had) && !weightless(&table.processes) {
                for &(from, to) in &moves {
                    prop_assert!(from == Some(address) || to == Some(address));
                }
                prop_assert_eq!(moves.len(), count(&before).abs_diff(count(&after)));
            }
        }
    }
}
