// SPDX-License-Identifier: GPL-2.0

//! The part of QEMU's plugin API, version 4, that is used here.
//!
//! Everything is declared as in `include/qemu/qemu-plugin.h` (`include/plugins/` since QEMU 10.1)
//! of QEMU 10.0, which has no crate that builds with the workspace's Rust. QEMU's program exports
//! the functions.

use std::ffi::{c_char, c_int, c_uint, c_void};

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

/// `struct qemu_plugin_hwaddr`: where in the guest's memory an access goes.
#[repr(C)]
pub struct Place {
    _opaque: [u8; 0],
}

/// `struct qemu_plugin_register`: a register of the guest.
#[repr(C)]
pub struct Register {
    _opaque: [u8; 0],
}

/// `qemu_plugin_reg_descriptor`: what a register is.
#[repr(C)]
pub struct Described {
    /// By which it is read.
    pub register: *mut Register,
    /// What GDB calls it.
    pub name: *const c_char,
    /// The group of registers that it is of.
    pub feature: *const c_char,
}

/// GLib's `GArray` of such, and its `GByteArray`.
#[repr(C)]
pub struct Array<T> {
    /// What is in it.
    pub data: *mut T,
    /// How many.
    pub length: c_uint,
}

/// `qemu_plugin_meminfo_t`: what kind of access it is.
pub type Access = u32;

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
    /// `QEMU_PLUGIN_CB_R_REGS`
    Read = 1,
}

/// `enum qemu_plugin_mem_rw`: which accesses are looked at.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum Accesses {
    /// `QEMU_PLUGIN_MEM_RW`
    All = 3,
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

/// `qemu_plugin_vcpu_simple_cb_t`: something happens to a CPU.
pub type Happened = extern "C" fn(id: Id, cpu: c_uint);

/// `qemu_plugin_vcpu_mem_cb_t`: a CPU accesses its virtual `address`.
pub type Accessed = extern "C" fn(cpu: c_uint, access: Access, address: u64, data: *mut c_void);

extern "C" {
    /// How many CPUs the guest has.
    pub fn qemu_plugin_num_vcpus() -> c_int;

    /// Has `begun` called for every CPU, when it is there.
    pub fn qemu_plugin_register_vcpu_init_cb(id: Id, begun: Happened);

    /// The registers of a CPU that has just begun, in an array that is the caller's.
    pub fn qemu_plugin_get_registers() -> *mut Array<Described>;

    /// Appends a register of the CPU that runs to an array; returns how many bytes that is.
    pub fn qemu_plugin_read_register(register: *mut Register, to: *mut Array<u8>) -> c_int;

    /// GLib's: an empty array.
    pub fn g_byte_array_new() -> *mut Array<u8>;

    /// GLib's: shortens an array or lengthens it.
    pub fn g_byte_array_set_size(array: *mut Array<u8>, length: c_uint) -> *mut Array<u8>;

    /// Has `translated` called for every block.
    pub fn qemu_plugin_register_vcpu_tb_trans_cb(id: Id, translated: Translated);

    /// How many instructions a block has.
    pub fn qemu_plugin_tb_n_insns(block: *const Block) -> usize;

    /// Has `executed` called before each execution of a block.
    pub fn qemu_plugin_register_vcpu_tb_exec_cb(
        block: *mut Block,
        executed: Executed,
        registers: Registers,
        data: *mut c_void,
    );

    /// The guest's virtual address of a block.
    pub fn qemu_plugin_tb_vaddr(block: *const Block) -> u64;

    /// An instruction of a block, from 0; it lives as long as the call of `Translated`.
    pub fn qemu_plugin_tb_get_insn(block: *const Block, index: usize) -> *mut Instruction;

    /// The guest's virtual address of an instruction.
    pub fn qemu_plugin_insn_vaddr(instruction: *const Instruction) -> u64;

    /// Has `accessed` called after each access of an instruction to memory.
    pub fn qemu_plugin_register_vcpu_mem_cb(
        instruction: *mut Instruction,
        accessed: Accessed,
        registers: Registers,
        accesses: Accesses,
        data: *mut c_void,
    );

    /// Whether an access writes; one that reads, too, counts as one that does.
    pub fn qemu_plugin_mem_is_store(access: Access) -> bool;

    /// Where an access goes, for the callback that is told of it; null if QEMU doesn't know.
    pub fn qemu_plugin_get_hwaddr(access: Access, address: u64) -> *mut Place;

    /// Whether it goes to a device.
    pub fn qemu_plugin_hwaddr_is_io(place: *const Place) -> bool;

    /// The physical address.
    pub fn qemu_plugin_hwaddr_phys_addr(place: *const Place) -> u64;

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
