// SPDX-License-Identifier: GPL-2.0

//! Packets to test with, and arithmetic that shares nothing with the crate's:
//! sums are taken over all bytes, as big-endian words, with no carry trick.
// Each test is a crate of its own and uses a part of this.
#![allow(dead_code)]

use proptest::prelude::*;
use proptest::sample::SizeRange;
use tcp_dispatch_core::packet::{Ipv4Header, TcpHeader};
use tcp_dispatch_core::SocketAddress;

/// An IPv4 packet with a TCP segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// The fixed part of the IP header.
    pub ip: Ipv4Header,
    /// The rest of the IP header, whole words.
    pub ip_options: Vec<u8>,
    /// The fixed part of the TCP header.
    pub tcp: TcpHeader,
    /// The rest of the TCP header, whole words.
    pub options: Vec<u8>,
    /// The segment's data.
    pub payload: Vec<u8>,
}

impl Packet {
    /// Makes the lengths true, the protocol TCP and both checksums right.
    pub fn complete(mut self) -> Self {
        self.ip[0] = 0x40 | (5 + self.ip_options.len() / 4) as u8;
        let len = (20 + self.ip_options.len()) as u16 + self.segment_len();
        self.ip[2..4].copy_from_slice(&len.to_be_bytes());
        self.ip[9] = 6;
        self.tcp[12] = (((5 + self.options.len() / 4) as u8) << 4) | (self.tcp[12] & 0x0f);
        self.ip[10..12].fill(0);
        let check = !self.ip_sum();
        self.ip[10..12].copy_from_slice(&check.to_be_bytes());
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

    /// Whether a receiver would take both checksums for right.
    pub fn is_valid(&self) -> bool {
        self.ip_sum() == 0xffff && self.segment_sum_with_pseudo_header() == 0xffff
    }

    /// TCP header and payload.
    pub fn segment(&self) -> Vec<u8> {
        [&self.tcp[..], &self.options, &self.payload].concat()
    }

    /// The length of TCP header and payload.
    pub fn segment_len(&self) -> u16 {
        self.segment().len() as u16
    }

    /// The sum of the IP header, 0xffff if it is right.
    pub fn ip_sum(&self) -> u16 {
        sum(&[&self.ip[..], &self.ip_options].concat())
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
        let len = self.segment_len().to_be_bytes();
        [&self.ip[12..20], &[0, 6], &len].concat()
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

/// Any address, with those at the edges of one's complement more often.
pub fn address() -> impl Strategy<Value = SocketAddress> {
    let ip = prop_oneof![
        4 => any::<[u8; 4]>(),
        1 => Just([0; 4]),
        1 => Just([0xff; 4]),
    ];
    let port = prop_oneof![4 => any::<u16>(), 1 => Just(0), 1 => Just(0xffff)];
    (ip, port).prop_map(|(ip, port)| SocketAddress::new(ip, port))
}

/// Any packet with right checksums.
pub fn packet() -> impl Strategy<Value = Packet> {
    packet_with(words(0..=10))
}

/// A packet with right checksums and these TCP options.
pub fn packet_with(options: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Packet> {
    (
        any::<Ipv4Header>(),
        words(0..=10),
        any::<TcpHeader>(),
        options,
        prop::collection::vec(any::<u8>(), 0..100),
    )
        .prop_map(|(ip, ip_options, tcp, options, payload)| {
            Packet {
                ip,
                ip_options,
                tcp,
                options,
                payload,
            }
            .complete()
        })
}

fn words(count: impl Into<SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<[u8; 4]>(), count).prop_map(|words| words.concat())
}
