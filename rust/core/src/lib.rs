// SPDX-License-Identifier: GPL-2.0

//! The logic of tcp_dispatch that needs no kernel.
#![no_std]
