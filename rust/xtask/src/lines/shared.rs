// SPDX-License-Identifier: GPL-2.0

//! What functions share between CPUs.

use std::collections::{BTreeMap, HashMap};

use super::seen::Seen;
use crate::profile::symbols::{Function, Symbols};

/// In one of how many of its round trips each CPU has to access a line for it to be shared by their
/// packets, which access it in all. Lines that are accessed less often are of ticks, of a look at
/// what other CPUs have to do, or were freed by the one CPU and allocated by the other.
const RARELY: u64 = 2;

/// How often a function does something in each round trip.
pub type Rates = BTreeMap<Function, f64>;

/// What was shared in a window, by functions.
pub struct Shared {
    /// How many round trips there were, on all CPUs.
    pub operations: u64,
    /// Writes to shared lines.
    pub writes: Rates,
    /// Locks that were taken, by who took them, shared or not.
    pub locks: Rates,
    /// Writes of atomic instructions, shared or not.
    pub atomics: Rates,
    /// How often it was entered, from a function or by one that returned to it.
    pub entered: Rates,
}

impl Shared {
    /// What was `seen` of so many CPUs.
    pub fn of(seen: &Seen, cpus: u32, operations: u64, symbols: &Symbols) -> Self {
        let often = operations.div_ceil(u64::from(cpus) * RARELY);
        let mut by = HashMap::<u64, u32>::new();
        for touch in seen.touches.iter().filter(|touch| touch.count >= often) {
            *by.entry(touch.line).or_default() += 1;
        }
        let shared = |line| by.get(line).is_some_and(|by| *by > 1);
        let mut made = Self {
            operations,
            writes: Rates::new(),
            locks: Rates::new(),
            atomics: Rates::new(),
            entered: Rates::new(),
        };
        let add = |rates: &mut Rates, function, count| {
            *rates.entry(function).or_default() += count as f64 / operations as f64;
        };
        for write in seen.writes.iter().filter(|write| shared(&write.line)) {
            add(&mut made.writes, symbols.function(write.at), write.count);
        }
        for &(at, count) in &seen.atomics {
            add(&mut made.atomics, symbols.function(at), count);
        }
        for &(from, to, count) in &seen.steps {
            let (from, to) = (symbols.function(from), symbols.function(to));
            if from != to {
                if takes_lock(&to.name) && !takes_lock(&from.name) {
                    add(&mut made.locks, from, count);
                }
                add(&mut made.entered, to, count);
            }
        }
        made
    }
}

/// Whether a function of this name is one that takes locks for others.
fn takes_lock(name: &str) -> bool {
    let name = name.strip_prefix("rust_helper_").unwrap_or(name);
    let name = name.trim_start_matches('_');
    let name = name.strip_prefix("raw_").unwrap_or(name);
    let kinds = [
        "spin_lock",
        "spin_trylock",
        "read_lock",
        "read_trylock",
        "write_lock",
        "write_trylock",
        "mutex_lock",
        "mutex_trylock",
        "down_read",
        "down_write",
    ];
    kinds.iter().any(|kind| name.starts_with(kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::seen::{Touch, Write};

    const LIST: &str = "\
ffffffff81000000 T ip_rcv
ffffffff81000100 T _raw_spin_lock_bh
ffffffff81000200 T release_sock
ffffffffc0000000 t hook\t[tcp_dispatch]";

    const IP_RCV: u64 = 0xffff_ffff_8100_0000;
    const LOCK: u64 = 0xffff_ffff_8100_0100;
    const RELEASE: u64 = 0xffff_ffff_8100_0200;
    const HOOK: u64 = 0xffff_ffff_c000_0000;

    fn shared(seen: Seen) -> Shared {
        Shared::of(&seen, 2, 100, &Symbols::parse(LIST.lines()).unwrap())
    }

    fn rates(rates: &Rates) -> Vec<(&str, f64)> {
        rates
            .iter()
            .map(|(function, rate)| (&*function.name, *rate))
            .collect()
    }

    fn touch(line: u64, count: u64) -> Touch {
        Touch { line, count }
    }

    fn write(line: u64, at: u64, count: u64) -> Write {
        Write { line, at, count }
    }

    #[test]
    fn a_line_is_shared_if_both_cpus_access_it_often() {
        let shared = shared(Seen {
            touches: vec![touch(1, 50), touch(1, 25), touch(2, 500), touch(2, 24)],
            writes: vec![
                write(1, HOOK, 50),
                write(1, HOOK + 8, 20),
                write(1, IP_RCV, 5),
                write(2, HOOK, 500),
            ],
            ..Seen::default()
        });
        assert_eq!(rates(&shared.writes), [("hook", 0.7), ("ip_rcv", 0.05)]);
    }

    #[test]
    fn locks_are_of_who_takes_them() {
        let shared = shared(Seen {
            steps: vec![
                (RELEASE, LOCK, 200),
                (LOCK, LOCK + 8, 200),
                (LOCK + 8, RELEASE, 200),
                (HOOK, LOCK, 50),
                (IP_RCV, HOOK, 100),
            ],
            ..Seen::default()
        });
        assert_eq!(rates(&shared.locks), [("hook", 0.5), ("release_sock", 2.0)]);
        assert_eq!(
            rates(&shared.entered),
            [
                ("_raw_spin_lock_bh", 2.5),
                ("hook", 1.0),
                ("release_sock", 2.0)
            ]
        );
    }

    #[test]
    fn atomic_instructions_are_counted_on_any_line() {
        let shared = shared(Seen {
            atomics: vec![(HOOK, 100), (HOOK + 4, 100), (LOCK, 50)],
            ..Seen::default()
        });
        assert_eq!(
            rates(&shared.atomics),
            [("_raw_spin_lock_bh", 0.5), ("hook", 2.0)]
        );
    }

    #[test]
    fn functions_that_take_locks_are_known_by_their_names() {
        for name in [
            "_raw_spin_lock",
            "_raw_spin_lock_irqsave",
            "__raw_spin_lock",
            "_raw_write_lock_bh",
            "mutex_lock",
            "__mutex_lock_slowpath",
            "down_read_trylock",
            "rust_helper_spin_lock",
        ] {
            assert!(takes_lock(name), "{name}");
        }
        for name in [
            "_raw_spin_unlock",
            "lock_sock_nested",
            "mutex_unlock",
            "rcu_read_lock",
        ] {
            assert!(!takes_lock(name), "{name}");
        }
    }
}
