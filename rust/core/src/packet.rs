// SPDX-License-Identifier: GPL-2.0

//! Reading and translating the headers of a packet.
//!
//! Only the fixed parts of headers are here, so nothing depends on lengths
//! that a packet claims: whoever calls has these bytes, options or not.

use super::address::{Address, Ipv4Address, Ipv6Address, SocketAddress};
use super::checksum::{self, ChecksumState, Sum};
use super::field::Field;
use super::tuple::Tuple;

/// The fixed part of an IPv4 header.
pub type Ipv4Header = [u8; 20];
/// An IPv6 header.
pub type Ipv6Header = [u8; 40];
/// The fixed part of a TCP header.
pub type TcpHeader = [u8; 20];

/// `IPPROTO_TCP` of `include/uapi/linux/in.h`.
const PROTOCOL_TCP: u8 = 6;

const TOTAL_LEN: Field<2, 2> = Field;
const FRAGMENT: Field<6, 2> = Field;
const IP_CHECK: Field<10, 2> = Field;
const SOURCE_IP: Field<12, 4> = Field;
const DESTINATION_IP: Field<16, 4> = Field;

const SOURCE_IPV6: Field<8, 16> = Field;
const DESTINATION_IPV6: Field<24, 16> = Field;

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

/// The fixed part of an IP header, of either family.
pub trait Header: Copy + Send + Sync + 'static {
    /// The family's addresses.
    type Address: Address<Header = Self>;

    /// The header of a packet with nothing but a TCP header, as the kernel
    /// makes it: don't fragment, time to live 64. Its checksum is filled.
    fn of_bare_segment(source: Self::Address, destination: Self::Address) -> Self;

    /// The address that the packet comes from.
    fn source(&self) -> Self::Address;

    /// The address that the packet goes to.
    fn destination(&self) -> Self::Address;

    /// Replaces the source, and keeps the header's checksum, if there is one, as
    /// right as it was.
    fn set_source(&mut self, to: Self::Address);

    /// Replaces the destination, and keeps the header's checksum, if there is
    /// one, as right as it was.
    fn set_destination(&mut self, to: Self::Address);

    /// The bytes that the header claims to have: of IPv4 with its options, of
    /// IPv6 without extension headers.
    fn header_len(&self) -> usize;

    /// The number of the protocol that the header says comes next. With IPv6
    /// that may be an extension header.
    fn protocol(&self) -> u8;

    /// Whether a TCP header comes next: other protocols, and later fragments,
    /// which an ICMP error may quote, have something else there.
    fn has_tcp_header(&self) -> bool;

    /// Whether a TCP header comes next, and the packet is no part of a larger
    /// one that has yet to be put together.
    fn is_whole_segment(&self) -> bool;
}

impl Header for Ipv4Header {
    type Address = Ipv4Address;

    fn of_bare_segment(source: Ipv4Address, destination: Ipv4Address) -> Self {
        // Version 4, five words of header, 40 bytes in all.
        let mut header = [
            0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        SOURCE_IP.set(&mut header, source);
        DESTINATION_IP.set(&mut header, destination);
        let check = Sum::ZERO.add_bytes(&header).to_field();
        IP_CHECK.set(&mut header, check);
        header
    }

    #[inline]
    fn source(&self) -> Ipv4Address {
        SOURCE_IP.get(self)
    }

    #[inline]
    fn destination(&self) -> Ipv4Address {
        DESTINATION_IP.get(self)
    }

    #[inline]
    fn set_source(&mut self, to: Ipv4Address) {
        let from = SOURCE_IP.get(self);
        SOURCE_IP.set(self, to);
        update_ip_checksum(self, from, to);
    }

    #[inline]
    fn set_destination(&mut self, to: Ipv4Address) {
        let from = DESTINATION_IP.get(self);
        DESTINATION_IP.set(self, to);
        update_ip_checksum(self, from, to);
    }

    #[inline]
    fn header_len(&self) -> usize {
        usize::from((self[0] & 0x0f) << 2)
    }

    #[inline]
    fn protocol(&self) -> u8 {
        self[9]
    }

    #[inline]
    fn has_tcp_header(&self) -> bool {
        self.protocol() == PROTOCOL_TCP && u16::from_be_bytes(FRAGMENT.get(self)) & 0x1fff == 0
    }

    #[inline]
    fn is_whole_segment(&self) -> bool {
        self.protocol() == PROTOCOL_TCP && u16::from_be_bytes(FRAGMENT.get(self)) & 0x3fff == 0
    }
}

impl Header for Ipv6Header {
    type Address = Ipv6Address;

    fn of_bare_segment(source: Ipv6Address, destination: Ipv6Address) -> Self {
        let mut header = [0; 40];
        // Version 6, 20 bytes of payload.
        header[0] = 0x60;
        header[5] = 20;
        header[6] = PROTOCOL_TCP;
        header[7] = 64;
        SOURCE_IPV6.set(&mut header, source);
        DESTINATION_IPV6.set(&mut header, destination);
        header
    }

    #[inline]
    fn source(&self) -> Ipv6Address {
        SOURCE_IPV6.get(self)
    }

    #[inline]
    fn destination(&self) -> Ipv6Address {
        DESTINATION_IPV6.get(self)
    }

    #[inline]
    fn set_source(&mut self, to: Ipv6Address) {
        SOURCE_IPV6.set(self, to);
    }

    #[inline]
    fn set_destination(&mut self, to: Ipv6Address) {
        DESTINATION_IPV6.set(self, to);
    }

    #[inline]
    fn header_len(&self) -> usize {
        size_of::<Self>()
    }

    #[inline]
    fn protocol(&self) -> u8 {
        self[6]
    }

    #[inline]
    fn has_tcp_header(&self) -> bool {
        self.protocol() == PROTOCOL_TCP
    }

    #[inline]
    fn is_whole_segment(&self) -> bool {
        self.has_tcp_header()
    }
}

/// Both ends of the packet's connection.
#[inline]
pub fn tuple<H: Header>(ip: &H, tcp: &TcpHeader) -> Tuple<H::Address> {
    Tuple {
        source_ip: ip.source(),
        destination_ip: ip.destination(),
        source_port: SOURCE_PORT.get(tcp),
        destination_port: DESTINATION_PORT.get(tcp),
    }
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

/// The bytes that the packet claims to have, IP header included; 0 in packets
/// of more than 64 KiB, which exist between two parts of one computer.
#[inline]
pub fn total_len(ip: &Ipv4Header) -> u16 {
    u16::from_be_bytes(TOTAL_LEN.get(ip))
}

/// Makes `to` the packet's source and keeps both checksums as right as they
/// were; returns what the kernel is to know of TCP's from now on.
#[inline]
pub fn rewrite_source<H: Header>(
    ip: &mut H,
    tcp: &mut TcpHeader,
    to: SocketAddress<H::Address>,
    state: ChecksumState,
) -> ChecksumState {
    let from = SocketAddress {
        ip: ip.source(),
        port: SOURCE_PORT.get(tcp),
    };
    ip.set_source(to.ip);
    SOURCE_PORT.set(tcp, to.port);
    update_tcp_checksum(tcp, from, to, state)
}

/// Makes `to` the packet's destination and keeps both checksums as right as
/// they were; returns what the kernel is to know of TCP's from now on.
#[inline]
pub fn rewrite_destination<H: Header>(
    ip: &mut H,
    tcp: &mut TcpHeader,
    to: SocketAddress<H::Address>,
    state: ChecksumState,
) -> ChecksumState {
    let from = SocketAddress {
        ip: ip.destination(),
        port: DESTINATION_PORT.get(tcp),
    };
    ip.set_destination(to.ip);
    DESTINATION_PORT.set(tcp, to.port);
    update_tcp_checksum(tcp, from, to, state)
}

/// Both ends of the connection whose packet an ICMP error quotes, of which 8
/// bytes beyond the IP header are all that must be there.
///
/// That these are TCP's is for the caller to know.
#[inline]
pub fn quoted_tuple<H: Header>(ip: &H, tcp: &[u8; 8]) -> Tuple<H::Address> {
    Tuple {
        source_ip: ip.source(),
        destination_ip: ip.destination(),
        source_port: SOURCE_PORT.get(tcp),
        destination_port: DESTINATION_PORT.get(tcp),
    }
}

/// Makes `to` the source of the packet that an ICMP error quotes.
///
/// The quoted TCP checksum stays: it lies beyond these 8 bytes and nobody
/// checks it. So does the error's own, which ICMP checked before it called.
#[inline]
pub fn rewrite_quoted_source<H: Header>(
    ip: &mut H,
    tcp: &mut [u8; 8],
    to: SocketAddress<H::Address>,
) {
    ip.set_source(to.ip);
    SOURCE_PORT.set(tcp, to.port);
}

#[inline]
fn update_ip_checksum(ip: &mut Ipv4Header, from: Ipv4Address, to: Ipv4Address) {
    let check = checksum::replace4(IP_CHECK.get(ip), from, to);
    IP_CHECK.set(ip, check);
}

/// `inet_proto_csum_replace4()`, or `inet_proto_csum_replace16()`, for the
/// address, a part of the pseudo-header, and `inet_proto_csum_replace2()` for
/// the port, which is none, in one step.
#[inline]
fn update_tcp_checksum<A: Address>(
    tcp: &mut TcpHeader,
    from: SocketAddress<A>,
    to: SocketAddress<A>,
    state: ChecksumState,
) -> ChecksumState {
    let address = to.ip.sum().sub(from.ip.sum());
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
