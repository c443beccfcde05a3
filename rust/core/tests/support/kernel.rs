// SPDX-License-Identifier: GPL-2.0

//! The kernel's checksum arithmetic, line by line: `include/net/checksum.h`,
//! `include/asm-generic/checksum.h`, `lib/checksum.c` and `net/core/utils.c`.

/// The fields of a packet that a checksum's update reads or changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SkBuff {
    pub ip_summed: u8,
    pub csum: u32,
}

pub const CHECKSUM_NONE: u8 = 0;
pub const CHECKSUM_COMPLETE: u8 = 2;
pub const CHECKSUM_PARTIAL: u8 = 3;

pub fn csum_add(csum: u32, addend: u32) -> u32 {
    let res = csum.wrapping_add(addend);
    res.wrapping_add(u32::from(res < addend))
}

pub fn csum_sub(csum: u32, addend: u32) -> u32 {
    csum_add(csum, !addend)
}

pub fn csum_fold(csum: u32) -> u16 {
    let mut sum = csum;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    !sum as u16
}

pub fn csum_unfold(n: u16) -> u32 {
    u32::from(n)
}

pub fn csum16_add(csum: u16, addend: u16) -> u16 {
    let res = csum.wrapping_add(addend);
    res.wrapping_add(u16::from(res < addend))
}

pub fn csum16_sub(csum: u16, addend: u16) -> u16 {
    csum16_add(csum, !addend)
}

pub fn csum_replace2(sum: u16, old: u16, new: u16) -> u16 {
    !csum16_add(csum16_sub(!sum, old), new)
}

pub fn csum_replace4(sum: u16, from: u32, to: u32) -> u16 {
    let tmp = csum_sub(!csum_unfold(sum), from);
    csum_fold(csum_add(tmp, to))
}

pub fn csum_replace_by_diff(sum: u16, diff: u32) -> u16 {
    csum_fold(csum_add(diff, !csum_unfold(sum)))
}

pub fn replace_partial(sum: u16, from: u32, to: u32) -> u16 {
    !csum_fold(csum_add(csum_sub(csum_unfold(sum), from), to))
}

fn csum_from32to16(sum: u32) -> u16 {
    let sum = sum.wrapping_add(sum.rotate_left(16));
    (sum >> 16) as u16
}

/// Without the cases of odd addresses and of lengths that are not whole words.
fn do_csum(buff: &[u32]) -> u16 {
    let mut result: u32 = 0;
    let mut carry = 0;
    for &w in buff {
        result = result.wrapping_add(carry);
        result = result.wrapping_add(w);
        carry = u32::from(w > result);
    }
    result = result.wrapping_add(carry);
    result = (result & 0xffff) + (result >> 16);
    csum_from32to16(result)
}

pub fn csum_partial(buff: &[u32], wsum: u32) -> u32 {
    let mut result = u32::from(do_csum(buff));
    result = result.wrapping_add(wsum);
    if wsum > result {
        result = result.wrapping_add(1);
    }
    result
}

pub fn inet_proto_csum_replace4(
    sum: &mut u16,
    skb: &mut SkBuff,
    from: u32,
    to: u32,
    pseudohdr: bool,
) {
    if skb.ip_summed != CHECKSUM_PARTIAL {
        *sum = csum_replace4(*sum, from, to);
        if skb.ip_summed == CHECKSUM_COMPLETE && pseudohdr {
            skb.csum = !csum_add(csum_sub(!skb.csum, from), to);
        }
    } else if pseudohdr {
        *sum = replace_partial(*sum, from, to);
    }
}

pub fn inet_proto_csum_replace16(
    sum: &mut u16,
    skb: &mut SkBuff,
    from: [u32; 4],
    to: [u32; 4],
    pseudohdr: bool,
) {
    let diff = [
        !from[0], !from[1], !from[2], !from[3], to[0], to[1], to[2], to[3],
    ];
    if skb.ip_summed != CHECKSUM_PARTIAL {
        *sum = csum_fold(csum_partial(&diff, !csum_unfold(*sum)));
    } else if pseudohdr {
        *sum = !csum_fold(csum_partial(&diff, csum_unfold(*sum)));
    }
}

pub fn inet_proto_csum_replace2(
    sum: &mut u16,
    skb: &mut SkBuff,
    from: u16,
    to: u16,
    pseudohdr: bool,
) {
    inet_proto_csum_replace4(sum, skb, from.into(), to.into(), pseudohdr);
}
