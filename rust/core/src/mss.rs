// SPDX-License-Identifier: GPL-2.0

//! The maximum segment size that a SYN offers (RFC 9293, section 3.7.1).

use super::checksum::{self, ChecksumState};
use super::options;
use super::packet::{self, TcpFlags, TcpHeader, TCP_CHECK};

const MSS: u8 = 2;
const MSS_LEN: u8 = 4;

/// Lowers the MSS option of a SYN or SYN-ACK to `mss` if it is larger, and
/// returns whether it changed something.
///
/// `options` is what follows the header's fixed part; what exceeds the
/// header's length is left alone. A SYN without the option stays without: its
/// sender means 536.
///
/// The checksum in `tcp` follows, but for a partial one, which has nothing of
/// the options in it. A complete segment's `csum` needs no change, as option
/// and field cancel each other in it.
#[inline]
pub fn clamp_mss(tcp: &mut TcpHeader, options: &mut [u8], mss: u16, state: ChecksumState) -> bool {
    if !packet::flags(tcp).has(TcpFlags::SYN) {
        return false;
    }
    let end = packet::data_offset(tcp)
        .saturating_sub(tcp.len())
        .min(options.len());
    let Some(options) = options.get_mut(..end) else {
        return false;
    };
    let mut changed = false;
    let mut at: usize = 0;
    while let Some(next) = options::end_of(options, at) {
        let Some(option) = options.get_mut(at..next) else {
            break;
        };
        // TCP takes the last of several, so none may remain too large.
        if let [MSS, MSS_LEN, high, low] = option {
            let from = [*high, *low];
            if u16::from_be_bytes(from) > mss {
                let to = mss.to_be_bytes();
                [*high, *low] = to;
                if state != ChecksumState::Partial {
                    let check = replace_at(TCP_CHECK.get(tcp), at, from, to);
                    TCP_CHECK.set(tcp, check);
                }
                changed = true;
            }
        }
        at = next;
    }
    changed
}

/// [`checksum::replace2`] for a field at any offset: at an odd one each of its
/// bytes is the other half of its word.
#[inline]
fn replace_at(check: [u8; 2], at: usize, mut from: [u8; 2], mut to: [u8; 2]) -> [u8; 2] {
    if at & 1 == 1 {
        from.reverse();
        to.reverse();
    }
    checksum::replace2(check, from, to)
}
