// SPDX-License-Identifier: GPL-2.0

//! How two windows differ, function by function.

use std::collections::BTreeMap;

use super::symbols::Function;
use super::windows::Window;

/// Instructions of a function, or of several, in both windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instructions(pub [u64; 2]);

/// How two windows differ.
pub struct Difference {
    /// How many operations each spans.
    pub operations: [u64; 2],
    /// What each function took, those first that differ most.
    pub functions: Vec<(Function, Instructions)>,
}

impl Difference {
    /// Compares the second of `windows` with the first.
    pub fn of(windows: &[Window; 2]) -> Self {
        let mut functions = BTreeMap::<Function, Instructions>::new();
        for (index, window) in windows.iter().enumerate() {
            for &(address, count) in &window.counts {
                functions
                    .entry(window.symbols.function(address))
                    .or_default()
                    .0[index] += count;
            }
        }
        let mut difference = Self {
            operations: [windows[0].operations, windows[1].operations],
            functions: functions.into_iter().collect(),
        };
        // It is stable: what differs alike stays sorted by name.
        let operations = difference.operations;
        difference.functions.sort_by(|(_, a), (_, b)| {
            let size = |of: &Instructions| of.difference(operations).abs();
            size(b).total_cmp(&size(a))
        });
        difference
    }

    /// What all functions took.
    pub fn total(&self) -> Instructions {
        let mut total = Instructions::default();
        for (_, instructions) in &self.functions {
            for (sum, count) in total.0.iter_mut().zip(instructions.0) {
                *sum += count;
            }
        }
        total
    }
}

impl Instructions {
    /// How many they are for each of `operations`.
    pub fn each(self, operations: [u64; 2]) -> [f64; 2] {
        [0, 1].map(|index| self.0[index] as f64 / operations[index] as f64)
    }

    /// How many more each operation takes in the second window.
    pub fn difference(self, operations: [u64; 2]) -> f64 {
        let [against, with] = self.each(operations);
        with - against
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::symbols::Symbols;

    const LIST: &str = "\
ffffffff81000000 T ip_rcv
ffffffff81000100 T tcp_v4_rcv
ffffffff81000200 T schedule
ffffffffc0000000 t hook\t[tcp_dispatch]";

    fn difference() -> Difference {
        let window = |operations, counts: &[(u64, u64)]| Window {
            operations,
            counts: counts.to_vec(),
            symbols: Symbols::parse(LIST.lines()).unwrap(),
        };
        let windows = [
            window(
                10,
                &[
                    (0xffff_ffff_8100_0000, 100),
                    (0xffff_ffff_8100_0010, 50),
                    (0xffff_ffff_8100_0200, 700),
                    (0x40_1000, 10),
                ],
            ),
            window(
                20,
                &[
                    (0xffff_ffff_8100_0000, 300),
                    (0xffff_ffff_8100_0200, 800),
                    (0xffff_ffff_c000_0004, 400),
                    (0x40_1000, 10),
                    (0x7f00_0000_0000, 10),
                ],
            ),
        ];
        Difference::of(&windows)
    }

    #[test]
    fn blocks_of_a_function_are_added_up() {
        let difference = difference();
        let rows: Vec<_> = difference
            .functions
            .iter()
            .map(|(function, instructions)| (&*function.name, instructions.0))
            .collect();
        assert_eq!(
            rows,
            [
                ("schedule", [700, 800]),
                ("hook", [0, 400]),
                ("ip_rcv", [150, 300]),
                ("user space", [10, 20])
            ]
        );
    }

    #[test]
    fn the_largest_difference_for_an_operation_is_first_whatever_its_sign() {
        let difference = difference();
        let rows: Vec<_> = difference
            .functions
            .iter()
            .map(|(_, instructions)| instructions.difference(difference.operations))
            .collect();
        assert_eq!(rows, [-30.0, 20.0, 0.0, 0.0]);
    }

    #[test]
    fn the_total_is_what_the_windows_have() {
        assert_eq!(difference().total().0, [860, 1520]);
    }
}
