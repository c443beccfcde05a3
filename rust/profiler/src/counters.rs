// SPDX-License-Identifier: GPL-2.0

//! A counter for each block of the guest's code.

use std::collections::HashMap;

use crate::api::{self, Number, Scoreboard};

/// How many counters a scoreboard holds. It can't grow; when it is full another is made.
const BOARD: usize = 1 << 14;

/// How many bytes a counter takes.
const SIZE: usize = size_of::<u64>();

/// Counters by the virtual addresses of blocks.
///
/// A block that is translated again has the counter that it had.
pub struct Counters {
    boards: Vec<*mut Scoreboard>,
    places: HashMap<u64, usize>,
    addresses: Vec<u64>,
}

// SAFETY: scoreboards belong to no thread, and QEMU's functions on them may be called from any.
unsafe impl Send for Counters {}

impl Counters {
    /// No counters yet.
    pub fn new() -> Self {
        Self {
            boards: Vec::new(),
            places: HashMap::new(),
            addresses: Vec::new(),
        }
    }

    /// The counter of the block at `address`.
    pub fn of(&mut self, address: u64) -> Number {
        let next = self.addresses.len();
        let place = *self.places.entry(address).or_insert(next);
        if place == next {
            self.addresses.push(address);
            if next % BOARD == 0 {
                // SAFETY: it may be called whenever QEMU calls the plugin.
                let board = unsafe { api::qemu_plugin_scoreboard_new(BOARD * SIZE) };
                self.boards.push(board);
            }
        }
        self.number(place)
    }

    /// The address of each counter's block.
    pub fn addresses(&self) -> &[u64] {
        &self.addresses
    }

    /// What each of them is at.
    pub fn read(&self) -> Vec<u64> {
        (0..self.addresses.len())
            // SAFETY: the number lies in a scoreboard that was made for it and is never freed.
            .map(|place| unsafe { api::qemu_plugin_u64_sum(self.number(place)) })
            .collect()
    }

    fn number(&self, place: usize) -> Number {
        Number {
            score: self.boards[place / BOARD],
            offset: place % BOARD * SIZE,
        }
    }
}
