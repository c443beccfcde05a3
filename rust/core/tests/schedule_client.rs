// SPDX-License-Identifier: GPL-2.0

//! What of a client's address the schedulers go by, and what of a process's.

mod schedule_support;

use proptest::prelude::*;
use schedule_support::{assert_spread, count, services, shares, table, Service};
use std::collections::HashSet;
use std::net::Ipv6Addr;
use tcp_dispatch_core::schedule::client;
use tcp_dispatch_core::schedule::maglev::{seed, SLOTS};
use tcp_dispatch_core::schedule::Scheduler::{Mh, Sh};
use tcp_dispatch_core::{Ipv4Address, Ipv6Address};

/// How many clients of each kind there are.
const CLIENTS: u128 = 3000;

/// An IPv6 address as people write it.
fn ipv6(text: &str) -> Ipv6Address {
    text.parse::<Ipv6Addr>().expect("it is one").octets()
}

/// IPv6 clients as they come, by what they differ in.
fn clients() -> Vec<(&'static str, Vec<Ipv6Address>)> {
    let from = |base: &str, each: fn(u128) -> u128| {
        let base = u128::from_be_bytes(ipv6(base));
        (0..CLIENTS)
            .map(|n| (base + each(n)).to_be_bytes())
            .collect()
    };
    vec![
        ("hosts of a network", from("2001:db8::1", |n| n)),
        ("/64 networks", from("2001:db8::1", |n| n << 64)),
        ("/56 networks", from("2001:db8::1", |n| n << 72)),
        ("/48 networks", from("2001:db8::1", |n| n << 80)),
        ("providers", from("2001::1", |n| n << 96)),
        (
            "single bits",
            from("2001:db8::", |n| (1 << (n % 96)) | (n / 96)),
        ),
        (
            "hardware addresses",
            from("fd00::5054:ff:fe00:0", |n| n | (n << 40)),
        ),
        (
            "networks and hosts",
            from("fd00::1", |n| ((n / 50) << 64) | (n % 50)),
        ),
        (
            "hosts at random",
            // 64 bits of golden-ratio multiples, as privacy addresses have them.
            from("2001:db8::", |n| {
                (n * 0x9e37_79b9_7f4a_7c15) & u128::from(u64::MAX)
            }),
        ),
    ]
}

/// How many of these clients each process gets.
fn counts(service: &Service, clients: &[Ipv6Address], slots: Option<&[u16]>) -> Vec<usize> {
    let scheduler = if slots.is_some() { Mh } else { Sh };
    let home = |&ip: &Ipv6Address| {
        let chosen = service.of(scheduler, client(ip), slots.unwrap_or(&[]));
        chosen.expect("one has a weight")
    };
    count(clients.iter().map(home), service.0.len())
}

#[test]
fn source_hashing_spreads_ipv6_clients_by_weight_whatever_they_differ_in() {
    for (what, clients) in clients() {
        for service in services() {
            let counts = counts(&service, &clients, None);
            let what = format!("{what}: {:?}", service.weights());
            assert_spread(&counts, &shares(&service), &what);
        }
    }
}

#[test]
fn maglev_hashing_spreads_ipv6_clients_as_the_slots_are_whatever_they_differ_in() {
    for service in services() {
        let slots = table(&service);
        let owned = count(slots.iter().copied().map(usize::from), service.0.len());
        let shares: Vec<_> = owned.iter().map(|&o| o as f64 / SLOTS as f64).collect();
        for (what, clients) in clients() {
            let counts = counts(&service, &clients, Some(&slots));
            let what = format!("{what}: {:?}", service.weights());
            assert_spread(&counts, &shares, &what);
        }
    }
}

#[test]
fn hardly_two_ipv6_clients_have_the_same_hash() {
    for (what, clients) in clients() {
        let different: HashSet<_> = clients.iter().collect();
        let hashes: HashSet<_> = clients.iter().map(|&ip| client(ip)).collect();
        // By chance two of 3000 do once in a thousand times.
        assert!(
            hashes.len() + 1 >= different.len(),
            "{what}: {}",
            hashes.len()
        );
    }
}

#[test]
fn each_bit_of_an_ipv6_client_flips_half_of_the_bits_of_its_hash() {
    let ips: Vec<_> = clients()
        .into_iter()
        .flat_map(|(_, ips)| ips)
        .step_by(7)
        .collect();
    for bit in 0..128 {
        let flipped = |&ip: &Ipv6Address| (u128::from_be_bytes(ip) ^ 1 << bit).to_be_bytes();
        let differ = |ip: &Ipv6Address| client(*ip) ^ client(flipped(ip));
        let differences: Vec<_> = ips.iter().map(differ).collect();
        for of in 0..32 {
            let flips = differences
                .iter()
                .filter(|&difference| difference >> of & 1 == 1);
            let part = flips.count() as f64 / ips.len() as f64;
            assert!((0.4..0.6).contains(&part), "{bit} flips {of} in {part}");
        }
    }
}

/// What rust/core chose when it knew no other family.
#[test]
fn ipv4_clients_find_the_processes_that_they_found_before_there_was_ipv6() {
    let service = Service::new(&[1, 2, 3, 0, 5, 6, 7]);
    let slots = table(&service);
    for (ip, by_maglev, by_source) in [
        ([198, 51, 100, 7], 6, 6),
        ([10, 0, 0, 1], 1, 6),
        ([10, 0, 0, 2], 1, 4),
        ([203, 0, 113, 200], 4, 6),
        ([1, 0, 0, 0], 6, 5),
        ([223, 255, 255, 255], 1, 6),
        ([192, 0, 2, 1], 6, 2),
        ([172, 16, 5, 4], 0, 6),
    ] {
        assert_eq!(
            service.of(Mh, client(ip), &slots),
            Some(by_maglev),
            "{ip:?}"
        );
        assert_eq!(service.of(Sh, client(ip), &[]), Some(by_source), "{ip:?}");
    }
    assert_eq!(seed([10, 77, 0, 1], 80), 0x19c4_d0dd);
    assert_eq!(seed([192, 0, 2, 1], 443), 0xe36a_0637);
    assert_eq!(seed([255; 4], 65535), 0x102b_e7a3);
}

/// So that each of several computers that serve one address, of whatever byte
/// order and version, finds the same process.
#[test]
fn the_hashes_of_ipv6_addresses_are_these() {
    for (ip, hash) in [
        ("::1", 0xa887_dee8),
        ("2001:db8::1", 0xdb01_96c2),
        ("2001:db8:0:1::1", 0xdd0f_1b66),
        ("fd00:1:2:3:4:5:6:7", 0xd193_06cb),
        ("2a02:8109:abcd:ef01:1234:56ff:fe78:9abc", 0x0c33_7103),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0x33e1_1d71),
    ] {
        assert_eq!(client(ipv6(ip)), hash, "{ip}");
    }
    assert_eq!(seed(ipv6("2001:db8::1"), 80), 0xbc67_19c7);
    assert_eq!(seed(ipv6("fd77::77:0:1"), 443), 0xf16b_303a);
}

#[test]
fn seeds_of_ipv6_processes_differ_by_address_and_by_port() {
    let base = u128::from_be_bytes(ipv6("fd77::1"));
    for shift in [0, 16, 64, 96] {
        let ip = |n: u16| (base ^ u128::from(n) << shift).to_be_bytes();
        let addresses = (0..=u16::MAX).map(|n| seed(ip(n), 80));
        assert_eq!(addresses.collect::<HashSet<_>>().len(), 65_536, "{shift}");
    }
    let ports = (0..=u16::MAX).map(|port| seed(base.to_be_bytes(), port));
    assert_eq!(ports.collect::<HashSet<_>>().len(), 65_536);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn an_ipv4_client_is_its_number(ip: Ipv4Address) {
        prop_assert_eq!(client(ip), u32::from_be_bytes(ip));
    }

    #[test]
    fn ipv6_clients_that_differ_in_one_word_only_have_different_hashes(
        words: [u32; 4],
        other: u32,
        which in 0..4_usize,
    ) {
        let ip = |words: [u32; 4]| {
            let number = words.iter().fold(0, |ip, &word| ip << 32 | u128::from(word));
            u128::to_be_bytes(number)
        };
        let mut others = words;
        others[which] = other;
        prop_assert_eq!(client(ip(words)) == client(ip(others)), words == others);
    }
}
