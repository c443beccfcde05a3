// SPDX-License-Identifier: GPL-2.0

//! The answer to a segment that nobody takes (RFC 9293, section 3.10.7.1).

use super::checksum;
use super::packet::{self, Header, TcpFlags, TcpHeader};

/// Five words of header; all else to be filled in or rightly zero.
const TCP_HEADER: TcpHeader = [
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0, 0, 0, 0, 0, 0, 0,
];

/// The headers of the reset that answers a segment to a closed port, checksums filled; `None`
/// if the segment is a reset itself.
///
/// `payload_len` counts the segment's data bytes; its SYN and FIN are counted
/// here. Whether the sender is one to answer, and the segment's checksum right,
/// is for the caller to know.
pub fn reset<H: Header>(ip: &H, tcp: &TcpHeader, payload_len: u32) -> Option<(H, TcpHeader)> {
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

    let ip = H::of_bare_segment(answer.source_ip, answer.destination_ip);
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

    Some((ip, tcp))
}
