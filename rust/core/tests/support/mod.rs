// SPDX-License-Identifier: GPL-2.0

//! Packets to test with, and arithmetic that shares nothing with the crate's:
//! sums are taken over all bytes, as big-endian words, with no carry trick.
// Each test is a crate of its own and uses a part of this.
#![allow(dead_code, unused_imports, unused_macros)]

pub mod kernel;

use kernel::SkBuff;
use proptest::prelude::*;
use proptest::sample::SizeRange;
use std::fmt::Debug;
use std::ops::Range;
use tcp_dispatch_core::packet::TcpHeader;
use tcp_dispatch_core::{Address, Ipv4Address, Ipv6Address, SocketAddress};

/// Items for each family, whose addresses they call `A`.
macro_rules! families {
    ($($item:tt)*) => {
        mod ipv4 {
            use super::*;
            type A = tcp_dispatch_core::Ipv4Address;
            $($item)*
        }

        mod ipv6 {
            use super::*;
            type A = tcp_dispatch_core::Ipv6Address;
            $($item)*
        }
    };
}
pub(crate) use families;

/// What tests know of a family's addresses and headers themselves.
pub trait Family:
    Address<Header: AsRef<[u8]> + AsMut<[u8]> + Eq + Debug + Arbitrary> + AsRef<[u8]> + Arbitrary
{
    /// Where a header has the source.
    const SOURCE: Range<usize>;
    /// Where a header has the destination.
    const DESTINATION: Range<usize>;
    /// Where a header has its checksum, if it has one.
    const IP_CHECK: Option<Range<usize>>;
    /// How many words of options a header may have.
    const IP_OPTIONS: usize;

    /// The lowest bits of `number` as an address, the first byte the highest.
    fn from_number(number: u128) -> Self;

    /// Makes lengths and protocol of a header with so many bytes of options true.
    fn describe(header: &mut Self::Header, options: usize, segment: u16);

    /// What the pseudo-header has behind the addresses.
    fn pseudo_header_end(segment: u16) -> Vec<u8>;

    /// What the kernel calls to replace an address of the pseudo-header.
    fn kernels_replace(sum: &mut u16, skb: &mut SkBuff, from: Self, to: Self);

    /// The address as a number, the first byte the highest.
    fn number(self) -> u128 {
        let bytes = self.as_ref().iter();
        bytes.fold(0, |number, &byte| number << 8 | u128::from(byte))
    }
}

impl Family for Ipv4Address {
    const SOURCE: Range<usize> = 12..16;
    const DESTINATION: Range<usize> = 16..20;
    const IP_CHECK: Option<Range<usize>> = Some(10..12);
    const IP_OPTIONS: usize = 10;

    fn from_number(number: u128) -> Self {
        (number as u32).to_be_bytes()
    }

    fn describe(header: &mut Self::Header, options: usize, segment: u16) {
        header[0] = 0x40 | (5 + options / 4) as u8;
        let len = (20 + options) as u16 + segment;
        header[2..4].copy_from_slice(&len.to_be_bytes());
        header[9] = 6;
    }

    fn pseudo_header_end(segment: u16) -> Vec<u8> {
        [&[0, 6][..], &segment.to_be_bytes()].concat()
    }

    fn kernels_replace(sum: &mut u16, skb: &mut SkBuff, from: Self, to: Self) {
        let (from, to) = (u32::from_ne_bytes(from), u32::from_ne_bytes(to));
        kernel::inet_proto_csum_replace4(sum, skb, from, to, true);
    }
}

impl Family for Ipv6Address {
    const SOURCE: Range<usize> = 8..24;
    const DESTINATION: Range<usize> = 24..40;
    const IP_CHECK: Option<Range<usize>> = None;
    const IP_OPTIONS: usize = 0;

    fn from_number(number: u128) -> Self {
        number.to_be_bytes()
    }

    fn describe(header: &mut Self::Header, _: usize, segment: u16) {
        header[0] = 0x60 | (header[0] & 0x0f);
        header[4..6].copy_from_slice(&segment.to_be_bytes());
        header[6] = 6;
    }

    fn pseudo_header_end(segment: u16) -> Vec<u8> {
        [&u32::from(segment).to_be_bytes()[..], &[0, 0, 0, 6]].concat()
    }

    fn kernels_replace(sum: &mut u16, skb: &mut SkBuff, from: Self, to: Self) {
        let words = |ip: Self| {
            let word = |at| [ip[at], ip[at + 1], ip[at + 2], ip[at + 3]];
            [0, 4, 8, 12].map(|at| u32::from_ne_bytes(word(at)))
        };
        kernel::inet_proto_csum_replace16(sum, skb, words(from), words(to), true);
    }
}

/// An IP packet with a TCP segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet<A: Family> {
    /// The fixed part of the IP header.
    pub ip: A::Header,
    /// The rest of the IP header, whole words.
    pub ip_options: Vec<u8>,
    /// The fixed part of the TCP header.
    pub tcp: TcpHeader,
    /// The rest of the TCP header, whole words.
    pub options: Vec<u8>,
    /// The segment's data.
    pub payload: Vec<u8>,
}

impl<A: Family> Packet<A> {
    /// Makes the lengths true, the protocol TCP and all checksums right.
    pub fn complete(mut self) -> Self {
        let segment = self.segment_len();
        A::describe(&mut self.ip, self.ip_options.len(), segment);
        self.tcp[12] = (((5 + self.options.len() / 4) as u8) << 4) | (self.tcp[12] & 0x0f);
        if let Some(field) = A::IP_CHECK {
            self.ip.as_mut()[field.clone()].fill(0);
            let check = !self.ip_sum();
            self.ip.as_mut()[field].copy_from_slice(&check.to_be_bytes());
        }
        self.tcp[16..18].fill(0);
        let check = !self.segment_sum_with_pseudo_header();
        self.tcp[16..18].copy_from_slice(&check.to_be_bytes());
        self
    }

    /// As a stack leaves it for the device to complete.
    pub fn partial(mut self) -> Self {
        self = self.complete();
        let sum = self.pseudo_header_sum();
        self.tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        self
    }

    /// Whether a receiver would take all checksums for right.
    pub fn is_valid(&self) -> bool {
        self.has_valid_ip_header() && self.segment_sum_with_pseudo_header() == 0xffff
    }

    /// Whether a receiver would take the IP header's checksum for right.
    pub fn has_valid_ip_header(&self) -> bool {
        A::IP_CHECK.is_none() || self.ip_sum() == 0xffff
    }

    /// TCP header and payload.
    pub fn segment(&self) -> Vec<u8> {
        [&self.tcp[..], &self.options, &self.payload].concat()
    }

    /// The length of TCP header and payload.
    pub fn segment_len(&self) -> u16 {
        self.segment().len() as u16
    }

    /// The sum of the IP header; if that has a checksum and it is right, 0xffff.
    pub fn ip_sum(&self) -> u16 {
        sum(&[self.ip.as_ref(), &self.ip_options].concat())
    }

    /// The sum of the pseudo-header alone.
    pub fn pseudo_header_sum(&self) -> u16 {
        sum(&self.pseudo_header())
    }

    /// The sum that the TCP checksum makes 0xffff.
    pub fn segment_sum_with_pseudo_header(&self) -> u16 {
        sum(&[self.pseudo_header(), self.segment()].concat())
    }

    fn pseudo_header(&self) -> Vec<u8> {
        let addresses = &self.ip.as_ref()[A::SOURCE.start..A::DESTINATION.end];
        [addresses, &A::pseudo_header_end(self.segment_len())].concat()
    }

    /// `skb->csum` of this segment, one of its 65536 spellings.
    pub fn csum(&self, spelling: u16) -> u32 {
        let sum = u16::from_ne_bytes(sum(&self.segment()).to_be_bytes());
        u32::from(sum) + 0xffff * u32::from(spelling)
    }
}

/// The one's complement sum of `bytes`; 0 only if all of them are.
pub fn sum(bytes: &[u8]) -> u16 {
    let total: u64 = bytes
        .chunks(2)
        .map(|word| u64::from(word[0]) << 8 | u64::from(*word.get(1).unwrap_or(&0)))
        .sum();
    match total % 0xffff {
        0 if total != 0 => 0xffff,
        rest => rest as u16,
    }
}

/// Whether two of the kernel's sums mean the same.
pub fn same_sum(one: u32, other: u32) -> bool {
    one % 0xffff == other % 0xffff
}

/// Any word, with the zeros and their neighbours more often.
pub fn word() -> impl Strategy<Value = u16> {
    prop_oneof![
        4 => any::<u16>(),
        4 => prop::sample::select(vec![0, 1, 0xfffe, 0xffff, 0x00ff, 0xff00]),
    ]
}

/// Any two words.
pub fn double_word() -> impl Strategy<Value = u32> {
    (word(), word()).prop_map(|(high, low)| u32::from(high) << 16 | u32::from(low))
}

/// Any IP address, with those at the edges of one's complement more often.
pub fn ip<A: Family>() -> impl Strategy<Value = A> {
    let words = prop::collection::vec(word(), 8).prop_map(|words| {
        words
            .iter()
            .fold(0, |ip, &word| ip << 16 | u128::from(word))
    });
    prop_oneof![
        4 => any::<A>(),
        4 => words.prop_map(A::from_number),
        1 => Just(A::from_number(0)),
        1 => Just(A::from_number(u128::MAX)),
    ]
}

/// Any address, with those at the edges of one's complement more often.
pub fn address<A: Family>() -> impl Strategy<Value = SocketAddress<A>> {
    let port = prop_oneof![4 => any::<u16>(), 1 => Just(0), 1 => Just(0xffff)];
    (ip(), port).prop_map(|(ip, port)| SocketAddress::new(ip, port))
}

/// Any packet with right checksums.
pub fn packet<A: Family>() -> impl Strategy<Value = Packet<A>> {
    packet_with(words(0..=10))
}

/// A packet with right checksums and these TCP options.
pub fn packet_with<A: Family>(
    options: impl Strategy<Value = Vec<u8>>,
) -> impl Strategy<Value = Packet<A>> {
    (
        (any::<A::Header>(), ip::<A>(), ip::<A>()),
        words(0..=A::IP_OPTIONS),
        any::<TcpHeader>(),
        options,
        prop::collection::vec(any::<u8>(), 0..100),
    )
        .prop_map(
            |((mut ip, source, destination), ip_options, tcp, options, payload)| {
                ip.as_mut()[A::SOURCE].copy_from_slice(source.as_ref());
                ip.as_mut()[A::DESTINATION].copy_from_slice(destination.as_ref());
                Packet {
                    ip,
                    ip_options,
                    tcp,
                    options,
                    payload,
                }
                .complete()
            },
        )
}

fn words(count: impl Into<SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<[u8; 4]>(), count).prop_map(|words| words.concat())
}
