// SPDX-License-Identifier: GPL-2.0

//! TCP's options, against a list of them that is written down and read back.

use proptest::collection::vec;
use proptest::prelude::*;
use tcp_dispatch_core::options::{is_signed, timestamp};

#[derive(Clone, Debug)]
enum Part {
    NoOperation,
    Timestamps(u32, u32),
    Signature(u8, Vec<u8>),
    Other(u8, Vec<u8>),
}

fn part() -> impl Strategy<Value = Part> {
    let kind = any::<u8>().prop_filter("of another meaning", |kind| {
        ![0, 1, 8, 19, 29].contains(kind)
    });
    prop_oneof![
        Just(Part::NoOperation),
        any::<(u32, u32)>().prop_map(|(value, echo)| Part::Timestamps(value, echo)),
        (prop_oneof![Just(19), Just(29)], vec(any::<u8>(), 2..18))
            .prop_map(|(kind, content)| Part::Signature(kind, content)),
        (kind, vec(any::<u8>(), 0..6)).prop_map(|(kind, content)| Part::Other(kind, content)),
    ]
}

fn written(parts: &[Part]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        let (kind, content) = match part {
            Part::NoOperation => {
                bytes.push(1);
                continue;
            }
            Part::Timestamps(value, echo) => {
                (8, [value.to_be_bytes(), echo.to_be_bytes()].concat())
            }
            Part::Signature(kind, content) | Part::Other(kind, content) => (*kind, content.clone()),
        };
        bytes.extend([kind, content.len() as u8 + 2]);
        bytes.extend(content);
    }
    bytes
}

proptest! {
    #[test]
    fn what_was_written_is_found(parts in vec(part(), 0..8)) {
        let bytes = written(&parts);
        let last = parts.iter().rev().find_map(|part| match part {
            Part::Timestamps(value, _) => Some(*value),
            _ => None,
        });
        prop_assert_eq!(timestamp(&bytes), last);
        let signed = parts.iter().any(|part| matches!(part, Part::Signature(..)));
        prop_assert_eq!(is_signed(&bytes), signed);
    }

    #[test]
    fn nothing_is_found_behind_the_end_of_the_list(parts in vec(part(), 0..8), value in any::<u32>()) {
        let mut bytes = vec![0];
        bytes.extend(written(&parts));
        bytes.extend(written(&[Part::Timestamps(value, 0), Part::Signature(19, vec![0; 16])]));
        prop_assert_eq!((timestamp(&bytes), is_signed(&bytes)), (None, false));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..48)) {
        timestamp(&bytes);
        is_signed(&bytes);
    }
}

#[test]
fn an_option_that_is_cut_off_is_none() {
    let whole = written(&[Part::Timestamps(7, 0)]);
    assert_eq!(timestamp(&whole), Some(7));
    assert_eq!(timestamp(&whole[..9]), None);
    let signature = written(&[Part::Signature(29, vec![0; 14])]);
    assert!(is_signed(&signature));
    assert!(!is_signed(&signature[..15]));
    // Lengths that can't be true end the list.
    assert_eq!(timestamp(&[&[3, 1][..], &whole].concat()), None);
}
