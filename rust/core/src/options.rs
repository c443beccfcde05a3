// SPDX-License-Identifier: GPL-2.0

//! TCP's options (RFC 9293, section 3.1), and those that are asked for.

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const TIMESTAMPS: u8 = 8;
const TIMESTAMPS_LEN: u8 = 10;
const MD5_SIGNATURE: u8 = 19;
const AUTHENTICATION: u8 = 29;

/// Where the option at `at` ends, if there is a whole one. Reading ends where TCP's does: at the end
/// of the list or an option whose length can't be true.
#[inline]
pub(crate) fn end_of(options: &[u8], at: usize) -> Option<usize> {
    let len = match (options.get(at)?, options.get(at.saturating_add(1))) {
        (&NO_OPERATION, _) => 1,
        (&kind, Some(&len)) if kind != END && len >= 2 => usize::from(len),
        _ => return None,
    };
    let end = at.saturating_add(len);
    (end <= options.len()).then_some(end)
}

/// Each option, with its kind and length.
fn each(options: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = 0;
    core::iter::from_fn(move || {
        let end = end_of(options, at)?;
        let option = options.get(at..end);
        at = end;
        option
    })
}

/// The sender's timestamp (TSval of RFC 7323); of several the last, as TCP takes it.
pub fn timestamp(options: &[u8]) -> Option<u32> {
    let timestamps = each(options).filter_map(|option| match option {
        &[TIMESTAMPS, TIMESTAMPS_LEN, a, b, c, d, ..] => Some(u32::from_be_bytes([a, b, c, d])),
        _ => None,
    });
    timestamps.last()
}

/// Whether the segment is signed, by TCP-MD5 (RFC 2385) or TCP-AO (RFC 5925).
pub fn is_signed(options: &[u8]) -> bool {
    each(options).any(|option| matches!(option, [MD5_SIGNATURE | AUTHENTICATION, _, ..]))
}
