// SPDX-License-Identifier: GPL-2.0

//! Addresses of services and processes, and tuples of them.

mod support;

use proptest::prelude::*;
use support::address;
use tcp_dispatch_core::{SocketAddress, Tuple};

#[test]
fn an_address_is_printed_as_people_write_it() {
    let address = SocketAddress::new([192, 0, 2, 1], 80);
    assert_eq!(address.to_string(), "192.0.2.1:80");
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
fn a_tuple_is_printed_with_its_direction() {
    let tuple = Tuple::new(
        SocketAddress::new([198, 51, 100, 7], 40000),
        SocketAddress::new([192, 0, 2, 1], 80),
    );
    assert_eq!(tuple.to_string(), "198.51.100.7:40000 -> 192.0.2.1:80");
}

proptest! {
    #[test]
    fn a_port_comes_back_in_host_byte_order(ip: [u8; 4], port: u16) {
        prop_assert_eq!(SocketAddress::new(ip, port).port(), port);
    }

    #[test]
    fn addresses_sort_by_number_then_port(one: (u32, u16), other: (u32, u16)) {
        let socket = |(ip, port): (u32, u16)| SocketAddress::new(ip.to_be_bytes(), port);
        prop_assert_eq!(socket(one).cmp(&socket(other)), one.cmp(&other));
    }

    #[test]
    fn a_tuple_keeps_both_ends(source in address(), destination in address()) {
        let tuple = Tuple::new(source, destination);
        prop_assert_eq!(tuple.source(), source);
        prop_assert_eq!(tuple.destination(), destination);
    }

    #[test]
    fn a_reversed_tuple_is_that_of_the_answers(source in address(), destination in address()) {
        let tuple = Tuple::new(source, destination);
        prop_assert_eq!(tuple.reversed(), Tuple::new(destination, source));
        prop_assert_eq!(tuple.reversed().reversed(), tuple);
    }
}
