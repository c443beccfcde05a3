// SPDX-License-Identifier: GPL-2.0

//! Prefixes.

use proptest::prelude::*;
use tcp_dispatch_core::Prefix;

/// Ones in the first `len` of 32 bits.
fn mask(len: u8) -> u32 {
    (u64::from(u32::MAX) << (32 - u32::from(len))) as u32
}

/// Any prefix, with the address and length it was made of.
fn prefix() -> impl Strategy<Value = (Prefix, u32, u8)> {
    (any::<u32>(), 0..=32_u8).prop_map(|(ip, len)| {
        let network = ip & mask(len);
        let prefix = Prefix::new(network.to_be_bytes(), len).expect("no host bits are set");
        (prefix, network, len)
    })
}

#[test]
fn a_prefix_is_printed_as_people_write_it() {
    let prefix = Prefix::new([10, 77, 0, 0], 24).expect("no host bits are set");
    assert_eq!(prefix.to_string(), "10.77.0.0/24");
    assert_eq!(Prefix::EMPTY.to_string(), "none");
}

#[test]
fn a_prefix_of_length_0_contains_everything() {
    let all = Prefix::new([0; 4], 0).expect("no host bits are set");
    assert!(!all.is_empty());
    assert!(all.contains([0; 4]) && all.contains([255; 4]));
    assert_ne!(all, Prefix::EMPTY);
}

#[test]
fn a_prefix_ends_where_its_last_address_does() {
    let prefix = Prefix::new([10, 77, 0, 128], 25).expect("no host bits are set");
    assert!(!prefix.contains([10, 77, 0, 127]));
    assert!(prefix.contains([10, 77, 0, 128]));
    assert!(prefix.contains([10, 77, 0, 255]));
    assert!(!prefix.contains([10, 77, 1, 0]));
}

proptest! {
    #[test]
    fn a_prefix_contains_what_arithmetic_says(
        (prefix, network, len) in prefix(),
        ip: u32,
        flip in 0..32_u32,
    ) {
        // Nearly all addresses are outside of most prefixes, so also try one
        // that differs from the first of the prefix in one bit and beyond.
        for ip in [ip, network, network ^ (1 << flip), (network ^ (1 << flip)) | (ip & !mask(len))] {
            prop_assert_eq!(prefix.contains(ip.to_be_bytes()), ip & mask(len) == network);
        }
    }

    #[test]
    fn the_prefix_that_contains_an_address_begins_with_its_first_bits(ip: u32, len in 0..=32_u8) {
        let prefix = Prefix::containing(ip.to_be_bytes(), len).expect("the length is one");
        prop_assert!(prefix.contains(ip.to_be_bytes()));
        prop_assert_eq!((prefix.ip(), prefix.len()), ((ip & mask(len)).to_be_bytes(), len));
        prop_assert_eq!(Prefix::containing(ip.to_be_bytes(), 33), None);
    }

    #[test]
    fn a_prefix_covers_those_whose_first_and_last_address_it_contains(
        (one, ..) in prefix(),
        (other, network, len) in prefix(),
        shared in 0..=32_u8,
    ) {
        // Two at random rarely overlap: so try one that begins like the other, too.
        let like = Prefix::containing(other.ip(), shared).expect("the length is one");
        for outer in [one, like] {
            let last = network | !mask(len);
            let both = outer.contains(other.ip()) && outer.contains(last.to_be_bytes());
            prop_assert_eq!(outer.covers(&other), both, "{} and {}", outer, other);
            prop_assert!(outer.covers(&Prefix::EMPTY));
            prop_assert!(!Prefix::EMPTY.covers(&outer));
        }
    }

    #[test]
    fn the_empty_prefix_contains_nothing(ip: [u8; 4]) {
        prop_assert!(!Prefix::EMPTY.contains(ip));
        prop_assert!(Prefix::EMPTY.is_empty());
    }

    #[test]
    fn a_prefix_comes_back_from_its_bits((prefix, _, _) in prefix()) {
        prop_assert_eq!(Prefix::from_bits(prefix.to_bits()), prefix);
        prop_assert_ne!(prefix.to_bits(), Prefix::EMPTY.to_bits());
        prop_assert_eq!(Prefix::from_bits(Prefix::EMPTY.to_bits()), Prefix::EMPTY);
    }

    #[test]
    fn a_prefix_tells_what_it_was_made_of((prefix, network, len) in prefix()) {
        prop_assert_eq!(prefix.ip(), network.to_be_bytes());
        prop_assert_eq!(prefix.len(), len);
        prop_assert!(!prefix.is_empty());
    }

    #[test]
    fn host_bits_are_rejected(ip: u32, len in 0..=32_u8) {
        let has_host_bits = ip & !mask(len) != 0;
        prop_assert_eq!(Prefix::new(ip.to_be_bytes(), len).is_none(), has_host_bits);
    }

    #[test]
    fn lengths_above_32_are_rejected(len in 33..=u8::MAX) {
        prop_assert_eq!(Prefix::new([0; 4], len), None);
    }
}
