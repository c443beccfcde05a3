// SPDX-License-Identifier: GPL-2.0

//! Lowering the maximum segment size.

mod support;

use proptest::prelude::*;
use support::{packet_with, Packet};
use tcp_dispatch_core::mss::clamp_mss;
use tcp_dispatch_core::{ChecksumState, Ipv4Address};

const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;

/// Where the values of MSS options are, read as `tcp_parse_options()` reads.
fn mss_values(options: &[u8]) -> Vec<usize> {
    let mut found = vec![];
    let mut at = 0;
    while at < options.len() {
        match options[at] {
            0 => break,
            1 => at += 1,
            kind => {
                let Some(&len) = options.get(at + 1) else {
                    break;
                };
                let len = usize::from(len);
                if len < 2 || at + len > options.len() {
                    break;
                }
                if kind == 2 && len == 4 {
                    found.push(at + 2);
                }
                at += len;
            }
        }
    }
    found
}

fn value(options: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([options[at], options[at + 1]])
}

/// One option, true or lying.
fn option() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => any::<[u8; 2]>().prop_map(|[high, low]| vec![2, 4, high, low]),
        4 => Just(vec![1]),
        1 => Just(vec![0]),
        1 => any::<u8>().prop_map(|shift| vec![3, 3, shift]),
        1 => Just(vec![4, 2]),
        1 => any::<[u8; 8]>().prop_map(|times| [&[8, 10][..], &times].concat()),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(kind, len)| vec![kind, len]),
        1 => (0..6_u8).prop_map(|len| vec![2, len]),
    ]
}

/// Whole words of options, as a header must have them; the last may be cut.
fn options() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(option(), 0..12).prop_map(|list| {
        let mut bytes = list.concat();
        bytes.truncate(40);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    })
}

/// A SYN with such options and right checksums.
fn syn() -> impl Strategy<Value = Packet<Ipv4Address>> {
    (
        packet_with(options()),
        prop::sample::select(vec![SYN, SYN_ACK]),
    )
        .prop_map(|(mut packet, flags)| {
            packet.tcp[13] = flags;
            packet.complete()
        })
}

/// A SYN with exactly these options.
fn syn_with(options: &[u8]) -> Packet<Ipv4Address> {
    let mut tcp = [0; 20];
    tcp[13] = SYN;
    Packet {
        ip: [192; 20],
        ip_options: vec![],
        tcp,
        options: options.to_vec(),
        payload: vec![],
    }
    .complete()
}

fn clamp(packet: &mut Packet<Ipv4Address>, mss: u16, state: ChecksumState) -> bool {
    clamp_mss(&mut packet.tcp, &mut packet.options, mss, state)
}

#[test]
fn a_larger_mss_is_lowered_and_a_smaller_one_kept() {
    for (offered, clamped) in [(1460, 1400), (1401, 1400), (1400, 1400), (536, 536), (0, 0)] {
        let [high, low] = u16::to_be_bytes(offered);
        let mut packet = syn_with(&[2, 4, high, low]);
        let changed = clamp(&mut packet, 1400, ChecksumState::Filled);
        assert_eq!(value(&packet.options, 2), clamped);
        assert_eq!(changed, offered != clamped);
        assert!(packet.is_valid());
    }
}

#[test]
fn an_option_behind_others_at_an_odd_offset_is_lowered() {
    let mut packet = syn_with(&[1, 4, 2, 3, 3, 7, 1, 2, 4, 0x05, 0xb4, 0]);
    assert!(clamp(&mut packet, 1400, ChecksumState::Filled));
    assert_eq!(packet.options, [1, 4, 2, 3, 3, 7, 1, 2, 4, 0x05, 0x78, 0]);
    assert!(packet.is_valid());
}

#[test]
fn all_of_several_mss_options_are_lowered() {
    let mut packet = syn_with(&[2, 4, 0x05, 0xb4, 1, 2, 4, 0xff, 0xff, 0, 0, 0]);
    assert!(clamp(&mut packet, 1400, ChecksumState::Filled));
    assert_eq!(
        packet.options,
        [2, 4, 0x05, 0x78, 1, 2, 4, 0x05, 0x78, 0, 0, 0]
    );
    assert!(packet.is_valid());
}

#[test]
fn reading_ends_at_the_end_of_the_list_or_a_length_that_lies() {
    for options in [
        [0, 2, 4, 0xff, 0xff, 0, 0, 0],
        [3, 0, 2, 4, 0xff, 0xff, 0, 0],
        [3, 1, 2, 4, 0xff, 0xff, 0, 0],
        [3, 9, 2, 4, 0xff, 0xff, 0, 0],
        [1, 1, 1, 1, 1, 1, 2, 4],
        [1, 1, 1, 1, 1, 2, 4, 0xff],
        [1, 1, 1, 1, 1, 1, 1, 2],
    ] {
        let mut packet = syn_with(&options);
        let before = packet.clone();
        assert!(!clamp(&mut packet, 1400, ChecksumState::Filled));
        assert_eq!(packet, before);
    }
}

#[test]
fn an_mss_option_of_another_length_is_not_one() {
    let mut packet = syn_with(&[2, 3, 0xff, 2, 5, 0xff, 0xff, 0xff, 2, 2, 1, 1]);
    assert!(!clamp(&mut packet, 1400, ChecksumState::Filled));
}

#[test]
fn what_lies_beyond_the_header_is_data_and_stays() {
    for (options, data) in [
        ([1, 1, 1, 1], [2, 4, 0xff, 0xff]),
        ([1, 1, 1, 2], [4, 0xff, 0xff, 0]),
        ([1, 1, 2, 4], [0xff, 0xff, 0, 0]),
        ([1, 2, 4, 0xff], [0xff, 0, 0, 0]),
    ] {
        let mut packet = syn_with(&options);
        packet.options.extend(data);
        let before = packet.clone();
        assert!(!clamp(&mut packet, 1400, ChecksumState::Filled));
        assert_eq!(packet, before);
    }
}

#[test]
fn the_option_means_nothing_in_a_segment_without_syn() {
    let mut packet = syn_with(&[2, 4, 0xff, 0xff]);
    packet.tcp[13] = 0x10;
    let before = packet.clone();
    assert!(!clamp(&mut packet, 1400, ChecksumState::Filled));
    assert_eq!(packet, before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_valid_syn_is_valid_after_clamping(mut packet in syn(), mss: u16) {
        prop_assert!(packet.is_valid());
        clamp(&mut packet, mss, ChecksumState::Filled);
        prop_assert!(packet.is_valid());
    }

    #[test]
    fn no_mss_that_tcp_would_read_exceeds_the_limit(mut packet in syn(), mss: u16) {
        let before = packet.options.clone();
        let changed = clamp(&mut packet, mss, ChecksumState::Filled);
        for at in mss_values(&before) {
            prop_assert_eq!(value(&packet.options, at), value(&before, at).min(mss));
        }
        prop_assert_eq!(changed, packet.options != before);
    }

    #[test]
    fn nothing_but_mss_options_and_the_checksum_changes(packet in syn(), mss: u16) {
        let mut clamped = packet.clone();
        clamp(&mut clamped, mss, ChecksumState::Filled);
        for at in mss_values(&packet.options) {
            clamped.options[at..at + 2].copy_from_slice(&packet.options[at..at + 2]);
        }
        clamped.tcp[16..18].copy_from_slice(&packet.tcp[16..18]);
        prop_assert_eq!(clamped, packet);
    }

    #[test]
    fn a_complete_sum_needs_no_change(mut packet in syn(), mss: u16) {
        let csum = packet.csum(0);
        clamp(&mut packet, mss, ChecksumState::Complete(csum));
        prop_assert!(support::same_sum(csum, packet.csum(0)));
        prop_assert!(packet.is_valid());
    }

    #[test]
    fn a_partial_field_stays_the_pseudo_headers_sum(packet in syn(), mss: u16) {
        let mut packet = packet.partial();
        let mut filled = packet.clone();
        clamp(&mut packet, mss, ChecksumState::Partial);
        clamp(&mut filled, mss, ChecksumState::Filled);
        prop_assert_eq!(&packet.tcp[16..18], &packet.pseudo_header_sum().to_be_bytes());
        prop_assert_eq!(packet.options, filled.options);
    }

    #[test]
    fn bytes_that_are_no_options_change_in_whole_mss_options_only(
        tcp: [u8; 20],
        options in prop::collection::vec(prop_oneof![0..6_u8, any::<u8>()], 0..64),
        mss: u16,
    ) {
        let (mut after_tcp, mut after) = (tcp, options.clone());
        clamp_mss(&mut after_tcp, &mut after, mss, ChecksumState::Filled);
        let end = (usize::from(tcp[12] >> 4) * 4).saturating_sub(20).min(options.len());
        for at in mss_values(&options[..end]) {
            after[at..at + 2].copy_from_slice(&options[at..at + 2]);
        }
        after_tcp[16..18].copy_from_slice(&tcp[16..18]);
        prop_assert_eq!(after, options);
        prop_assert_eq!(after_tcp, tcp);
    }
}
