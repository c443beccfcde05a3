// SPDX-License-Identifier: GPL-2.0

//! What holds for all schedulers.

mod schedule_support;

use proptest::prelude::*;
use schedule_support::{living_service, scheduler, service, Service};
use tcp_dispatch_core::schedule::maglev::{fill, seed, Claim, FREE};
use tcp_dispatch_core::schedule::{choose, client, Occasion, Scheduler};

const SPECIFICATION: &str = include_str!("../../../Documentation/netlink/specs/tcp_dispatch.yaml");

#[test]
fn schedulers_are_named_and_numbered_as_in_the_specification() {
    let (_, list) = SPECIFICATION
        .split_once("name: scheduler\n")
        .expect("the specification has the schedulers");
    let (list, _) = list
        .split_once("name: refusal\n")
        .expect("the refusals follow");
    let names: Vec<_> = list
        .lines()
        .filter_map(|line| line.trim().strip_prefix("name: "))
        .collect();
    let ours: Vec<_> = Scheduler::ALL
        .iter()
        .map(|scheduler| format!("{scheduler:?}").to_lowercase())
        .collect();
    assert_eq!(names, ours);
    for (scheduler, number) in Scheduler::ALL.into_iter().zip(0..) {
        assert_eq!(scheduler.number(), number);
    }
}

#[test]
fn a_scheduler_comes_back_from_its_number() {
    for scheduler in Scheduler::ALL {
        assert_eq!(Scheduler::from_number(scheduler.number()), Some(scheduler));
    }
    assert_eq!(Scheduler::from_number(8), None);
    assert_eq!(Scheduler::from_number(u32::MAX), None);
}

#[test]
fn without_processes_none_is_chosen() {
    for scheduler in Scheduler::ALL {
        assert_eq!(Service::new(&[]).at(scheduler, 0), None);
        assert_eq!(Service::new(&[]).at(scheduler, u32::MAX), None);
    }
}

#[test]
fn a_single_process_gets_every_connection() {
    for scheduler in Scheduler::ALL {
        for weight in [1, 2, u16::MAX] {
            let service = Service::new(&[0, weight, 0]);
            for turn in [0, 1, 2, 12_345, u32::MAX - 1, u32::MAX] {
                assert_eq!(service.at(scheduler, turn), Some(1));
                assert_eq!(service.of(scheduler, turn, &[]), Some(1));
            }
        }
    }
}

/// A process that never listens has its connections passed on, by [`Occasion::again`].
#[test]
fn the_turns_of_processes_that_are_passed_over_go_to_the_others_by_weight() {
    for (scheduler, weights, missing) in [
        (Scheduler::Rr, [1, 1, 1, 1], [0, 2]),
        (Scheduler::Rr, [1, 1, 1, 1], [2, 3]),
        (Scheduler::Wrr, [1, 1, 1, 1], [0, 2]),
        (Scheduler::Wrr, [30_000, 1, 20_001, 10_001], [0, 1]),
        (Scheduler::Wrr, [u16::MAX, 65_534, 65_533, 7], [0, 3]),
    ] {
        let service = Service::new(&weights);
        let turns = 10_000;
        let mut counts = [0; 4];
        for turn in 0..turns {
            let first = Occasion {
                turn,
                client: client([198, 51, 100, 7]),
                slots: &[],
            };
            let mut left = service.clone();
            let mut chosen = choose(scheduler, &left, &first).expect("one has a weight");
            for attempt in 1.. {
                if !missing.contains(&chosen) {
                    break;
                }
                left.0[chosen].weight = 0;
                chosen = choose(scheduler, &left, &first.again(attempt)).expect("two listen");
            }
            counts[chosen] += 1;
        }
        let listen = |index: &usize| !missing.contains(index);
        let total: u32 = (0..4).filter(listen).map(|i| u32::from(weights[i])).sum();
        for index in (0..4).filter(listen) {
            let share = f64::from(turns) * f64::from(weights[index]) / f64::from(total);
            let off = (f64::from(counts[index]) - share).abs();
            assert!(off < 200.0, "{scheduler:?} {weights:?}: {counts:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_process_of_weight_zero_is_never_chosen_and_another_always(
        service in service(),
        scheduler in scheduler(),
        turn: u32,
        client: u32,
        // Whatever is in the table: it may be older than the list of processes.
        table in prop::collection::vec(prop_oneof![0..50_u16, Just(FREE), any::<u16>()], 0..50),
    ) {
        let occasion = Occasion { turn, client, slots: &table };
        match choose(scheduler, &service, &occasion) {
            Some(chosen) => prop_assert!(service.eligible().contains(&chosen)),
            None => prop_assert!(service.eligible().is_empty()),
        }
    }

    #[test]
    fn the_same_occasion_has_the_same_outcome(
        service in living_service(),
        scheduler in scheduler(),
        turn: u32,
        client: u32,
    ) {
        let mut slots = vec![FREE; 101];
        let mut claims: Vec<_> = (0..)
            .zip(service.weights())
            .map(|(port, weight)| Claim::new(seed([10, 77, 0, 1], port), weight))
            .collect();
        fill(&mut slots, &mut claims);
        let occasion = Occasion { turn, client, slots: &slots };
        let chosen = choose(scheduler, &service, &occasion);
        prop_assert_eq!(choose(scheduler, &service, &occasion), chosen);
    }

    #[test]
    fn where_turns_wrap_some_process_is_chosen(
        service in living_service(),
        scheduler in scheduler(),
    ) {
        for turn in [u32::MAX - 1, u32::MAX, 0, 1] {
            let chosen = service.at(scheduler, turn).expect("one has a weight");
            prop_assert!(service.eligible().contains(&chosen));
        }
    }
}
