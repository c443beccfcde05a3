// SPDX-License-Identifier: GPL-2.0

//! A plugin of QEMU's that counts what the guest does in windows: the instructions that it
//! executes, or the cache lines that its CPUs share.
//!
//! A program in the guest begins and ends a window with a [marker](marker::Marker). At its end
//! the plugin writes what was done meanwhile, by whomever, to the file that its argument
//! `output` names; see [`window::text`], and with the argument `watch=lines` [`lines::text`].

mod atomic;
mod lines;
mod marker;
mod window;

// What calls QEMU can't be linked into a program of tests.
#[cfg(not(test))]
mod api;
#[cfg(not(test))]
mod counters;
#[cfg(not(test))]
mod plugin;
#[cfg(not(test))]
mod sharing;
