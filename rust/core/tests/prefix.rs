// SPDX-License-Identifier: GPL-2.0

//! Prefixes.

mod support;

use proptest::prelude::*;
use support::{families, ip, Family};
use tcp_dispatch_core::{Address, Ipv4Address, Ipv6Address, Prefix};

/// Ones in the first `len` bits of an address, as a number.
fn mask<A: Family>(len: u8) -> u128 {
    (0..len).map(|bit| 1 << (A::BITS - 1 - bit)).sum()
}

/// All bits of an address, as a number.
fn all<A: Family>() -> u128 {
    mask::<A>(A::BITS)
}

/// Any prefix, with the address and length it was made of.
fn prefix<A: Family>() -> impl Strategy<Value = (Prefix<A>, u128, u8)> {
    (ip::<A>(), 0..=A::BITS).prop_map(|(ip, len)| {
        let network = ip.number() & mask::<A>(len);
        let prefix = Prefix::new(A::from_number(network), len).expect("no host bits are set");
        (prefix, network, len)
    })
}

#[test]
fn a_prefix_is_printed_as_people_write_it() {
    let prefix = Prefix::new([10, 77, 0, 0], 24).expect("no host bits are set");
    assert_eq!(prefix.to_string(), "10.77.0.0/24");
    let mut ip = [0; 16];
    ip[..2].copy_from_slice(&[0xfd, 0x77]);
    let prefix = Prefix::new(ip, 64).expect("no host bits are set");
    assert_eq!(prefix.to_string(), "fd77::/64");
    let prefix = Prefix::new([0; 16], 0).expect("no host bits are set");
    assert_eq!(prefix.to_string(), "::/0");
}

#[test]
fn a_prefix_ends_where_its_last_address_does() {
    let prefix = Prefix::new([10, 77, 0, 128], 25).expect("no host bits are set");
    assert!(!prefix.contains([10, 77, 0, 127]));
    assert!(prefix.contains([10, 77, 0, 128]));
    assert!(prefix.contains([10, 77, 0, 255]));
    assert!(!prefix.contains([10, 77, 1, 0]));
}

families! {
    #[test]
    fn the_empty_prefix_is_printed_as_none() {
        assert_eq!(Prefix::<A>::EMPTY.to_string(), "none");
    }

    #[test]
    fn the_empty_prefix_is_empty_as_one_of_ipv6() {
        assert_eq!(Prefix::<A>::EMPTY.to_ipv6(), Prefix::EMPTY);
    }

    #[test]
    fn a_prefix_of_length_0_contains_everything() {
        let everything = Prefix::new(A::default(), 0).expect("no host bits are set");
        assert!(!everything.is_empty());
        assert!(everything.contains(A::from_number(0)));
        assert!(everything.contains(A::from_number(all::<A>())));
        assert_ne!(everything, Prefix::EMPTY);
    }

    #[test]
    fn a_bit_matters_if_it_is_one_of_the_first_whatever_the_length() {
        for number in [0, all::<A>()] {
            for len in 0..=A::BITS {
                let network = number & mask::<A>(len);
                let prefix = Prefix::containing(A::from_number(number), len);
                let prefix = prefix.expect("the length is one");
                assert_eq!(Prefix::new(A::from_number(network), len), Some(prefix));
                assert_eq!((prefix.ip(), prefix.len()), (A::from_number(network), len));
                assert!(!prefix.is_empty());
                for bit in 0..A::BITS {
                    let flipped = A::from_number(network ^ (1 << (A::BITS - 1 - bit)));
                    assert_eq!(prefix.contains(flipped), bit >= len, "/{len}, {bit}");
                    // Without it there is no host bit: the network has none.
                    assert_eq!(Prefix::new(flipped, len).is_none(), bit >= len, "/{len}, {bit}");
                }
            }
        }
    }

    #[test]
    fn a_prefix_covers_those_of_its_addresses_that_are_as_long_or_longer() {
        let ip = A::from_number(all::<A>());
        let prefix = |len| Prefix::containing(ip, len).expect("the length is one");
        for len in 0..=A::BITS {
            for other in 0..=A::BITS {
                assert_eq!(prefix(len).covers(&prefix(other)), len <= other, "{len}, {other}");
            }
        }
    }

    #[test]
    fn lengths_of_more_bits_than_an_address_has_are_rejected() {
        for len in A::BITS + 1..=u8::MAX {
            for ip in [A::from_number(0), A::from_number(all::<A>())] {
                assert_eq!(Prefix::new(ip, len), None);
                assert_eq!(Prefix::containing(ip, len), None);
            }
        }
    }

    proptest! {
        #[test]
        fn a_prefix_contains_what_arithmetic_says(
            (prefix, network, len) in prefix::<A>(),
            ip: A,
            flip in 0..A::BITS,
        ) {
            // Nearly all addresses are outside of most prefixes, so also try one
            // that differs from the first of the prefix in one bit and beyond.
            let (ip, mask) = (ip.number(), mask::<A>(len));
            let near = network ^ (1 << flip);
            for ip in [ip, network, near, near | (ip & !mask)] {
                prop_assert_eq!(prefix.contains(A::from_number(ip)), ip & mask == network);
            }
        }

        #[test]
        fn the_prefix_that_contains_an_address_begins_with_its_first_bits(
            ip: A,
            len in 0..=A::BITS,
        ) {
            let prefix = Prefix::containing(ip, len).expect("the length is one");
            prop_assert!(prefix.contains(ip));
            let network = A::from_number(ip.number() & mask::<A>(len));
            prop_assert_eq!((prefix.ip(), prefix.len()), (network, len));
            prop_assert_eq!(Prefix::containing(ip, A::BITS + 1), None);
        }

        #[test]
        fn a_prefix_covers_those_whose_first_and_last_address_it_contains(
            (one, ..) in prefix::<A>(),
            (other, network, len) in prefix::<A>(),
            shared in 0..=A::BITS,
        ) {
            // Two at random rarely overlap: so try one that begins like the other, too.
            let like = Prefix::containing(other.ip(), shared).expect("the length is one");
            for outer in [one, like] {
                let last = A::from_number(network | (all::<A>() & !mask::<A>(len)));
                let both = outer.contains(other.ip()) && outer.contains(last);
                prop_assert_eq!(outer.covers(&other), both, "{} and {}", outer, other);
                prop_assert!(outer.covers(&Prefix::EMPTY));
                prop_assert!(!Prefix::EMPTY.covers(&outer));
            }
        }

        #[test]
        fn the_empty_prefix_contains_nothing(ip in ip::<A>()) {
            prop_assert!(!Prefix::EMPTY.contains(ip));
            prop_assert!(Prefix::<A>::EMPTY.is_empty());
        }

        #[test]
        fn a_prefix_tells_what_it_was_made_of((prefix, network, len) in prefix::<A>()) {
            prop_assert_eq!(prefix.ip(), A::from_number(network));
            prop_assert_eq!(prefix.len(), len);
            prop_assert!(!prefix.is_empty());
        }

        #[test]
        fn as_one_of_ipv6_a_prefix_contains_the_same_addresses(
            (prefix, network, _) in prefix::<A>(),
            other in ip::<A>(),
            flip in 0..A::BITS,
        ) {
            let ours = prefix.to_ipv6();
            for ip in [other.number(), network, network ^ (1 << flip)].map(A::from_number) {
                prop_assert_eq!(ours.contains(ip.to_ipv6()), prefix.contains(ip));
            }
            prop_assert_eq!(ours.ip(), prefix.ip().to_ipv6());
            prop_assert_eq!(ours.len(), 128 - A::BITS + prefix.len());
        }

        #[test]
        fn host_bits_are_rejected(ip in ip::<A>(), len in 0..=A::BITS) {
            let has_host_bits = ip.number() & !mask::<A>(len) != 0;
            prop_assert_eq!(Prefix::new(ip, len).is_none(), has_host_bits);
        }
    }
}

#[test]
fn of_ipv6_prefixes_those_of_mapped_addresses_only_are_of_ipv4() {
    let mapped = Ipv4Address::default().to_ipv6();
    let prefix = |ip, len| Prefix::new(ip, len).expect("no host bits are set");
    let everything = Prefix::new(Ipv4Address::default(), 0);
    assert_eq!(prefix(mapped, 96).to_ipv4(), everything);
    assert_eq!(Prefix::<Ipv6Address>::EMPTY.to_ipv4(), None);
    for len in 0..96 {
        let wider = Prefix::containing(mapped, len).expect("the length is one");
        assert_eq!(wider.to_ipv4(), None, "{wider}");
    }
    for bit in 0..96 {
        let other = Ipv6Address::from_number(mapped.number() ^ (1 << (127 - bit)));
        for len in [96, 112, 128] {
            assert_eq!(prefix(other, len).to_ipv4(), None, "{bit}");
        }
    }
}

proptest! {
    #[test]
    fn an_ipv4_prefix_comes_back_from_ipv6((prefix, _, _) in prefix::<Ipv4Address>()) {
        prop_assert_eq!(prefix.to_ipv6().to_ipv4(), Some(prefix));
    }

    #[test]
    fn an_ipv4_prefix_comes_back_from_its_bits((prefix, _, _) in prefix::<Ipv4Address>()) {
        prop_assert_eq!(Prefix::from_bits(prefix.to_bits()), prefix);
        prop_assert_ne!(prefix.to_bits(), Prefix::EMPTY.to_bits());
        prop_assert_eq!(Prefix::from_bits(Prefix::EMPTY.to_bits()), Prefix::EMPTY);
    }
}
