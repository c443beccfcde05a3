// SPDX-License-Identifier: GPL-2.0

//! The answer to a segment that nobody takes (RFC 9293, section 3.10.7.1).

use super::checksum::{self, Sum};
use super::field::Field;
use super::packet::{self, Ipv4Header, TcpFlags, TcpHeader};

const IP: Field<0, 20> = Field;
const TCP: Field<20, 20> = Field;

/// Version 4, five words of header, 40 bytes in all, don't fragment, time to
/// live 64, TCP; addresses and checksum to be filled in.
const IP_HEADER: Ipv4Header = [
    0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// Five words of header; all else to be filled in or rightly zero.
const TCP_HEADER: TcpHeader = [
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0, 0, 0, 0, 0, 0, 0,
];

/// The reset that answers a segment to a closed port, checksums filled; `None`
/// if the segment is a reset itself.
///
/// `payload_len` counts the segment's data bytes; its SYN and FIN are counted
/// here. Whether the sender is one to answer, and the segment's checksum right,
/// is for the caller to know.
pub fn reset(ip: &Ipv4Header, tcp: &TcpHeader, payload_len: u32) -> Option<[u8; 40]> {
    let flags = packet::flags(tcp);
    if flags.has(TcpFlags::RST) {
        return None;
    }
    let (sequence, acknowledgment, control) = if flags.has(TcpFlags::ACK) {
        (packet::acknowledgment(tcp), 0, TcpFlags::RST.0)
    } else {
        let end = packet::sequence(tcp)
            .wrapping_add(payload_len)
            .wrapping_add(flags.has(TcpFlags::SYN).into())
            .wrapping_add(flags.has(TcpFlags::FIN).into());
        (0, end, TcpFlags::RST.0 | TcpFlags::ACK.0)
    };
    let answer = packet::tuple(ip, tcp).reversed();

    let mut ip = IP_HEADER;
    packet::SOURCE_IP.set(&mut ip, answer.source_ip);
    packet::DESTINATION_IP.set(&mut ip, answer.destination_ip);
    let check = Sum::ZERO.add_bytes(&ip).to_field();
    packet::IP_CHECK.set(&mut ip, check);

    let mut tcp = TCP_HEADER;
    packet::SOURCE_PORT.set(&mut tcp, answer.source_port);
    packet::DESTINATION_PORT.set(&mut tcp, answer.destination_port);
    packet::SEQUENCE.set(&mut tcp, sequence.to_be_bytes());
    packet::ACKNOWLEDGMENT.set(&mut tcp, acknowledgment.to_be_bytes());
    packet::CONTROL.set(&mut tcp, [control]);
    let check = checksum::pseudo_header(answer.source_ip, answer.destination_ip, 20)
        .add_bytes(&tcp)
        .to_field();
    packet::TCP_CHECK.set(&mut tcp, check);

    let mut packet = [0; 40];
    IP.set(&mut packet, ip);
    TCP.set(&mut packet, tcp);
    Some(packet)
}
