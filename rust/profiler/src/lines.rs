// SPDX-License-Identifier: GPL-2.0

//! What the kernel did with cache lines in a window, CPU by CPU.

use std::collections::HashMap;
use std::fmt::Write;

/// How many bytes a cache line has, as a power of 2.
const SHIFT: u32 = 6;

/// How often a CPU accessed a line.
#[derive(Clone, Copy, Default)]
struct Touches {
    reads: u64,
    writes: u64,
}

/// What one CPU did.
#[derive(Default)]
pub struct Cpu {
    /// By line.
    touches: HashMap<u64, Touches>,
    /// Writes by line and the address of the instruction.
    writes: HashMap<(u64, u64), u64>,
    /// Writes of atomic instructions, by their addresses.
    atomics: HashMap<u64, u64>,
    /// How often it went from one block of code to another, by their addresses.
    steps: HashMap<(u64, u64), u64>,
    /// The last block that it executed.
    last: u64,
}

impl Cpu {
    /// The instruction at `at` accessed the physical `address`.
    pub fn access(&mut self, at: u64, address: u64, is_write: bool) {
        let line = address >> SHIFT;
        let touches = self.touches.entry(line).or_default();
        if is_write {
            touches.writes += 1;
            *self.writes.entry((line, at)).or_default() += 1;
        } else {
            touches.reads += 1;
        }
    }

    /// The instruction at `at` is atomic, and wrote.
    pub fn atomic(&mut self, at: u64) {
        *self.atomics.entry(at).or_default() += 1;
    }

    /// It goes on with the block at `at`.
    pub fn step(&mut self, at: u64) {
        *self.steps.entry((self.last, at)).or_default() += 1;
        self.last = at;
    }
}

/// The text that tells of window `number`, all numbers but counts in hexadecimal. A line
/// `window NUMBER`; of each cache line that one CPU wrote and another accessed
/// `touch LINE CPU READS WRITES` and `write LINE CPU INSTRUCTION COUNT`; and of all that happened
/// `atomic INSTRUCTION COUNT` and `step BLOCK BLOCK COUNT`.
pub fn text(number: usize, cpus: &[Cpu]) -> String {
    let mut lines = HashMap::<u64, (usize, u64)>::new();
    for cpu in cpus {
        for (line, touches) in &cpu.touches {
            let (cpus, writes) = lines.entry(*line).or_default();
            *cpus += 1;
            *writes += touches.writes;
        }
    }
    lines.retain(|_, (cpus, writes)| *cpus > 1 && *writes > 0);

    let mut text = format!("window {number}\n");
    let mut tell = |line: std::fmt::Arguments| {
        // A string takes everything.
        let _ = text.write_fmt(line);
    };
    for (cpu, did) in cpus.iter().enumerate() {
        for (line, Touches { reads, writes }) in &did.touches {
            if lines.contains_key(line) {
                tell(format_args!("touch {line:x} {cpu:x} {reads} {writes}\n"));
            }
        }
        for ((line, at), count) in &did.writes {
            if lines.contains_key(line) {
                tell(format_args!("write {line:x} {cpu:x} {at:x} {count}\n"));
            }
        }
        for (at, count) in &did.atomics {
            tell(format_args!("atomic {at:x} {count}\n"));
        }
        for ((from, to), count) in &did.steps {
            tell(format_args!("step {from:x} {to:x} {count}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(cpus: &[Cpu]) -> Vec<String> {
        let mut lines: Vec<_> = text(1, cpus).lines().map(String::from).collect();
        lines.sort();
        lines
    }

    #[test]
    fn only_lines_that_one_writes_and_another_accesses_are_told() {
        let mut cpus = [Cpu::default(), Cpu::default()];
        for (cpu, own) in cpus.iter_mut().zip([0x1000, 0x2000]) {
            cpu.access(0xa0, own, true);
            cpu.access(0xb0, 0x3000, false);
        }
        assert_eq!(told(&cpus), ["window 1"]);
        // Another byte of the line that both read.
        cpus[0].access(0xc0, 0x303f, true);
        cpus[0].access(0xc0, 0x3040, true);
        assert_eq!(
            told(&cpus),
            [
                "touch c0 0 1 1",
                "touch c0 1 1 0",
                "window 1",
                "write c0 0 c0 1"
            ]
        );
    }

    #[test]
    fn atomics_and_steps_are_told_of_all_lines() {
        let mut cpu = Cpu::default();
        cpu.atomic(0xa0);
        cpu.atomic(0xa0);
        for block in [0x10, 0x20, 0x10, 0x20] {
            cpu.step(block);
        }
        assert_eq!(
            told(&[cpu]),
            [
                "atomic a0 2",
                "step 0 10 1",
                "step 10 20 2",
                "step 20 10 1",
                "window 1"
            ]
        );
    }
}
