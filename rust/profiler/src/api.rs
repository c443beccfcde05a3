// SPDX-License-Identifier: GPL-2.0

//! The part of QEMU's plugin API, version 4, that is used here.
//!
//! Everything is declared as in `include/qemu/qemu-plugin.h` (`include/plugins/` since QEMU 10.1)
//! of QEMU 10.0, which has no crate that builds with the workspace's Rust. QEMU's program exports
//! the functions.

use std::ffi::{c_int, c_uint, c_void};

/// The version of the API that QEMU is asked for: `QEMU_PLUGIN_VERSION`.
pub const VERSION: c_int = 4;

/// `qemu_plugin_id_t`: which plugin this is.
pub type Id = u64;

/// `struct qemu_plugin_tb`: a block of the guest's code that is being translated.
#[repr(C)]
pub struct Block {
    _opaque: [u8; 0],
}

/// `struct qemu_plugin_insn`: an instruction of such a block.
#[repr(C)]
pub struct Instruction {
    _opaque: [u8; 0],
}

/// `struct qemu_plugin_scoreboard`: memory of which each CPU of the guest has its own.
#[repr(C)]
pub struct Scoreboard {
    _opaque: [u8; 0],
}

/// `qemu_plugin_u64`: a number in a scoreboard.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Number {
    /// The scoreboard.
    pub score: *mut Scoreboard,
    /// Where in a CPU's part of it the number is, in bytes.
    pub offset: usize,
}

/// `enum qemu_plugin_cb_flags`: which registers of the guest a callback uses.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum Registers {
    /// `QEMU_PLUGIN_CB_NO_REGS`
    None = 0,
}

/// `enum qemu_plugin_op`: what translated code does by itself.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum Operation {
    /// `QEMU_PLUGIN_INLINE_ADD_U64`
    Add = 0,
}

/// `qemu_plugin_vcpu_tb_trans_cb_t`: a block is being translated.
pub type Translated = extern "C" fn(id: Id, block: *mut Block);

/// `qemu_plugin_vcpu_udata_cb_t`: a CPU executes an instruction.
pub type Executed = extern "C" fn(cpu: c_uint, data: *mut c_void);

extern "C" {
    /// Has `translated` called for every block.
    pub fn qemu_plugin_register_vcpu_tb_trans_cb(id: Id, translated: Translated);

    /// How many instructions a block has.
    pub fn qemu_plugin_tb_n_insns(block: *const Block) -> usize;

    /// The guest's virtual address of a block.
    pub fn qemu_plugin_tb_vaddr(block: *const Block) -> u64;

    /// An instruction of a block, from 0; it lives as long as the call of `Translated`.
    pub fn qemu_plugin_tb_get_insn(block: *const Block, index: usize) -> *mut Instruction;

    /// Copies an instruction's bytes, `length` of them or all; returns how many.
    pub fn qemu_plugin_insn_data(
        instruction: *const Instruction,
        to: *mut c_void,
        length: usize,
    ) -> usize;

    /// Has `executed` called before each execution of an instruction.
    pub fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut Instruction,
        executed: Executed,
        registers: Registers,
        data: *mut c_void,
    );

    /// Has the translated code do `operation` before each execution of an instruction.
    pub fn qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
        instruction: *mut Instruction,
        operation: Operation,
        number: Number,
        operand: u64,
    );

    /// Makes a scoreboard of `size` bytes a CPU, all 0.
    pub fn qemu_plugin_scoreboard_new(size: usize) -> *mut Scoreboard;

    /// The sum of a number over all CPUs.
    pub fn qemu_plugin_u64_sum(number: Number) -> u64;
}
