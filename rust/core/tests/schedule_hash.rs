// SPDX-License-Identifier: GPL-2.0

//! Choosing by the client's address: `mh` and `sh`.

mod schedule_support;

use proptest::prelude::*;
use schedule_support::{
    assert_spread, count, living_service, services, shares, table, table_of, weight, Service,
};
use tcp_dispatch_core::schedule::maglev::{FREE, SLOTS};
use tcp_dispatch_core::schedule::Scheduler::{self, Mh, Sh};

/// Clients as they come: neighbours in a few networks.
fn clients() -> impl Iterator<Item = u32> {
    [[198, 51, 100, 0], [203, 0, 112, 0], [10, 0, 0, 0]]
        .into_iter()
        .map(u32::from_be_bytes)
        .flat_map(|network| network..network + 1000)
}

/// Who gets each client.
fn homes(service: &Service, scheduler: Scheduler, slots: &[u16]) -> Vec<usize> {
    clients()
        .map(|client| {
            let chosen = service.of(scheduler, client, slots);
            chosen.expect("one has a weight")
        })
        .collect()
}

#[test]
fn source_hashing_spreads_clients_by_weight() {
    for service in services() {
        let counts = count(homes(&service, Sh, &[]), service.0.len());
        assert_spread(
            &counts,
            &shares(&service),
            &format!("{:?}", service.weights()),
        );
    }
}

#[test]
fn maglev_hashing_spreads_clients_as_the_slots_are() {
    for service in services() {
        let slots = table(&service);
        let owned = count(slots.iter().copied().map(usize::from), service.0.len());
        let shares: Vec<_> = owned.iter().map(|&o| o as f64 / SLOTS as f64).collect();
        let counts = count(homes(&service, Mh, &slots), service.0.len());
        assert_spread(&counts, &shares, &format!("{:?}", service.weights()));
    }
}

#[test]
fn a_small_weight_beside_the_largest_gets_its_share() {
    let service = Service::new(&[u16::MAX, 64]);
    let homes = (0..1 << 17).filter_map(|client| service.of(Sh, client, &[]));
    assert_spread(&count(homes, 2), &shares(&service), "65535 and 64");
}

#[test]
fn if_a_process_can_not_be_chosen_its_clients_spread_over_the_others_and_no_others_move() {
    for service in services() {
        let slots = table(&service);
        for scheduler in [Mh, Sh] {
            let mut left = service.clone();
            let heaviest = |&index: &usize| service.0[index].weight;
            let leaver = service.eligible().into_iter().max_by_key(heaviest);
            let leaver = leaver.expect("one has a weight");
            left.0[leaver].weight = 0;
            let mut moved = vec![0; left.0.len()];
            let before = homes(&service, scheduler, &slots);
            for (before, after) in before.into_iter().zip(homes(&left, scheduler, &slots)) {
                if before == leaver {
                    moved[after] += 1;
                } else {
                    assert_eq!(after, before);
                }
            }
            let what = format!("{scheduler:?} {:?} without {leaver}", service.weights());
            assert_spread(&moved, &shares(&left), &what);
        }
    }
}

#[test]
fn with_most_processes_gone_clients_of_the_others_stay_and_the_rest_is_spread() {
    let service = Service::new(&[1; 100]);
    let slots = table(&service);
    let mut left = service.clone();
    left.0
        .iter_mut()
        .skip(2)
        .for_each(|process| process.weight = 0);
    for scheduler in [Mh, Sh] {
        let (before, after) = (
            homes(&service, scheduler, &slots),
            homes(&left, scheduler, &slots),
        );
        for (before, after) in before.iter().zip(&after) {
            assert!(before == after || *before >= 2);
        }
        assert_spread(&count(after, 100), &shares(&left), "2 of 100");
    }
}

#[test]
fn without_a_table_maglev_hashing_is_source_hashing() {
    for service in services() {
        assert_eq!(homes(&service, Mh, &[]), homes(&service, Sh, &[]));
        let unowned = [FREE; 101];
        assert_eq!(homes(&service, Mh, &unowned), homes(&service, Sh, &[]));
    }
}

#[test]
fn slots_decide_maglev_hashing() {
    let service = Service::new(&[1, 1, 1]);
    assert!(homes(&service, Mh, &[1; 101]).iter().all(|&home| home == 1));
    assert!(homes(&service, Mh, &[2; 7]).iter().all(|&home| home == 2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_client_stays_at_its_process_whatever_the_turn_and_the_load(
        mut service in living_service(),
        loads in prop::collection::vec(any::<(u32, u32, bool)>(), 40),
        turn: u32,
        client: u32,
    ) {
        use tcp_dispatch_core::schedule::{choose, Occasion};
        let slots = table_of(1009, &service);
        for scheduler in [Mh, Sh] {
            let before = choose(scheduler, &service, &Occasion { turn: 0, client, slots: &slots });
            for (process, &(connections, accept_queue, on_cpu)) in service.0.iter_mut().zip(&loads) {
                process.connections = connections;
                process.accept_queue = accept_queue;
                process.on_cpu = on_cpu;
            }
            let after = choose(scheduler, &service, &Occasion { turn, client, slots: &slots });
            prop_assert_eq!(before, after);
        }
    }

    #[test]
    fn whoever_can_not_be_chosen_the_clients_of_the_others_stay(
        service in living_service(),
        gone in prop::collection::vec(any::<bool>(), 40),
        clients in prop::collection::vec(any::<u32>(), 100),
    ) {
        let slots = table_of(1009, &service);
        let mut left = service.clone();
        for (process, _) in left.0.iter_mut().zip(&gone).filter(|(_, gone)| **gone) {
            process.weight = 0;
        }
        for scheduler in [Mh, Sh] {
            for &client in &clients {
                let before = service.of(scheduler, client, &slots).expect("one has a weight");
                if !gone[before] {
                    prop_assert_eq!(left.of(scheduler, client, &slots), Some(before));
                }
            }
        }
    }

    #[test]
    fn a_changed_weight_moves_clients_to_a_larger_one_or_from_a_smaller_one_only(
        service in living_service(),
        changed: prop::sample::Index,
        weight in weight(),
        clients in prop::collection::vec(any::<u32>(), 100),
    ) {
        let changed = changed.index(service.0.len());
        let before = service.0[changed].weight;
        let mut after = service.clone();
        after.0[changed].weight = weight;
        prop_assume!(!after.eligible().is_empty());
        for client in clients {
            let (from, to) = (service.of(Sh, client, &[]), after.of(Sh, client, &[]));
            if from != to {
                let only = if weight > before { to } else { from };
                prop_assert_eq!(only, Some(changed));
            }
        }
    }

    #[test]
    fn a_process_behind_all_others_moves_clients_to_itself_only(
        service in living_service(),
        weight in weight(),
        clients in prop::collection::vec(any::<u32>(), 100),
    ) {
        let mut after = service.clone();
        after.0.extend(Service::new(&[weight]).0);
        for client in clients {
            let (from, to) = (service.of(Sh, client, &[]), after.of(Sh, client, &[]));
            prop_assert!(from == to || to == Some(service.0.len()));
        }
    }
}
