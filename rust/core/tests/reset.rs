// SPDX-License-Identifier: GPL-2.0

//! Resets.

mod support;

use proptest::prelude::*;
use support::{families, packet, Family, Packet};
use tcp_dispatch_core::packet::{acknowledgment, flags, sequence, tuple, TcpFlags};
use tcp_dispatch_core::reset::reset;

const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// The reset that answers `packet`, taken apart.
fn answer<A: Family>(packet: &Packet<A>) -> Option<Packet<A>> {
    let (ip, tcp) = reset(&packet.ip, &packet.tcp, packet.payload.len() as u32)?;
    Some(Packet {
        ip,
        ip_options: vec![],
        tcp,
        options: vec![],
        payload: vec![],
    })
}

/// A packet that is no reset, with or without ACK.
fn answered<A: Family>(ack: bool) -> impl Strategy<Value = Packet<A>> {
    packet().prop_map(move |mut packet: Packet<A>| {
        packet.tcp[13] = packet.tcp[13] & !(RST | ACK) | if ack { ACK } else { 0 };
        packet.complete()
    })
}

#[test]
fn the_answer_to_a_syn_is_what_a_closed_port_sends() {
    let ip = [
        0x45, 0, 0, 40, 0x1c, 0x46, 0x40, 0, 64, 6, 0, 0, 10, 0, 2, 15, 192, 0, 2, 1,
    ];
    let tcp = [
        0xd4, 0x31, 0, 80, 0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0, 0x50, 2, 0xfa, 0xf0, 0, 0, 0, 0,
    ];
    #[rustfmt::skip]
    let expected = [
        0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0x6c, 0xc0, 192, 0, 2, 1, 10, 0, 2, 15,
        0, 80, 0xd4, 0x31, 0, 0, 0, 0, 0x11, 0x22, 0x33, 0x45, 0x50, 0x14, 0, 0, 0xc8, 0xd7, 0, 0,
    ];
    let (ip, tcp) = reset(&ip, &tcp, 0).expect("not a reset");
    assert_eq!([ip, tcp].concat(), expected);
}

#[test]
fn the_answer_to_an_ipv6_syn_is_what_a_closed_port_sends() {
    // From [fd00:77::2:15]:54321 to [2001:db8::1]:80, with a traffic class, a flow
    // label and a hop limit that the answer does not repeat.
    #[rustfmt::skip]
    let ip = [
        0x6a, 0xb3, 0xc5, 0x1a, 0, 20, 6, 57,
        0xfd, 0, 0, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0x15,
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
    ];
    let tcp = [
        0xd4, 0x31, 0, 80, 0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0, 0x50, 2, 0xfa, 0xf0, 0, 0, 0, 0,
    ];
    #[rustfmt::skip]
    let expected = [
        0x60, 0, 0, 0, 0, 20, 6, 64,
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
        0xfd, 0, 0, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0x15,
        0, 80, 0xd4, 0x31, 0, 0, 0, 0, 0x11, 0x22, 0x33, 0x45, 0x50, 0x14, 0, 0, 0x6b, 0x9f, 0, 0,
    ];
    let (ip, tcp) = reset(&ip, &tcp, 0).expect("not a reset");
    assert_eq!([&ip[..], &tcp].concat(), expected);
}

families! {
    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn a_reset_is_never_answered(mut packet in packet::<A>(), flags: u8) {
            packet.tcp[13] = flags | RST;
            prop_assert_eq!(answer(&packet), None);
        }

        #[test]
        fn an_answer_is_a_valid_packet_back_to_the_sender(packet in packet::<A>(), ack: bool) {
            let mut packet = packet;
            packet.tcp[13] = packet.tcp[13] & !(RST | ACK) | if ack { ACK } else { 0 };
            let answer = answer(&packet).expect("not a reset");
            prop_assert!(answer.is_valid());
            prop_assert_eq!(
                tuple(&answer.ip, &answer.tcp),
                tuple(&packet.ip, &packet.tcp).reversed()
            );
            prop_assert!(flags(&answer.tcp).has(TcpFlags::RST));
            // Its lengths are true: completing it again changes nothing.
            prop_assert_eq!(answer.clone().complete(), answer);
        }

        #[test]
        fn with_ack_the_answer_begins_where_the_sender_expects(packet in answered::<A>(true)) {
            let answer = answer(&packet).expect("not a reset");
            prop_assert_eq!(sequence(&answer.tcp), acknowledgment(&packet.tcp));
            prop_assert_eq!(acknowledgment(&answer.tcp), 0);
            prop_assert_eq!(flags(&answer.tcp), TcpFlags(RST));
        }

        #[test]
        fn without_ack_the_answer_acknowledges_data_syn_and_fin(packet in answered::<A>(false)) {
            let answer = answer(&packet).expect("not a reset");
            let control = u32::from(packet.tcp[13] & 1) + u32::from(packet.tcp[13] >> 1 & 1);
            let end = sequence(&packet.tcp)
                .wrapping_add(packet.payload.len() as u32)
                .wrapping_add(control);
            prop_assert_eq!(sequence(&answer.tcp), 0);
            prop_assert_eq!(acknowledgment(&answer.tcp), end);
            prop_assert_eq!(flags(&answer.tcp), TcpFlags(RST | ACK));
        }

        #[test]
        fn sequence_numbers_wrap(mut packet in answered::<A>(false), len: u32) {
            packet.tcp[4..8].fill(0xff);
            packet.tcp[13] = 0x02;
            let (_, tcp) = reset(&packet.ip, &packet.tcp, len).expect("not a reset");
            prop_assert_eq!(&tcp[8..12], &len.to_be_bytes());
        }

        #[test]
        fn an_answer_is_never_answered(packet in packet::<A>()) {
            if let Some(first) = answer(&packet) {
                prop_assert_eq!(answer(&first), None);
            }
        }
    }
}
