// SPDX-License-Identifier: GPL-2.0

//! Reading and translating headers.

mod support;

use proptest::prelude::*;
use support::{address, packet, same_sum, Packet};
use tcp_dispatch_core::packet::{
    data_offset, destination, flags, has_tcp_header, ip_header_len, is_whole_segment, protocol,
    quoted_tuple, rewrite_destination, rewrite_quoted_source, rewrite_source, source, total_len,
    tuple, TcpFlags,
};
use tcp_dispatch_core::{ChecksumState, SocketAddress, Tuple};

/// Which end is rewritten.
#[derive(Clone, Copy, PartialEq, Debug)]
enum End {
    Source,
    Destination,
}

impl End {
    fn of(self, packet: &Packet) -> SocketAddress {
        let tuple = tuple(&packet.ip, &packet.tcp);
        match self {
            Self::Source => tuple.source(),
            Self::Destination => tuple.destination(),
        }
    }

    fn rewrite(
        self,
        packet: &mut Packet,
        to: SocketAddress,
        state: ChecksumState,
    ) -> ChecksumState {
        let (ip, tcp) = (&mut packet.ip, &mut packet.tcp);
        match self {
            Self::Source => rewrite_source(ip, tcp, to, state),
            Self::Destination => rewrite_destination(ip, tcp, to, state),
        }
    }
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Source), Just(End::Destination)]
}

/// A SYN as it was on the wire: 10.0.2.15:54321 to 192.0.2.1:80.
fn syn() -> Packet {
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

#[test]
fn the_fields_of_a_syn_are_read() {
    let Packet { ip, tcp, .. } = syn();
    let client = SocketAddress::new([10, 0, 2, 15], 54321);
    let service = SocketAddress::new([192, 0, 2, 1], 80);
    assert_eq!(tuple(&ip, &tcp), Tuple::new(client, service));
    assert_eq!(source(&ip), client.ip);
    assert_eq!(destination(&ip), service.ip);
    assert_eq!(
        (ip_header_len(&ip), total_len(&ip), protocol(&ip)),
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
        assert!(!has_tcp_header(&ip), "protocol {other}");
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
        assert_eq!(has_tcp_header(&ip), has, "{fragment:02x?}");
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
        assert_eq!(is_whole_segment(&ip), whole, "{fragment:02x?}");
        ip[9] = 17;
        assert!(!is_whole_segment(&ip), "UDP, {fragment:02x?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_rewritten_packet_has_the_new_end_and_keeps_the_other(
        mut packet in packet(), end in end(), to in address(),
    ) {
        let before = tuple(&packet.ip, &packet.tcp);
        end.rewrite(&mut packet, to, ChecksumState::Filled);
        let expected = match end {
            End::Source => Tuple::new(to, before.destination()),
            End::Destination => Tuple::new(before.source(), to),
        };
        prop_assert_eq!(tuple(&packet.ip, &packet.tcp), expected);
    }

    #[test]
    fn a_rewritten_packet_differs_in_one_end_and_checksums_only(
        packet in packet(), end in end(), to in address(),
    ) {
        let mut rewritten = packet.clone();
        end.rewrite(&mut rewritten, to, ChecksumState::Filled);
        let (address, port) = match end {
            End::Source => (12..16, 0..2),
            End::Destination => (16..20, 2..4),
        };
        for field in [10..12, address] {
            rewritten.ip[field.clone()].copy_from_slice(&packet.ip[field]);
        }
        for field in [16..18, port] {
            rewritten.tcp[field.clone()].copy_from_slice(&packet.tcp[field]);
        }
        prop_assert_eq!(rewritten, packet);
    }

    #[test]
    fn a_valid_packet_is_valid_after_rewriting(
        mut packet in packet(), end in end(), to in address(),
    ) {
        prop_assert!(packet.is_valid());
        let state = end.rewrite(&mut packet, to, ChecksumState::Filled);
        prop_assert!(packet.is_valid());
        prop_assert_eq!(state, ChecksumState::Filled);
    }

    #[test]
    fn a_damaged_packet_is_as_damaged_after_rewriting(
        mut packet in packet(), end in end(), to in address(),
        ip_check: [u8; 2], tcp_check: [u8; 2],
    ) {
        packet.ip[10..12].copy_from_slice(&ip_check);
        packet.tcp[16..18].copy_from_slice(&tcp_check);
        let before = (packet.ip_sum(), packet.segment_sum_with_pseudo_header());
        end.rewrite(&mut packet, to, ChecksumState::Filled);
        prop_assert_eq!((packet.ip_sum(), packet.segment_sum_with_pseudo_header()), before);
    }

    #[test]
    fn rewriting_there_and_back_is_as_if_nothing_was(
        packet in packet(), end in end(), to in address(), spelling: u16,
    ) {
        for state in [
            ChecksumState::Filled,
            ChecksumState::Complete(packet.csum(spelling)),
        ] {
            let mut rewritten = packet.clone();
            let there = end.rewrite(&mut rewritten, to, state);
            let back = end.rewrite(&mut rewritten, end.of(&packet), there);
            prop_assert_eq!(&rewritten, &packet);
            match (state, back) {
                (ChecksumState::Complete(one), ChecksumState::Complete(other)) => {
                    prop_assert!(same_sum(one, other));
                }
                (one, other) => prop_assert_eq!(one, other),
            }
        }
        let packet = packet.partial();
        let mut rewritten = packet.clone();
        end.rewrite(&mut rewritten, to, ChecksumState::Partial);
        end.rewrite(&mut rewritten, end.of(&packet), ChecksumState::Partial);
        prop_assert_eq!(rewritten, packet);
    }

    #[test]
    fn a_complete_sum_is_that_of_the_rewritten_segment(
        mut packet in packet(), end in end(), to in address(), spelling: u16,
    ) {
        let state = ChecksumState::Complete(packet.csum(spelling));
        let state = end.rewrite(&mut packet, to, state);
        let ChecksumState::Complete(csum) = state else {
            return Err(TestCaseError::fail(format!("{state:?}")));
        };
        prop_assert!(same_sum(csum, packet.csum(0)));
        prop_assert!(packet.is_valid());
    }

    #[test]
    fn a_partial_field_is_the_pseudo_headers_sum_after_rewriting(
        packet in packet(), end in end(), to in address(),
    ) {
        let mut packet = packet.partial();
        let state = end.rewrite(&mut packet, to, ChecksumState::Partial);
        prop_assert_eq!(state, ChecksumState::Partial);
        prop_assert_eq!(&packet.tcp[16..18], &packet.pseudo_header_sum().to_be_bytes());
        prop_assert_eq!(packet.ip_sum(), 0xffff);
    }

    #[test]
    fn the_device_completes_a_rewritten_partial_segment_to_a_valid_one(
        packet in packet(), end in end(), to in address(),
    ) {
        let mut packet = packet.partial();
        end.rewrite(&mut packet, to, ChecksumState::Partial);
        let check = !support::sum(&packet.segment());
        packet.tcp[16..18].copy_from_slice(&check.to_be_bytes());
        prop_assert!(packet.is_valid());
    }

    #[test]
    fn lengths_are_what_the_header_claims(packet in packet()) {
        prop_assert_eq!(ip_header_len(&packet.ip), 20 + packet.ip_options.len());
        prop_assert_eq!(data_offset(&packet.tcp), 20 + packet.options.len());
        let len = 20 + packet.ip_options.len() as u16 + packet.segment_len();
        prop_assert_eq!(total_len(&packet.ip), len);
    }

    #[test]
    fn a_quote_names_the_quoted_packets_tuple(packet in packet()) {
        let quote = packet.tcp.first_chunk().expect("a header has 8 bytes");
        prop_assert_eq!(quoted_tuple(&packet.ip, quote), tuple(&packet.ip, &packet.tcp));
    }

    #[test]
    fn a_rewritten_quote_has_the_new_source_and_a_valid_ip_header(
        mut packet in packet(), to in address(),
    ) {
        let before = tuple(&packet.ip, &packet.tcp);
        let mut quote = *packet.tcp.first_chunk::<8>().expect("a header has 8 bytes");
        rewrite_quoted_source(&mut packet.ip, &mut quote, to);
        prop_assert_eq!(quoted_tuple(&packet.ip, &quote), Tuple::new(to, before.destination()));
        prop_assert_eq!(packet.ip_sum(), 0xffff);
        // The sequence number is how TCP tells a true error from a forged one.
        prop_assert_eq!(&quote[4..], &packet.tcp[4..8]);
    }
}
