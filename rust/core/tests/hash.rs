// SPDX-License-Identifier: GPL-2.0

//! The hash of the tables' keys: how it spreads them.

mod support;

use proptest::prelude::*;
use std::collections::HashSet;
use support::{families, Family};
use tcp_dispatch_core::hash::{of_address_and, Key, Secrets};
use tcp_dispatch_core::{SocketAddress, Tuple};

/// A power of two.
const BUCKETS: usize = 4096;

/// How many of as many buckets as there are hashes have none, and how many the fullest has.
fn spread(hashes: impl Iterator<Item = u32>) -> (usize, usize) {
    let mut buckets = vec![0; BUCKETS];
    let mut number = 0;
    for hash in hashes {
        buckets[hash as usize % BUCKETS] += 1;
        number += 1;
    }
    assert_eq!(number, BUCKETS, "as many keys as buckets");
    let empty = buckets.iter().filter(|&&bucket| bucket == 0).count();
    (empty, buckets.into_iter().max().unwrap_or(0))
}

/// Hashes that are drawn at random leave 1/e of as many buckets empty, 1507 of 4096, give or take 20,
/// and put 15 into one in less than one of a hundred million cases.
fn assert_random(what: &str, hashes: impl Iterator<Item = u32>) -> Result<(), TestCaseError> {
    let (empty, fullest) = spread(hashes);
    prop_assert!(
        (1300..1715).contains(&empty),
        "{what}: {empty} of {BUCKETS} buckets are empty"
    );
    prop_assert!(fullest <= 14, "{what}: {fullest} keys are in one bucket");
    Ok(())
}

families! {
    fn tuple(client: u128, port: u16) -> Tuple<A> {
        let at = |number, port: u16| SocketAddress {
            ip: <A as Family>::from_number(number),
            port: port.to_be_bytes(),
        };
        Tuple::new(at(client, port), at(0xc000_0201, 80))
    }

    fn hashes<'a>(
        tuples: impl Iterator<Item = Tuple<A>> + 'a,
        secrets: &'a Secrets,
        seed: u32,
    ) -> impl Iterator<Item = u32> + 'a {
        tuples.map(move |tuple| tuple.hash(secrets, seed))
    }

    proptest! {
        #[test]
        fn clients_and_ports_in_a_row_are_spread_as_if_by_chance(
            secrets: [u64; 6],
            seed: u32,
            client in 1u128..1 << 32,
            port in 0u16..61_000,
        ) {
            let secrets = Secrets::new(secrets);
            let count = BUCKETS as u128;
            let ports = (0..BUCKETS).map(|n| tuple(client, port + n as u16));
            assert_random("ports", hashes(ports, &secrets, seed))?;
            let clients = (0..count).map(|n| tuple(client + n, port));
            assert_random("clients", hashes(clients, &secrets, seed))?;
            let networks = (0..count).map(|n| tuple(client + (n << 8), port));
            assert_random("clients of networks", hashes(networks, &secrets, seed))?;
            let both = (0..count).map(|n| tuple(client + n / 64, port + (n % 64) as u16 * 64));
            assert_random("clients with some ports each", hashes(both, &secrets, seed))?;
        }

        #[test]
        fn keys_that_meet_under_one_seed_part_under_another(
            secrets: [u64; 6],
            seed: u32,
            other: u32,
        ) {
            let secrets = Secrets::new(secrets);
            prop_assume!(seed != other);
            // Some 32 of 4096 meet in 128 buckets; as many as meet by chance do again.
            let all: Vec<_> = (1..=BUCKETS as u128).map(|n| tuple(n << 4, n as u16)).collect();
            let bucket = |tuple: &Tuple<A>, seed| tuple.hash(&secrets, seed) % 128;
            let first = bucket(&all[0], seed);
            let meet: Vec<_> = all.iter().filter(|tuple| bucket(tuple, seed) == first).collect();
            let parted: HashSet<_> = meet.iter().map(|tuple| bucket(tuple, other)).collect();
            prop_assert!(parted.len() * 2 > meet.len(), "{} of {}", parted.len(), meet.len());
        }

        #[test]
        fn a_key_is_itself_and_no_other(
            secrets: [u64; 6],
            seed: u32,
            client in 1u128..1 << 32,
            port: u16,
            bit in 0usize..8 * size_of::<Tuple<A>>(),
        ) {
            let secrets = Secrets::new(secrets);
            let key = tuple(client, port);
            prop_assert!(key.is(&tuple(client, port)));
            prop_assert_eq!(key.hash(&secrets, seed), tuple(client, port).hash(&secrets, seed));
            let mut other = key;
            let addresses = 8 * size_of::<A>();
            let flip = |bytes: &mut [u8], bit: usize| bytes[bit / 8] ^= 1 << (bit % 8);
            match bit {
                bit if bit < addresses => flip(&mut other.source_ip, bit),
                bit if bit < 2 * addresses => flip(&mut other.destination_ip, bit - addresses),
                bit if bit < 2 * addresses + 16 => flip(&mut other.source_port, bit - 2 * addresses),
                bit => flip(&mut other.destination_port, bit - 2 * addresses - 16),
            }
            prop_assert!(!key.is(&other) && !other.is(&key));
        }
    }
}

proptest! {
    #[test]
    fn services_at_ports_and_addresses_in_a_row_are_spread_as_if_by_chance(
        secrets: [u64; 6],
        seed: u32,
        address: u128,
    ) {
        let secrets = Secrets::new(secrets);
        let at = |address: u128, port| of_address_and(address.to_be_bytes(), port, &secrets, seed);
        let ports = (0..BUCKETS as u64).map(|port| at(address, port));
        assert_random("ports", ports)?;
        let addresses = (0..BUCKETS as u128).map(|n| at(address.wrapping_add(n), 80));
        assert_random("addresses", addresses)?;
    }
}
