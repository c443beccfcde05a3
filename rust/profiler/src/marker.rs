// SPDX-License-Identifier: GPL-2.0

//! The instructions that begin and end a window.

/// `nopl disp32(%rax)`: it accesses no memory, and no compiler makes one with these numbers.
const NOP: [u8; 3] = [0x0f, 0x1f, 0x80];

/// The `disp32` of the instruction that begins a window.
const BEGIN: u32 = 0x7463_7001;

/// The `disp32` of the instruction that ends one.
const END: u32 = 0x7463_7002;

/// How long a marker is.
const LENGTH: usize = 7;

/// What an instruction does to the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// Begins it, again if it was begun.
    Begin,
    /// Ends it.
    End,
}

impl Marker {
    /// The marker that the bytes of an instruction are.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; LENGTH] = bytes.try_into().ok()?;
        let [a, b, c, number @ ..] = bytes;
        if [a, b, c] != NOP {
            return None;
        }
        match u32::from_le_bytes(number) {
            BEGIN => Some(Self::Begin),
            END => Some(Self::End),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_no_ops_are_markers() {
        let begin = [0x0f, 0x1f, 0x80, 0x01, 0x70, 0x63, 0x74];
        let end = [0x0f, 0x1f, 0x80, 0x02, 0x70, 0x63, 0x74];
        assert_eq!(Marker::of(&begin), Some(Marker::Begin));
        assert_eq!(Marker::of(&end), Some(Marker::End));
    }

    #[test]
    fn the_compilers_no_ops_and_longer_instructions_are_none() {
        assert_eq!(Marker::of(&[0x0f, 0x1f, 0x80, 0, 0, 0, 0]), None);
        assert_eq!(
            Marker::of(&[0x0f, 0x1f, 0x81, 0x01, 0x70, 0x63, 0x74]),
            None
        );
        assert_eq!(
            Marker::of(&[0x0f, 0x1f, 0x80, 0x01, 0x70, 0x63, 0x74, 0x90]),
            None
        );
        assert_eq!(Marker::of(&[0x90]), None);
    }
}
