// SPDX-License-Identifier: GPL-2.0

//! Addresses of services and processes, and tuples of them.

mod support;

use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use support::{address, families, ip, Family};
use tcp_dispatch_core::{
    Address, AnySocketAddress, Ipv4Address, Ipv6Address, SocketAddress, Tuple,
};

/// An IPv6 address as people write it.
fn ipv6(text: &str) -> Ipv6Address {
    text.parse::<Ipv6Addr>().expect("it is one").octets()
}

#[test]
fn an_address_is_printed_as_people_write_it() {
    let address = SocketAddress::new([192, 0, 2, 1], 80);
    assert_eq!(address.to_string(), "192.0.2.1:80");
    assert_eq!(AnySocketAddress::from(address).to_string(), "192.0.2.1:80");
}

#[test]
fn an_ipv6_address_is_printed_in_brackets_with_its_longest_run_of_zeros_left_out() {
    let mut bytes = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    for (at, byte, text) in [
        (0, 0x20, "[2001:db8::1]:80"),
        (5, 0x0a, "[2001:db8:a::1]:80"),
        (12, 0xbc, "[2001:db8:a::bc00:1]:80"),
        (9, 0xff, "[2001:db8:a:0:ff:0:bc00:1]:80"),
    ] {
        bytes[at] = byte;
        let address = SocketAddress::new(bytes, 80);
        assert_eq!(address.to_string(), text);
        assert_eq!(AnySocketAddress::from(address).to_string(), text);
    }
    assert_eq!(SocketAddress::new([0_u8; 16], 0).to_string(), "[::]:0");
}

#[test]
fn a_port_is_kept_in_network_byte_order() {
    assert_eq!(SocketAddress::new([0; 4], 0x1234).port, [0x12, 0x34]);
}

#[test]
fn only_unicast_addresses_with_a_port_can_be_service_addresses() {
    let yes = [
        ([1, 0, 0, 0], 1),
        ([127, 0, 0, 1], 80),
        ([169, 254, 1, 1], 80),
        ([223, 255, 255, 255], 65535),
    ];
    let no = [
        ([192, 0, 2, 1], 0),
        ([0, 0, 0, 0], 80),
        ([0, 255, 255, 255], 80),
        ([224, 0, 0, 0], 80),
        ([239, 255, 255, 255], 80),
        ([240, 0, 0, 0], 80),
        ([255, 255, 255, 255], 80),
    ];
    for (ip, port) in yes {
        let address = SocketAddress::new(ip, port);
        assert!(address.is_service_address(), "{address}");
    }
    for (ip, port) in no {
        let address = SocketAddress::new(ip, port);
        assert!(!address.is_service_address(), "{address}");
    }
}

#[test]
fn loopback_unique_local_and_global_ipv6_addresses_can_be_service_addresses() {
    for (ip, port) in [
        ("::1", 80),
        ("::2", 80),
        ("1::", 1),
        ("fc00::1", 80),
        ("fd77::1", 443),
        ("2001:db8::1", 65535),
        ("3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 80),
        // What lies next to those that can't.
        ("fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 80),
        ("fec0::", 80),
        ("feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 80),
        ("::fffe:ffff:ffff", 80),
        ("::1:0:0:0", 80),
        ("1::ffff:192.0.2.1", 80),
    ] {
        let address = SocketAddress::new(ipv6(ip), port);
        assert!(address.is_service_address(), "{address}");
        assert!(AnySocketAddress::from(address).is_service_address());
    }
}

#[test]
fn no_unspecified_multicast_link_local_or_mapped_ipv6_address_can_be_a_service_address() {
    for (ip, port) in [
        ("2001:db8::1", 0),
        ("::", 80),
        ("ff00::", 80),
        ("ff02::1", 80),
        ("ff0e::1234", 80),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 80),
        ("fe80::", 80),
        ("fe80::1", 80),
        ("febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 80),
        ("::ffff:0:0", 80),
        ("::ffff:192.0.2.1", 80),
        ("::ffff:255.255.255.255", 80),
    ] {
        let address = SocketAddress::new(ipv6(ip), port);
        assert!(!address.is_service_address(), "{address}");
        assert!(!AnySocketAddress::from(address).is_service_address());
    }
}

#[test]
fn multicast_and_link_local_ipv6_addresses_are_told_by_their_first_bits() {
    for first in 0..=u16::MAX {
        let [a, b] = first.to_be_bytes();
        for ip in [
            [a, b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            [a, b, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9],
        ] {
            let is_link_local = (0xfe80..=0xfebf).contains(&first);
            assert_eq!(ip.is_link_local(), is_link_local, "{first:x}");
            assert_eq!(
                ip.is_unicast(),
                !is_link_local && first < 0xff00,
                "{first:x}"
            );
        }
    }
}

#[test]
fn an_ipv4_address_can_be_a_service_address_if_its_first_byte_is_one_of_classes_a_to_c() {
    for first in 0..=u8::MAX {
        let ip = [first, 0, 0, 1];
        assert_eq!(ip.is_unicast(), (1..224).contains(&first), "{first}");
        // 169.254/16 is routed like any other.
        assert!(![first, 254, 0, 1].is_link_local());
    }
}

#[test]
fn a_tuple_is_printed_with_its_direction() {
    let tuple = Tuple::new(
        SocketAddress::new([198, 51, 100, 7], 40000),
        SocketAddress::new([192, 0, 2, 1], 80),
    );
    assert_eq!(tuple.to_string(), "198.51.100.7:40000 -> 192.0.2.1:80");
    let tuple = Tuple::new(
        SocketAddress::new(ipv6("2001:db8::7"), 40000),
        SocketAddress::new(ipv6("fd77::1"), 80),
    );
    assert_eq!(tuple.to_string(), "[2001:db8::7]:40000 -> [fd77::1]:80");
}

#[test]
fn a_mask_has_as_many_ones_as_its_length_says_and_zeros_behind_them() {
    assert_eq!(
        Ipv4Address::mask(20).map(Address::from_word),
        Some([0xff, 0xff, 0xf0, 0])
    );
    let mut mask = [0_u8; 16];
    mask[..8].fill(0xff);
    mask[8] = 0x80;
    assert_eq!(Ipv6Address::mask(65).map(Address::from_word), Some(mask));
}

families! {
    #[test]
    fn a_mask_of_each_length_leads_from_zeros_to_ones() {
        assert_eq!(usize::from(A::BITS), 8 * size_of::<A>());
        let address = SocketAddress::new(A::default(), 0);
        assert_eq!(AnySocketAddress::from(address).bits(), A::BITS);
        assert_eq!(A::mask(0), Some(A::ZEROS));
        assert_eq!(A::mask(A::BITS), Some(A::ONES));
        for len in 0..=A::BITS {
            let mask = A::mask(len).expect("it is not too long");
            assert_eq!(A::count_ones(mask), len);
            let bytes = A::from_word(mask).as_ref().to_vec();
            let bits = bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte << bit >> 7));
            assert!(bits.is_sorted_by(|one, next| one >= next), "{bytes:02x?}");
        }
        for len in A::BITS + 1..=u8::MAX {
            assert_eq!(A::mask(len), None);
        }
    }

    proptest! {
        #[test]
        fn a_port_comes_back_in_host_byte_order(ip: A, port: u16) {
            let address = SocketAddress::new(ip, port);
            prop_assert_eq!(address.port(), port);
            prop_assert_eq!(AnySocketAddress::from(address).port(), port.to_be_bytes());
        }

        #[test]
        fn addresses_sort_by_number_then_port(
            one in (ip::<A>(), any::<u16>()),
            port: u16,
            flip in prop::option::of(0..A::BITS),
        ) {
            // Neither two at random nor the ports of two that differ tell much.
            let ip = flip.map_or(one.0, |bit| A::from_number(one.0.number() ^ (1 << bit)));
            let other = (ip, port);
            let number = |(ip, port): (A, u16)| (ip.number(), port);
            let socket = |(ip, port): (A, u16)| SocketAddress::new(ip, port);
            prop_assert_eq!(socket(one).cmp(&socket(other)), number(one).cmp(&number(other)));
        }

        #[test]
        fn an_address_of_either_family_is_printed_so_that_it_is_read_as_itself(
            address in address::<A>(),
        ) {
            let text = address.to_string();
            let read: SocketAddr = text.parse().expect("an address and a port");
            prop_assert_eq!((read.ip(), read.port()), (address.ip.into(), address.port()));
            prop_assert_eq!(AnySocketAddress::from(address).to_string(), text);
        }

        #[test]
        fn an_address_comes_back_from_its_word(ip in ip::<A>()) {
            prop_assert_eq!(A::from_word(ip.to_word()), ip);
            let ones: u32 = ip.iter().map(|byte| byte.count_ones()).sum();
            prop_assert_eq!(u32::from(A::count_ones(ip.to_word())), ones);
        }

        #[test]
        fn an_address_of_either_family_can_be_a_service_address_if_its_own_can(
            address in address::<A>(),
        ) {
            let can = address.ip.is_unicast() && address.port() != 0;
            prop_assert_eq!(address.is_service_address(), can);
            prop_assert_eq!(AnySocketAddress::from(address).is_service_address(), can);
        }

        #[test]
        fn a_tuple_keeps_both_ends(source in address::<A>(), destination in address()) {
            let tuple = Tuple::new(source, destination);
            prop_assert_eq!(tuple.source(), source);
            prop_assert_eq!(tuple.destination(), destination);
        }

        #[test]
        fn a_reversed_tuple_is_that_of_the_answers(
            source in address::<A>(), destination in address(),
        ) {
            let tuple = Tuple::new(source, destination);
            prop_assert_eq!(tuple.reversed(), Tuple::new(destination, source));
            prop_assert_eq!(tuple.reversed().reversed(), tuple);
        }
    }
}

proptest! {
    #[test]
    fn as_one_of_ipv6_an_ipv4_address_is_mapped_and_one_of_ipv6_itself(
        four in address::<Ipv4Address>(), six in address::<Ipv6Address>(),
    ) {
        let mapped = Ipv4Addr::from(four.ip).to_ipv6_mapped().octets();
        prop_assert_eq!(four.ip.to_ipv6(), mapped);
        prop_assert_eq!(AnySocketAddress::from(four).ip(), mapped);
        prop_assert_eq!(six.ip.to_ipv6(), six.ip);
        prop_assert_eq!(AnySocketAddress::from(six).ip(), six.ip);
        // So it is no other's that clients can connect to.
        prop_assert!(!mapped.is_unicast());
    }

    #[test]
    fn two_addresses_are_of_one_family_if_both_are_of_ipv4_or_of_ipv6(
        four in (address::<Ipv4Address>(), address::<Ipv4Address>()),
        six in (address::<Ipv6Address>(), address::<Ipv6Address>()),
    ) {
        let four = [AnySocketAddress::from(four.0), four.1.into()];
        let six = [AnySocketAddress::from(six.0), six.1.into()];
        prop_assert!(four[0].is_of_family_of(&four[1]) && six[0].is_of_family_of(&six[1]));
        prop_assert!(!four[0].is_of_family_of(&six[0]) && !six[1].is_of_family_of(&four[1]));
    }
}
