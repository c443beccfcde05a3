// SPDX-License-Identifier: GPL-2.0

//! A plugin of QEMU's that counts the instructions that the guest executes in windows.
//!
//! A program in the guest begins and ends a window with a [marker](marker::Marker). At its end
//! the plugin writes what was executed meanwhile, by whomever, to the file that its argument
//! `output` names; see [`window::text`].

mod marker;
mod window;

// What calls QEMU can't be linked into a program of tests.
#[cfg(not(test))]
mod api;
#[cfg(not(test))]
mod counters;
#[cfg(not(test))]
mod plugin;
