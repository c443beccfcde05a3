// SPDX-License-Identifier: GPL-2.0

//! Fields of headers: reading and writing that can't be out of bounds.

/// A field of `LEN` bytes, `AT` bytes from the header's start.
#[derive(Clone, Copy)]
pub(super) struct Field<const AT: usize, const LEN: usize>;

impl<const AT: usize, const LEN: usize> Field<AT, LEN> {
    /// The field's bytes; a header too short for it does not compile.
    #[inline]
    pub(super) fn get<const N: usize>(self, header: &[u8; N]) -> [u8; LEN] {
        const { assert!(AT <= N && LEN <= N && AT.wrapping_add(LEN) <= N) };
        let mut bytes = [0; LEN];
        if let Some(field) = header.get(AT..AT.wrapping_add(LEN)) {
            bytes.copy_from_slice(field);
        }
        bytes
    }

    /// Replaces the field's bytes; a header too short for it does not compile.
    #[inline]
    pub(super) fn set<const N: usize>(self, header: &mut [u8; N], bytes: [u8; LEN]) {
        const { assert!(AT <= N && LEN <= N && AT.wrapping_add(LEN) <= N) };
        if let Some(field) = header.get_mut(AT..AT.wrapping_add(LEN)) {
            field.copy_from_slice(&bytes);
        }
    }
}
