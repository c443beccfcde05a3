// SPDX-License-Identifier: GPL-2.0

//! Choosing by turn: `rr`, `wrr` and `cpu`.

mod schedule_support;

use proptest::prelude::*;
use schedule_support::{living_service, services, weight, Service};
use tcp_dispatch_core::schedule::turns::{fill, places, MAX_PLACES};
use tcp_dispatch_core::schedule::Scheduler::{self, Cpu, Rr, Wrr};
use tcp_dispatch_core::schedule::{choose, client, Occasion};

/// The greatest common divisor, by trying all.
fn divisor(weights: &[u16]) -> u32 {
    let least = weights.iter().filter(|&&weight| weight > 0).min();
    let least = *least.expect("one has a weight");
    let divides = |by: &u16| weights.iter().all(|weight| weight % by == 0);
    (1..=least).rev().find(divides).expect("1 divides").into()
}

/// How many turns a cycle of `wrr` takes, and how many of them each process has.
fn cycle(service: &Service) -> (u32, Vec<u32>) {
    let weights = service.weights();
    let divisor = divisor(&weights);
    let turns: Vec<_> = weights
        .iter()
        .map(|&weight| u32::from(weight) / divisor)
        .collect();
    (turns.iter().sum(), turns)
}

#[test]
fn round_robin_goes_by_weights_only_to_leave_out_those_without() {
    for service in services() {
        let eligible = service.eligible();
        for turn in 0..300 {
            let expected = eligible[turn as usize % eligible.len()];
            assert_eq!(service.at(Rr, turn), Some(expected));
        }
    }
}

#[test]
fn a_round_from_any_turn_on_gives_each_process_one_connection() {
    for service in services() {
        let processes = service.eligible().len() as u32;
        let once: Vec<_> = service.weights().iter().map(|&w| w.min(1).into()).collect();
        for first in [0, 1, processes - 1, 1_000_003, u32::MAX - processes] {
            assert_eq!(service.counts(Rr, first..first + processes), once);
        }
    }
}

#[test]
fn a_cycle_gives_each_process_as_many_connections_as_its_weight_says() {
    for service in services() {
        let (turns, expected) = cycle(&service);
        for first in [1, 1_000_003, u32::MAX - turns] {
            assert_eq!(service.counts(Wrr, first..first + turns), expected);
        }
    }
}

#[test]
fn with_equal_weights_weighted_round_robin_gives_each_one_connection_a_round() {
    for weight in [1, 2, 300, u16::MAX] {
        for processes in [2, 3, 7, 100] {
            let service = Service::new(&vec![weight; processes as usize]);
            for first in [0, 1, 1_000_003] {
                let counts = service.counts(Wrr, first..first + processes);
                assert_eq!(counts, vec![1; processes as usize]);
            }
        }
    }
}

/// If a process had its turns in a row, it would be off by more than 20 here.
#[test]
fn no_run_of_turns_is_4_connections_off_the_share_of_a_process() {
    for service in services() {
        let (turns, expected) = cycle(&service);
        let mut counts = vec![0_u32; expected.len()];
        // How much each was off at most, either way, at the end of any run from
        // the first turn on. The sum is how much any run is.
        let (mut above, mut below) = (vec![0_f64; counts.len()], vec![0_f64; counts.len()]);
        for turn in 0..turns {
            counts[service.at(Wrr, turn).expect("one has a weight")] += 1;
            for index in service.eligible() {
                let share = f64::from(turn + 1) * f64::from(expected[index]) / f64::from(turns);
                let off = f64::from(counts[index]) - share;
                above[index] = above[index].max(off);
                below[index] = below[index].max(-off);
            }
        }
        for index in service.eligible() {
            let off = above[index] + below[index];
            assert!(off < 4.0, "{off} at {index} of {:?}", service.weights());
        }
    }
}

/// Two of weights 5 and 3: a cycle of 8 turns in strides of 5.
#[test]
fn the_turns_of_a_process_lie_between_the_others() {
    let service = Service::new(&[5, 3]);
    let order: Vec<_> = (0..8).filter_map(|turn| service.at(Wrr, turn)).collect();
    assert_eq!(order, [0, 1, 0, 1, 0, 0, 1, 0]);
}

#[test]
fn the_largest_weights_that_a_service_may_have_are_kept_to() {
    let mut service = Service::new(&[u16::MAX; 1024]);
    service.0[0].weight = u16::MAX - 1;
    // The cycle is far too long to go through, but a part of it shows the same.
    let counts = service.counts(Wrr, 0..10_240);
    assert!(
        counts.iter().all(|count| (8..=12).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn the_processes_of_the_cpu_take_turns() {
    for mut service in services() {
        for (index, process) in service.0.iter_mut().enumerate() {
            process.on_cpu = index % 3 != 1;
        }
        let mut wanted = service.eligible();
        wanted.retain(|index| index % 3 != 1);
        if wanted.is_empty() {
            wanted = service.eligible();
        }
        for turn in 0..300 {
            let expected = wanted[turn as usize % wanted.len()];
            assert_eq!(service.at(Cpu, turn), Some(expected));
        }
    }
}

#[test]
fn if_no_process_is_on_the_cpu_all_take_turns() {
    for service in services() {
        for turn in 0..200 {
            assert_eq!(service.at(Cpu, turn), service.at(Rr, turn));
        }
    }
}

#[test]
fn a_process_on_the_cpu_without_a_weight_is_as_good_as_none() {
    let mut service = Service::new(&[1, 0, 1]);
    service.0[1].on_cpu = true;
    assert_eq!(service.counts(Cpu, 0..10), [5, 0, 5]);
}

proptest! {
    #[test]
    fn any_cycle_is_exact(
        weights in prop::collection::vec(prop_oneof![Just(0), 1..50_u16], 1..20),
        factor in 1..1000_u16,
        first: u32,
    ) {
        prop_assume!(weights.iter().any(|&weight| weight > 0));
        let weights: Vec<_> = weights.iter().map(|weight| weight * factor).collect();
        let service = Service::new(&weights);
        let (turns, expected) = cycle(&service);
        let first = first.min(u32::MAX - turns);
        prop_assert_eq!(service.counts(Wrr, first..first + turns), expected);
    }

    #[test]
    fn a_common_factor_of_the_weights_changes_nothing(
        weights in prop::collection::vec(0..60_u16, 1..20),
        factor in 1..1000_u16,
        turn: u32,
    ) {
        let multiplied: Vec<_> = weights.iter().map(|weight| weight * factor).collect();
        prop_assert_eq!(
            Service::new(&weights).at(Wrr, turn),
            Service::new(&multiplied).at(Wrr, turn)
        );
    }

    #[test]
    fn shares_of_any_weights_show_soon(
        weights in prop::collection::vec(weight(), 1..20),
        first in 0..u32::MAX - 2000,
    ) {
        prop_assume!(weights.iter().any(|&weight| weight > 0));
        let total: u32 = weights.iter().map(|&weight| u32::from(weight)).sum();
        let counts = Service::new(&weights).counts(Wrr, first..first + 2000);
        for (count, weight) in counts.into_iter().zip(weights) {
            let share = 2000.0 * f64::from(weight) / f64::from(total);
            prop_assert!((f64::from(count) - share).abs() < 20.0, "{} of {}", count, share);
        }
    }

    #[test]
    fn round_robin_and_cpu_choose_the_nth_that_is_wanted(
        service in living_service(),
        turn: u32,
    ) {
        let eligible = service.eligible();
        let mut here = eligible.clone();
        here.retain(|&index| service.0[index].on_cpu);
        if here.is_empty() {
            here = eligible.clone();
        }
        prop_assert_eq!(service.at(Rr, turn), Some(eligible[turn as usize % eligible.len()]));
        prop_assert_eq!(service.at(Cpu, turn), Some(here[turn as usize % here.len()]));
    }
}

/// The table of a service, if it isn't too long.
fn table(service: &Service, weighted: bool) -> Option<Vec<u16>> {
    let weights = service.weights();
    let mut table = vec![0; places(weights.iter().copied(), weighted)?];
    fill(&mut table, weights.iter().copied(), weighted);
    Some(table)
}

fn by_table(service: &Service, scheduler: Scheduler, turn: u32, slots: &[u16]) -> Option<usize> {
    let client = client([198, 51, 100, 7]);
    choose(
        scheduler,
        service,
        &Occasion {
            turn,
            client,
            slots,
        },
    )
}

proptest! {
    #[test]
    fn a_choice_by_table_is_the_same_as_one_without(
        service in living_service(), turn in any::<u32>(), weighted in any::<bool>(),
    ) {
        let scheduler = if weighted { Wrr } else { Rr };
        if let Some(table) = table(&service, weighted) {
            for turn in (0..50).map(|more| turn.wrapping_add(more)) {
                let chosen = by_table(&service, scheduler, turn, &table);
                prop_assert_eq!(chosen, service.at(scheduler, turn));
            }
        }
    }

    #[test]
    fn who_has_gone_since_the_table_was_made_is_not_chosen(
        service in living_service(), gone in any::<prop::sample::Index>(), turn in any::<u32>(),
        weighted in any::<bool>(),
    ) {
        let scheduler = if weighted { Wrr } else { Rr };
        if let Some(table) = table(&service, weighted) {
            let gone = gone.index(service.0.len());
            let mut left = service;
            left.0[gone].weight = 0;
            let chosen = by_table(&left, scheduler, turn, &table);
            prop_assert_eq!(chosen.is_some(), !left.eligible().is_empty());
            prop_assert_ne!(chosen, Some(gone));
        }
    }
}

#[test]
fn others_share_the_turns_of_those_who_have_gone_since_the_table_was_made() {
    for weighted in [false, true] {
        let scheduler = if weighted { Wrr } else { Rr };
        let mut service = Service::new(&[3; 8]);
        let table = table(&service, weighted).expect("eight places are few");
        for gone in [1, 3, 5, 7] {
            service.0[gone].weight = 0;
        }
        let mut counts = [0; 8];
        for turn in 0..8000 {
            counts[by_table(&service, scheduler, turn, &table).expect("four are left")] += 1;
        }
        for index in service.eligible() {
            assert!((1850..2150).contains(&counts[index]), "{counts:?}");
        }
    }
}

#[test]
fn weights_that_would_make_a_long_table_have_none() {
    let long = [u16::MAX, 1];
    assert_eq!(places(long.into_iter(), true), None);
    assert_eq!(places(long.into_iter(), false), Some(2));
    let most = [MAX_PLACES as u16 - 1, 1];
    assert_eq!(places(most.into_iter(), true), Some(MAX_PLACES));
    assert_eq!(places([0, 0].into_iter(), true), Some(0));
}
