// SPDX-License-Identifier: GPL-2.0

//! Reading and translating headers.

mod support;

use proptest::prelude::*;
use std::net::Ipv6Addr;
use support::{families, packet, Family, Packet};
use tcp_dispatch_core::packet::{
    data_offset, destination_port, flags, total_len, tuple, Header, TcpFlags,
};
use tcp_dispatch_core::{Ipv4Address, Ipv6Address, SocketAddress, Tuple};

/// A SYN as it was on the wire: 10.0.2.15:54321 to 192.0.2.1:80.
fn syn() -> Packet<Ipv4Address> {
    Packet {
        ip: [
            0x45, 0, 0, 44, 0x1c, 0x46, 0x40, 0, 64, 6, 0, 0, 10, 0, 2, 15, 192, 0, 2, 1,
        ],
        ip_options: vec![],
        tcp: [
            0xd4, 0x31, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x60, 2, 0xfa, 0xf0, 0, 0, 0, 0,
        ],
        options: vec![2, 4, 5, 0xb4],
        payload: vec![],
    }
    .complete()
}

/// The same from [2001:db8::f]:54321 to [fd00:77::1]:80.
fn ipv6_syn() -> Packet<Ipv6Address> {
    #[rustfmt::skip]
    let ip = [
        0x60, 3, 0xc5, 0x1a, 0, 24, 6, 64,
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0f,
        0xfd, 0, 0, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
    ];
    let Packet { tcp, options, .. } = syn();
    Packet {
        ip,
        ip_options: vec![],
        tcp,
        options,
        payload: vec![],
    }
    .complete()
}

#[test]
fn the_fields_of_an_ipv6_syn_are_read() {
    let Packet { ip, tcp, .. } = ipv6_syn();
    let ip_of = |address: &str| address.parse::<Ipv6Addr>().expect("it is one").octets();
    let client = SocketAddress::new(ip_of("2001:db8::f"), 54321);
    let service = SocketAddress::new(ip_of("fd00:77::1"), 80);
    assert_eq!(tuple(&ip, &tcp), Tuple::new(client, service));
    assert_eq!(ip.source(), client.ip);
    assert_eq!(ip.destination(), service.ip);
    assert_eq!((ip.header_len(), ip.protocol()), (40, 6));
    assert!(ip.has_tcp_header() && ip.is_whole_segment());
}

#[test]
fn the_fields_of_a_syn_are_read() {
    let Packet { ip, tcp, .. } = syn();
    let client = SocketAddress::new([10, 0, 2, 15], 54321);
    let service = SocketAddress::new([192, 0, 2, 1], 80);
    assert_eq!(tuple(&ip, &tcp), Tuple::new(client, service));
    assert_eq!(ip.source(), client.ip);
    assert_eq!(ip.destination(), service.ip);
    assert_eq!(
        (ip.header_len(), total_len(&ip), ip.protocol()),
        (20, 44, 6)
    );
    assert_eq!(data_offset(&tcp), 24);
    assert_eq!(flags(&tcp), TcpFlags::SYN);
}

#[test]
fn only_what_a_listener_accepts_is_a_request_for_a_connection() {
    let ece_cwr_urg_psh = 0xe8;
    for bits in 0..=u8::MAX {
        let asks = bits & !ece_cwr_urg_psh == 0x02;
        assert_eq!(TcpFlags(bits).is_syn_only(), asks, "{bits:#04x}");
    }
}

#[test]
fn a_control_bit_is_found_among_others() {
    let bits = [
        (TcpFlags::FIN, 0x01),
        (TcpFlags::SYN, 0x02),
        (TcpFlags::RST, 0x04),
        (TcpFlags::PSH, 0x08),
        (TcpFlags::ACK, 0x10),
    ];
    for (flag, bit) in bits {
        assert!(TcpFlags(bit).has(flag) && TcpFlags(0xff).has(flag));
        assert!(!TcpFlags(0).has(flag) && !TcpFlags(!bit).has(flag));
    }
}

#[test]
fn other_protocols_have_no_tcp_header() {
    let mut ip = syn().ip;
    for other in [0, 1, 5, 7, 17, 255] {
        ip[9] = other;
        assert!(!ip.has_tcp_header(), "protocol {other}");
    }
}

#[test]
fn later_fragments_have_no_tcp_header() {
    let mut ip = syn().ip;
    for (fragment, has) in [
        ([0x40, 0], true),
        ([0x20, 0], true),
        ([0x20, 1], false),
        ([0x1f, 0xff], false),
    ] {
        [ip[6], ip[7]] = fragment;
        assert_eq!(ip.has_tcp_header(), has, "{fragment:02x?}");
    }
}

#[test]
fn neither_fragments_nor_other_protocols_are_whole_segments() {
    let mut ip = syn().ip;
    for (fragment, whole) in [
        ([0x40, 0], true),
        ([0, 0], true),
        ([0x20, 0], false),
        ([0x20, 1], false),
        ([0, 1], false),
        ([0x1f, 0xff], false),
    ] {
        [ip[6], ip[7]] = fragment;
        ip[9] = 6;
        assert_eq!(ip.is_whole_segment(), whole, "{fragment:02x?}");
        ip[9] = 17;
        assert!(!ip.is_whole_segment(), "UDP, {fragment:02x?}");
    }
}

/// Extension headers, such as those of fragments (44) and of options (0 and 60),
/// are other protocols.
#[test]
fn only_tcp_right_behind_an_ipv6_header_is_a_tcp_header() {
    let mut ip = ipv6_syn().ip;
    for next in 0..=u8::MAX {
        ip[6] = next;
        assert_eq!(ip.protocol(), next);
        assert_eq!(ip.has_tcp_header(), next == 6, "{next}");
        assert_eq!(ip.is_whole_segment(), next == 6, "{next}");
    }
}

families! {
    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn both_ends_are_where_the_rfcs_draw_them(packet in packet::<A>()) {
            let Packet { ip, tcp, .. } = &packet;
            let tuple = tuple(ip, tcp);
            prop_assert_eq!(&ip[A::SOURCE], &tuple.source_ip);
            prop_assert_eq!(&ip[A::DESTINATION], &tuple.destination_ip);
            prop_assert_eq!(ip.source(), tuple.source_ip);
            prop_assert_eq!(ip.destination(), tuple.destination_ip);
            prop_assert_eq!(&tcp[0..2], &tuple.source_port);
            prop_assert_eq!(&tcp[2..4], &tuple.destination_port);
            prop_assert_eq!(destination_port(tcp), tuple.destination_port);
        }

        #[test]
        fn lengths_and_protocol_are_what_the_headers_claim(packet in packet::<A>()) {
            let Packet { ip, tcp, .. } = &packet;
            prop_assert_eq!(ip.header_len(), A::DESTINATION.end + packet.ip_options.len());
            prop_assert_eq!(data_offset(tcp), 20 + packet.options.len());
            prop_assert_eq!(ip.protocol(), 6);
        }
    }
}

proptest! {
    #[test]
    fn an_ipv4_packet_is_as_long_as_its_header_claims(packet in packet::<Ipv4Address>()) {
        let len = 20 + packet.ip_options.len() as u16 + packet.segment_len();
        prop_assert_eq!(total_len(&packet.ip), len);
    }
}
