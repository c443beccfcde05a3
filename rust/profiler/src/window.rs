// SPDX-License-Identifier: GPL-2.0

//! What is told of a window.

use std::fmt::Write;

/// The text that tells of window `number`: a line `window NUMBER`, and a line `ADDRESS COUNT` for
/// each block of code that was executed in it, the address in hexadecimal.
///
/// The counters of `addresses` were as `before` says when it began and are as `after` says now;
/// one that `before` lacks is younger than the beginning.
pub fn text(number: usize, addresses: &[u64], before: &[u64], after: &[u64]) -> String {
    let mut text = format!("window {number}\n");
    let before = before.iter().chain(std::iter::repeat(&0));
    for ((address, before), after) in addresses.iter().zip(before).zip(after) {
        let count = after - before;
        if count != 0 {
            // A string takes everything.
            let _ = writeln!(text, "{address:x} {count}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_what_was_executed_since_it_began() {
        let addresses = [0xffff_ffff_8100_0000, 0x40_1000, 0x40_2000];
        assert_eq!(
            text(3, &addresses, &[10, 20], &[11, 20, 5]),
            "window 3\nffffffff81000000 1\n402000 5\n"
        );
    }
}
