// SPDX-License-Identifier: GPL-2.0

//! Rewriting one end of a packet.

mod support;

use proptest::prelude::*;
use support::kernel::{self, SkBuff};
use support::{address, double_word, families, packet, same_sum, sum, word, Family, Packet};
use tcp_dispatch_core::packet::{
    quoted_tuple, rewrite_destination, rewrite_quoted_source, rewrite_source, tuple,
};
use tcp_dispatch_core::{Address, ChecksumState, Ipv4Address, Ipv6Address, SocketAddress, Tuple};

/// Which end is rewritten.
#[derive(Clone, Copy, PartialEq, Debug)]
enum End {
    Source,
    Destination,
}

impl End {
    fn of<A: Family>(self, packet: &Packet<A>) -> SocketAddress<A> {
        let tuple = tuple(&packet.ip, &packet.tcp);
        match self {
            Self::Source => tuple.source(),
            Self::Destination => tuple.destination(),
        }
    }

    fn rewrite<A: Family>(
        self,
        packet: &mut Packet<A>,
        to: SocketAddress<A>,
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

/// The packet's TCP checksum, as the kernel reads it.
fn check<A: Family>(packet: &Packet<A>) -> u16 {
    u16::from_ne_bytes([packet.tcp[16], packet.tcp[17]])
}

/// What the kernel's address translation leaves of a checksum, and of what is
/// known of it, where an end becomes another.
fn kernels_result<A: Family>(
    mut check: u16,
    state: ChecksumState,
    from: SocketAddress<A>,
    to: SocketAddress<A>,
) -> (u16, u32) {
    let (ip_summed, csum) = match state {
        ChecksumState::Filled => (kernel::CHECKSUM_NONE, 0),
        ChecksumState::Partial => (kernel::CHECKSUM_PARTIAL, 0),
        ChecksumState::Complete(csum) => (kernel::CHECKSUM_COMPLETE, csum),
    };
    let mut skb = SkBuff { ip_summed, csum };
    A::kernels_replace(&mut check, &mut skb, from.ip, to.ip);
    let (old, new) = (u16::from_ne_bytes(from.port), u16::from_ne_bytes(to.port));
    kernel::inet_proto_csum_replace2(&mut check, &mut skb, old, new, false);
    (check, skb.csum)
}

/// Addresses and ports of nothing but zeros of either kind.
fn zeros<A: Family>() -> impl Iterator<Item = SocketAddress<A>> {
    let ips = [0, u128::MAX, 0xffff_ffff, 0xffff, !0xffff];
    let address = |ip, port| SocketAddress::new(A::from_number(ip), port);
    ips.into_iter()
        .flat_map(move |ip| [address(ip, 0), address(ip, 0xffff)])
}

families! {
    #[test]
    fn the_two_zeros_of_a_field_are_chosen_as_the_kernel_does() {
        let mut results = [false; 2];
        for (from, to) in zeros::<A>().flat_map(|from| zeros().map(move |to| (from, to))) {
            for field in [0, 1, 0xfffe, 0xffff] {
                for state in [ChecksumState::Filled, ChecksumState::Partial] {
                    // No pseudo-header's sum is 0: it has TCP's number in it.
                    if state == ChecksumState::Partial && field == 0 {
                        continue;
                    }
                    let (mut ip, mut tcp) = ([0; size_of::<<A as Address>::Header>()], [0; 20]);
                    rewrite_source(&mut ip, &mut tcp, from, ChecksumState::Filled);
                    tcp[16..18].copy_from_slice(&u16::to_ne_bytes(field));
                    rewrite_source(&mut ip, &mut tcp, to, state);
                    let ours = u16::from_ne_bytes([tcp[16], tcp[17]]);
                    let (expected, _) = kernels_result(field, state, from, to);
                    assert_eq!(ours, expected, "{field:x} {state:?} {from} {to}");
                    results[0] |= ours == 0;
                    results[1] |= ours == 0xffff;
                }
            }
        }
        assert_eq!(results, [true; 2], "both zeros result somewhere");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn a_rewritten_packet_has_the_new_end_and_keeps_the_other(
            mut packet in packet::<A>(), end in end(), to in address(),
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
            packet in packet::<A>(), end in end(), to in address(),
        ) {
            let mut rewritten = packet.clone();
            end.rewrite(&mut rewritten, to, ChecksumState::Filled);
            let (address, port) = match end {
                End::Source => (A::SOURCE, 0..2),
                End::Destination => (A::DESTINATION, 2..4),
            };
            prop_assert_eq!(&rewritten.ip[address.clone()], &to.ip);
            prop_assert_eq!(&rewritten.tcp[port.clone()], &to.port);
            for field in [Some(address), A::IP_CHECK].into_iter().flatten() {
                rewritten.ip[field.clone()].copy_from_slice(&packet.ip[field]);
            }
            for field in [16..18, port] {
                rewritten.tcp[field.clone()].copy_from_slice(&packet.tcp[field]);
            }
            prop_assert_eq!(rewritten, packet);
        }

        #[test]
        fn a_valid_packet_is_valid_after_rewriting(
            mut packet in packet::<A>(), end in end(), to in address(),
        ) {
            prop_assert!(packet.is_valid());
            let state = end.rewrite(&mut packet, to, ChecksumState::Filled);
            prop_assert!(packet.is_valid());
            prop_assert_eq!(state, ChecksumState::Filled);
        }

        #[test]
        fn a_damaged_packet_is_as_damaged_after_rewriting(
            mut packet in packet::<A>(), end in end(), to in address(),
            ip_check: [u8; 2], tcp_check: [u8; 2],
        ) {
            if let Some(field) = A::IP_CHECK {
                packet.ip[field].copy_from_slice(&ip_check);
            }
            packet.tcp[16..18].copy_from_slice(&tcp_check);
            let damage = |packet: &Packet<A>| {
                let ip = A::IP_CHECK.map(|_| packet.ip_sum());
                (ip, packet.segment_sum_with_pseudo_header())
            };
            let before = damage(&packet);
            end.rewrite(&mut packet, to, ChecksumState::Filled);
            prop_assert_eq!(damage(&packet), before);
        }

        #[test]
        fn rewriting_there_and_back_is_as_if_nothing_was(
            packet in packet::<A>(), end in end(), to in address(), spelling: u16,
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
            mut packet in packet::<A>(), end in end(), to in address(), spelling: u16,
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
            packet in packet::<A>(), end in end(), to in address(),
        ) {
            let mut packet = packet.partial();
            let state = end.rewrite(&mut packet, to, ChecksumState::Partial);
            prop_assert_eq!(state, ChecksumState::Partial);
            prop_assert_eq!(&packet.tcp[16..18], &packet.pseudo_header_sum().to_be_bytes());
            prop_assert!(packet.has_valid_ip_header());
        }

        #[test]
        fn the_device_completes_a_rewritten_partial_segment_to_a_valid_one(
            packet in packet::<A>(), end in end(), to in address(),
        ) {
            let mut packet = packet.partial();
            end.rewrite(&mut packet, to, ChecksumState::Partial);
            let check = !sum(&packet.segment());
            packet.tcp[16..18].copy_from_slice(&check.to_be_bytes());
            prop_assert!(packet.is_valid());
        }

        #[test]
        fn a_rewritten_field_is_to_the_bit_what_the_kernels_steps_leave(
            packet in packet::<A>(), end in end(), to in address(),
            field in word(), csum in double_word(),
        ) {
            let from = end.of(&packet);
            for state in [
                ChecksumState::Filled,
                ChecksumState::Partial,
                ChecksumState::Complete(csum),
            ] {
                // No pseudo-header's sum is 0: it has TCP's number in it.
                let field = if state == ChecksumState::Partial { field.max(1) } else { field };
                let mut packet = packet.clone();
                packet.tcp[16..18].copy_from_slice(&field.to_ne_bytes());
                end.rewrite(&mut packet, to, state);
                let (expected, _) = kernels_result(field, state, from, to);
                prop_assert_eq!(check(&packet), expected, "{:?}", state);
            }
        }

        #[test]
        fn a_quote_names_the_quoted_packets_tuple(packet in packet::<A>()) {
            let quote = packet.tcp.first_chunk().expect("a header has 8 bytes");
            prop_assert_eq!(quoted_tuple(&packet.ip, quote), tuple(&packet.ip, &packet.tcp));
        }

        #[test]
        fn a_rewritten_quote_has_the_new_source_and_a_valid_ip_header(
            mut packet in packet::<A>(), to in address(),
        ) {
            let before = tuple(&packet.ip, &packet.tcp);
            let mut quote = *packet.tcp.first_chunk::<8>().expect("a header has 8 bytes");
            rewrite_quoted_source(&mut packet.ip, &mut quote, to);
            prop_assert_eq!(quoted_tuple(&packet.ip, &quote), Tuple::new(to, before.destination()));
            prop_assert!(packet.has_valid_ip_header());
            // The sequence number is how TCP tells a true error from a forged one.
            prop_assert_eq!(&quote[4..], &packet.tcp[4..8]);
        }

        #[test]
        fn a_rewritten_quote_is_as_it_was_when_its_source_is(
            packet in packet::<A>(), to in address(),
        ) {
            let quote = *packet.tcp.first_chunk::<8>().expect("a header has 8 bytes");
            let (mut ip, mut tcp) = (packet.ip, quote);
            rewrite_quoted_source(&mut ip, &mut tcp, to);
            rewrite_quoted_source(&mut ip, &mut tcp, End::Source.of(&packet));
            prop_assert_eq!((ip, tcp), (packet.ip, quote));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_complete_sum_behind_an_ipv4_header_is_to_the_bit_what_the_kernels_steps_leave(
        mut packet in packet::<Ipv4Address>(), end in end(), to in address(), csum in double_word(),
    ) {
        let state = ChecksumState::Complete(csum);
        let (_, expected) = kernels_result(check(&packet), state, end.of(&packet), to);
        let ours = end.rewrite(&mut packet, to, state);
        prop_assert_eq!(ours, ChecksumState::Complete(expected));
    }

    /// Where the kernel rewrites, the sum has the IPv6 header in it, and address and
    /// field cancel each other; before it calls TCP, it takes the header out.
    #[test]
    fn a_complete_sum_behind_an_ipv6_header_is_the_kernels_less_the_new_header(
        mut packet in packet::<Ipv6Address>(), end in end(), to in address(), spelling: u16,
    ) {
        let header = |packet: &Packet<_>| {
            u32::from(u16::from_ne_bytes(packet.ip_sum().to_be_bytes()))
        };
        let csum = packet.csum(spelling);
        let whole = ChecksumState::Complete(kernel::csum_add(csum, header(&packet)));
        let (_, expected) = kernels_result(check(&packet), whole, end.of(&packet), to);
        let ours = end.rewrite(&mut packet, to, ChecksumState::Complete(csum));
        let ChecksumState::Complete(ours) = ours else {
            return Err(TestCaseError::fail(format!("{ours:?}")));
        };
        prop_assert!(same_sum(ours, kernel::csum_sub(expected, header(&packet))));
    }
}
