// SPDX-License-Identifier: GPL-2.0

//! Dumps: all objects of a kind.

use crate::message::Decode;
use std::collections::HashSet;

/// What a dump returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump<T> {
    /// The objects, each once, in the kernel's order.
    pub items: Vec<T>,
    /// The kernel's tables changed during each attempt, so that objects may be
    /// missing.
    pub interrupted: bool,
}

/// Keeps the first of each object that the kernel showed more than once.
pub(crate) fn without_repeats<T: Decode>(mut items: Vec<T>) -> Vec<T> {
    let mut seen = HashSet::new();
    items.retain(|item| seen.insert(item.key()));
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Process;

    #[test]
    fn an_object_that_a_dump_shows_twice_is_kept_once() {
        let process = |address: &str, connections| {
            let service = "192.0.2.1:80".parse().unwrap();
            let mut process = Process::new(service, address.parse().unwrap());
            process.traffic.connections = connections;
            process
        };
        let kept = without_repeats(vec![
            process("10.77.0.1:80", 1),
            process("10.77.0.2:80", 2),
            process("10.77.0.1:80", 3),
        ]);
        assert_eq!(
            kept,
            [process("10.77.0.1:80", 1), process("10.77.0.2:80", 2)]
        );
    }
}
