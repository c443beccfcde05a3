// SPDX-License-Identifier: GPL-2.0

//! Choosing by load: `lc`, `wlc` and `saq`.

mod schedule_support;

use proptest::prelude::*;
use schedule_support::{living_service, services, Service};
use tcp_dispatch_core::schedule::Scheduler::{self, Lc, Saq, Wlc};

/// Gives so many new connections to the processes that `scheduler` chooses, and
/// calls `check` before each with the one chosen. If they `end`, there is after
/// each a process that accepts what waits for it, and sometimes some that have a
/// connection less.
fn simulate(
    service: &mut Service,
    scheduler: Scheduler,
    connections: u32,
    end: bool,
    check: impl Fn(&Service, usize),
) {
    let processes = service.0.len();
    for turn in 0..connections {
        let chosen = service.at(scheduler, turn).expect("one has a weight");
        check(service, chosen);
        service.0[chosen].connections += 1;
        service.0[chosen].accept_queue += 1;
        if end {
            service.0[turn as usize * 5 % processes].accept_queue = 0;
            for factor in [7, 11].into_iter().filter(|_| turn % 3 == 0) {
                let left = &mut service.0[turn as usize * factor % processes].connections;
                *left = left.saturating_sub(1);
            }
        }
    }
}

/// What a choice must be the least of, as an exact number.
fn load(service: &Service, scheduler: Scheduler, index: usize) -> (u64, u64) {
    let process = &service.0[index];
    match scheduler {
        Lc => (process.connections.into(), 0),
        // No two quotients of 32 bits by 16 bits differ by less than 2^-32; the
        // larger weight comes first where they are equal.
        Wlc => (
            (u64::from(process.connections) << 32) / u64::from(process.weight),
            u64::from(u16::MAX - process.weight),
        ),
        Saq => (process.accept_queue.into(), process.connections.into()),
        _ => unreachable!("{scheduler:?} goes by no load"),
    }
}

/// Those with the least load.
fn least(service: &Service, scheduler: Scheduler) -> Vec<usize> {
    let load = |&index: &usize| load(service, scheduler, index);
    let mut eligible = service.eligible();
    let least = eligible.iter().map(load).min();
    eligible.retain(|index| Some(load(index)) == least);
    eligible
}

#[test]
fn while_none_end_no_process_has_two_connections_more_than_another() {
    for mut service in services() {
        simulate(&mut service, Lc, 2000, false, |_, _| ());
        let eligible = service.eligible().into_iter();
        let counts: Vec<_> = eligible.map(|i| service.0[i].connections).collect();
        let (least, most) = (counts.iter().min(), counts.iter().max());
        assert!(most
            .zip(least)
            .is_some_and(|(most, least)| most - least <= 1));
    }
}

#[test]
fn while_none_end_connections_are_as_many_as_weights_say() {
    for mut service in services() {
        simulate(&mut service, Wlc, 2000, false, |_, _| ());
        // With one connection less, each process was chosen as the one with the
        // fewest for its weight.
        for a in service.eligible() {
            for b in service.eligible() {
                let (a, b) = (&service.0[a], &service.0[b]);
                let before = u64::from(a.connections.saturating_sub(1));
                assert!(
                    before * u64::from(b.weight) <= u64::from(b.connections) * u64::from(a.weight)
                );
            }
        }
    }
}

#[test]
fn whatever_ends_the_next_connection_goes_to_one_with_the_least_load() {
    for scheduler in [Lc, Wlc, Saq] {
        for mut service in services() {
            simulate(&mut service, scheduler, 500, true, |service, chosen| {
                assert!(least(service, scheduler).contains(&chosen));
            });
        }
    }
}

#[test]
fn idle_processes_take_turns() {
    for service in services() {
        let processes = service.eligible().len() as u32;
        let once: Vec<_> = service.weights().iter().map(|&w| w.min(1).into()).collect();
        for scheduler in [Lc, Saq] {
            for first in [0, 1, 1_000_003] {
                assert_eq!(service.counts(scheduler, first..first + processes), once);
            }
        }
    }
}

#[test]
fn those_that_tie_take_turns_wherever_the_busy_ones_are() {
    for scheduler in [Lc, Wlc, Saq] {
        let mut service = Service::new(&[9; 130]);
        for (index, process) in service.0.iter_mut().enumerate() {
            process.connections = u32::from(![0, 63, 64, 65, 129].contains(&index));
            process.accept_queue = process.connections;
        }
        let counts = service.counts(scheduler, 0..50);
        for index in [0, 63, 64, 65, 129] {
            assert_eq!(counts[index], 10);
        }
    }
}

#[test]
fn of_idle_processes_the_largest_weights_take_turns() {
    let service = Service::new(&[2, 7, 0, 3, 7, 7, 1]);
    assert_eq!(service.counts(Wlc, 0..30), [0, 10, 0, 0, 10, 10, 0]);
}

#[test]
fn equal_quotients_of_unequal_weights_tie_for_the_larger_weight() {
    let mut service = Service::new(&[1, 3, 2]);
    for process in &mut service.0 {
        process.connections = 1000 * u32::from(process.weight);
    }
    assert_eq!(service.counts(Wlc, 0..30), [0, 30, 0]);
}

#[test]
fn the_shorter_accept_queue_counts_more_than_fewer_connections() {
    let mut service = Service::new(&[1, 1, 1]);
    for (process, (queue, connections)) in service.0.iter_mut().zip([(3, 0), (2, 900), (2, 901)]) {
        process.accept_queue = queue;
        process.connections = connections;
    }
    assert_eq!(service.counts(Saq, 0..10), [0, 10, 0]);
}

#[test]
fn each_accept_queue_is_asked_for_once_a_choice_and_only_if_it_matters() {
    for service in services() {
        for scheduler in Scheduler::ALL {
            service.0.iter().for_each(|process| process.asked.set(0));
            service.at(scheduler, 5);
            for process in &service.0 {
                let matters = scheduler == Saq && process.weight > 0;
                assert_eq!(process.asked.get(), u32::from(matters));
            }
        }
    }
}

#[test]
fn the_least_load_is_found_among_more_processes_than_a_service_may_have() {
    for scheduler in [Lc, Wlc, Saq] {
        let mut service = Service::new(&[1; 1100]);
        for (index, process) in service.0.iter_mut().enumerate() {
            process.connections = u32::from(index != 1050);
            process.accept_queue = process.connections;
        }
        assert_eq!(service.at(scheduler, 17), Some(1050));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn those_with_the_least_load_take_turns(service in living_service(), turn: u32) {
        for scheduler in [Lc, Wlc, Saq] {
            let least = least(&service, scheduler);
            let expected = least[turn as usize % least.len()];
            prop_assert_eq!(service.at(scheduler, turn), Some(expected));
        }
    }
}
