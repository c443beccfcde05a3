// SPDX-License-Identifier: GPL-2.0

//! Choosing a process.

use proptest::prelude::*;
use tcp_dispatch_core::schedule::round_robin;

#[test]
fn without_processes_none_is_chosen() {
    assert_eq!(round_robin(0, 0), None);
    assert_eq!(round_robin(u32::MAX, 0), None);
}

proptest! {
    #[test]
    fn the_chosen_process_exists(n: u32, processes in 1..=usize::MAX) {
        prop_assert!(round_robin(n, processes).is_some_and(|chosen| chosen < processes));
    }

    #[test]
    fn processes_take_turns(n in 0..u32::MAX, processes in 1..100_usize) {
        let chosen = round_robin(n, processes).expect("there are processes");
        prop_assert_eq!(round_robin(n + 1, processes), Some((chosen + 1) % processes));
    }

    #[test]
    fn a_full_round_gives_each_process_one_connection(n in 0..u32::MAX - 100, processes in 1..100_u32) {
        let mut chosen: Vec<_> = (n..n + processes)
            .filter_map(|n| round_robin(n, processes as usize))
            .collect();
        chosen.sort_unstable();
        prop_assert_eq!(chosen, (0..processes as usize).collect::<Vec<_>>());
    }
}
