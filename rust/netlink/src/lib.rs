// SPDX-License-Identifier: GPL-2.0

//! Client library for the tcp_dispatch generic netlink family.
