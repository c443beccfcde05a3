// SPDX-License-Identifier: GPL-2.0

//! Reading and translating the headers of a packet.
//!
//! Only the fixed parts of headers are here, so nothing depends on lengths
//! that a packet claims: whoever calls has these bytes, options or not.

use super::address::SocketAddress;
use super::checksum::{self, ChecksumState, Sum};
use super::field::Field;
use super::tuple::Tuple;

/// The fixed part of an IPv4 header.
pub type Ipv4Header = [u8; 20];
/// The fixed part of a TCP header.
pub type TcpHeader = [u8; 20];

/// `IPPROTO_TCP` of `include/uapi/linux/in.h`.
const PROTOCOL_TCP: u8 = 6;

const TOTAL_LEN: Field<2, 2> = Field;
const FRAGMENT: Field<6, 2> = Field;
pub(super) const IP_CHECK: Field<10, 2> = Field;
pub(super) const SOURCE_IP: Field<12, 4> = Field;
pub(super) const DESTINATION_IP: Field<16, 4> = Field;

pub(super) const SOURCE_PORT: Field<0, 2> = Field;
pub(super) const DESTINATION_PORT: Field<2, 2> = Field;
pub(super) const SEQUENCE: Field<4, 4> = Field;
pub(super) const ACKNOWLEDGMENT: Field<8, 4> = Field;
pub(super) const CONTROL: Field<13, 1> = Field;
pub(super) const TCP_CHECK: Field<16, 2> = Field;

/// The control bits of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// The sender has no more data.
    pub const FIN: Self = Self(0x01);
    /// The sender asks for a connection or agrees to one.
    pub const SYN: Self = Self(0x02);
    /// The connection is to be reset.
    pub const RST: Self = Self(0x04);
    /// Data for the application now.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment number counts.
    pub const ACK: Self = Self(0x10);

    /// Whether all bits of `flags` are set.
    #[inline]
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether the segment asks for a connection: SYN without ACK, RST or FIN,
    /// which is what a listener accepts, whatever the remaining bits say.
    #[inline]
    pub const fn is_syn_only(self) -> bool {
        const OF_INTEREST: u8 =
            TcpFlags::SYN.0 | TcpFlags::ACK.0 | TcpFlags::RST.0 | TcpFlags::FIN.0;
        self.0 & OF_INTEREST == Self::SYN.0
    }
}

/// Both ends of the packet's connection.
#[inline]
pub fn tuple(ip: &Ipv4Header, tcp: &TcpHeader) -> Tuple {
    Tuple {
        source_ip: SOURCE_IP.get(ip),
        destination_ip: DESTINATION_IP.get(ip),
        source_port: SOURCE_PORT.get(tcp),
        destination_port: DESTINATION_PORT.get(tcp),
    }
}

/// The address that the packet comes from.
#[inline]
pub fn source(ip: &Ipv4Header) -> [u8; 4] {
    SOURCE_IP.get(ip)
}

/// The address that the packet goes to.
#[inline]
pub fn destination(ip: &Ipv4Header) -> [u8; 4] {
    DESTINATION_IP.get(ip)
}

/// The port that the segment goes to, in network byte order.
#[inline]
pub fn destination_port(tcp: &TcpHeader) -> [u8; 2] {
    DESTINATION_PORT.get(tcp)
}

/// The segment's control bits.
#[inline]
pub fn flags(tcp: &TcpHeader) -> TcpFlags {
    let [control] = CONTROL.get(tcp);
    TcpFlags(control)
}

/// The bytes that the segment's header claims to have; nobody checked that
/// they are at least 20, nor that the packet has them.
#[inline]
pub fn data_offset(tcp: &TcpHeader) -> usize {
    // Four bits, counting words of four bytes.
    usize::from((tcp[12] & 0xf0) >> 2)
}

/// The segment's sequence number.
#[inline]
pub fn sequence(tcp: &TcpHeader) -> u32 {
    u32::from_be_bytes(SEQUENCE.get(tcp))
}

/// The segment's acknowledgment number, which counts if ACK is set.
#[inline]
pub fn acknowledgment(tcp: &TcpHeader) -> u32 {
    u32::from_be_bytes(ACKNOWLEDGMENT.get(tcp))
}

/// The bytes that the packet's IP header claims to have, options included.
#[inline]
pub fn ip_header_len(ip: &Ipv4Header) -> usize {
    usize::from((ip[0] & 0x0f) << 2)
}

/// The bytes that the packet claims to have, IP header included; 0 in packets
/// of more than 64 KiB, which exist between two parts of one computer.
#[inline]
pub fn total_len(ip: &Ipv4Header) -> u16 {
    u16::from_be_bytes(TOTAL_LEN.get(ip))
}

/// The number of the protocol that the packet carries.
#[inline]
pub fn protocol(ip: &Ipv4Header) -> u8 {
    ip[9]
}

/// Whether the payload starts with a TCP header: other protocols, and later
/// fragments, which an ICMP error may quote, have something else there.
#[inline]
pub fn has_tcp_header(ip: &Ipv4Header) -> bool {
    protocol(ip) == PROTOCOL_TCP && u16::from_be_bytes(FRAGMENT.get(ip)) & 0x1fff == 0
}

/// Whether the packet carries TCP and is no part of a larger one that has yet
/// to be put together.
#[inline]
pub fn is_whole_segment(ip: &Ipv4Header) -> bool {
    protocol(ip) == PROTOCOL_TCP && u16::from_be_bytes(FRAGMENT.get(ip)) & 0x3fff == 0
}

/// Makes `to` the packet's source and keeps both checksums as right as they
/// were; returns what the kernel is to know of TCP's from now on.
#[inline]
pub fn rewrite_source(
    ip: &mut Ipv4Header,
    tcp: &mut TcpHeader,
    to: SocketAddress,
    state: ChecksumState,
) -> ChecksumState {
    let from = SocketAddress {
        ip: SOURCE_IP.get(ip),
        port: SOURCE_PORT.get(tcp),
    };
    SOURCE_IP.set(ip, to.ip);
    SOURCE_PORT.set(tcp, to.port);
    update_checksums(ip, tcp, from, to, state)
}

/// Makes `to` the packet's destination and keeps both checksums as right as
/// they were; returns what the kernel is to know of TCP's from now on.
#[inline]
pub fn rewrite_destination(
    ip: &mut Ipv4Header,
    tcp: &mut TcpHeader,
    to: SocketAddress,
    state: ChecksumState,
) -> ChecksumState {
    let from = SocketAddress {
        ip: DESTINATION_IP.get(ip),
        port: DESTINATION_PORT.get(tcp),
    };
    DESTINATION_IP.set(ip, to.ip);
    DESTINATION_PORT.set(tcp, to.port);
    update_checksums(ip, tcp, from, to, state)
}

/// Both ends of the connection whose packet an ICMP error quotes, of which 8
/// bytes beyond the IP header are all that must be there.
///
/// Ask [`has_tcp_header`] first.
#[inline]
pub fn quoted_tuple(ip: &Ipv4Header, tcp: &[u8; 8]) -> Tuple {
    Tuple {
        source_ip: SOURCE_IP.get(ip),
        destination_ip: DESTINATION_IP.get(ip),
        source_port: SOURCE_PORT.get(tcp),
        destination_port: DESTINATION_PORT.get(tcp),
    }
}

/// Makes `to` the source of the packet that an ICMP error quotes.
///
/// The quoted TCP checksum stays: it lies beyond these 8 bytes and nobody
/// checks it. So does the error's own, which ICMP checked before it called.
#[inline]
pub fn rewrite_quoted_source(ip: &mut Ipv4Header, tcp: &mut [u8; 8], to: SocketAddress) {
    let from = SOURCE_IP.get(ip);
    SOURCE_IP.set(ip, to.ip);
    SOURCE_PORT.set(tcp, to.port);
    update_ip_checksum(ip, from, to.ip);
}

#[inline]
fn update_ip_checksum(ip: &mut Ipv4Header, from: [u8; 4], to: [u8; 4]) {
    let check = checksum::replace4(IP_CHECK.get(ip), from, to);
    IP_CHECK.set(ip, check);
}

/// `inet_proto_csum_replace4()` for the address, a part of the pseudo-header,
/// and `inet_proto_csum_replace2()` for the port, which is none, in one step.
#[inline]
fn update_checksums(
    ip: &mut Ipv4Header,
    tcp: &mut TcpHeader,
    from: SocketAddress,
    to: SocketAddress,
    state: ChecksumState,
) -> ChecksumState {
    update_ip_checksum(ip, from.ip, to.ip);

    let address = Sum::ZERO.add4(to.ip).sub(Sum::ZERO.add4(from.ip));
    let check = TCP_CHECK.get(tcp);
    if state == ChecksumState::Partial {
        TCP_CHECK.set(tcp, checksum::replace_partial_by(check, address));
        return state;
    }
    let port = Sum::ZERO.add2(to.port).sub(Sum::ZERO.add2(from.port));
    TCP_CHECK.set(tcp, checksum::replace_by(check, address.add(port)));
    match state {
        // Port and field cancel each other in the sum of header and payload;
        // the address is not in it, so what the field lost for it remains.
        ChecksumState::Complete(csum) => {
            let rest = Sum::from_csum(csum).negated().add(address);
            ChecksumState::Complete(rest.negated().to_csum())
        }
        other => other,
    }
}
