// SPDX-License-Identifier: GPL-2.0

//! What the plugin wrote of cache lines.

use anyhow::{Context, Result};

/// How often a CPU accessed a line that another accesses, too, and one writes.
#[derive(Debug, PartialEq, Eq)]
pub struct Touch {
    /// The line.
    pub line: u64,
    /// How often it was read or written.
    pub count: u64,
}

/// Writes to such a line.
#[derive(Debug, PartialEq, Eq)]
pub struct Write {
    /// The line.
    pub line: u64,
    /// The instruction that wrote.
    pub at: u64,
    /// How often it did.
    pub count: u64,
}

/// A window.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// One for each line and CPU.
    pub touches: Vec<Touch>,
    /// One for each line, CPU and instruction.
    pub writes: Vec<Write>,
    /// Atomic instructions, and how often they wrote.
    pub atomics: Vec<(u64, u64)>,
    /// From which block of code to which, and how often.
    pub steps: Vec<(u64, u64, u64)>,
}

/// Reads what the profiler's `lines::text` made.
pub fn windows(text: &str) -> Result<Vec<Seen>> {
    let mut windows = Vec::new();
    for line in text.lines() {
        read(line, &mut windows)
            .with_context(|| format!("the profiler wrote `{line}`, which isn't known"))?;
    }
    Ok(windows)
}

fn read(line: &str, windows: &mut Vec<Seen>) -> Option<()> {
    let mut words = line.split(' ');
    let kind = words.next()?;
    if kind == "window" {
        windows.push(Seen::default());
        return Some(());
    }
    let window = windows.last_mut()?;
    let words: Vec<_> = words.collect();
    let hex = |index: usize| u64::from_str_radix(words.get(index)?, 16).ok();
    let count = |index: usize| words.get(index)?.parse::<u64>().ok();
    match kind {
        "touch" => window.touches.push(Touch {
            line: hex(0)?,
            count: count(2)? + count(3)?,
        }),
        "write" => window.writes.push(Write {
            line: hex(0)?,
            at: hex(2)?,
            count: count(3)?,
        }),
        "atomic" => window.atomics.push((hex(0)?, count(1)?)),
        "step" => window.steps.push((hex(0)?, hex(1)?, count(2)?)),
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_window_has_what_follows_it() {
        let text = "window 1\ntouch c0 1 3 4\nwrite c0 1 ff10 4\nwindow 2\natomic ff10 10\n\
                    step 0 ff10 12\n";
        let first = Seen {
            touches: vec![Touch {
                line: 0xc0,
                count: 7,
            }],
            writes: vec![Write {
                line: 0xc0,
                at: 0xff10,
                count: 4,
            }],
            ..Seen::default()
        };
        let second = Seen {
            atomics: vec![(0xff10, 10)],
            steps: vec![(0, 0xff10, 12)],
            ..Seen::default()
        };
        assert_eq!(windows(text).unwrap(), [first, second]);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(windows("touch c0 1 3 4\n").is_err());
        assert!(windows("window 1\ntouch c0 1 3\n").is_err());
        assert!(windows("window 1\nhello\n").is_err());
    }
}
