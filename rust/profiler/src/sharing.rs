// SPDX-License-Identifier: GPL-2.0

//! What QEMU calls where cache lines are watched.
//!
//! A CPU is watched from a marker that it executes to the next. The window is over when all have
//! been. The guest's clock must count instructions: else a timer's ticks would fill the windows,
//! which take the longer for being watched. So one thread of QEMU's executes all CPUs in turn. QEMU
//! tells callbacks then the CPU that a block was translated for, whichever executes it; so CPUs are
//! told from each other by the kernel's register for its per-CPU data.

use std::ffi::{c_uint, c_void, CStr};
use std::fs::File;
use std::io::Write;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::api::{
    self, Access, Accessed, Accesses, Array, Block, Executed, Id, Register, Registers, Translated,
};
use crate::atomic::is_atomic;
use crate::lines::{self, Cpu};
use crate::marker::Marker;
use crate::plugin::with_bytes;

/// A CPU that was watched, or is.
struct Seen {
    base: u64,
    did: Cpu,
    is_watched: bool,
}

/// What the window that is open has so far.
struct Watcher {
    output: File,
    windows: usize,
    /// The registers that tell CPUs from each other, and where they are read to.
    registers: Option<Bases>,
    cpus: Vec<Seen>,
    /// Which of them executes the kernel's code, if it is one that is watched.
    current: Option<usize>,
}

/// Where a CPU's data begins: in the kernel in the first register, in user space in the second.
struct Bases {
    registers: [*mut Register; 2],
    buffer: *mut Array<u8>,
}

// SAFETY: The registers belong to no thread, and the buffer is used by who holds the lock.
unsafe impl Send for Bases {}

static WATCHER: Mutex<Option<Watcher>> = Mutex::new(None);

/// Whether any CPU is watched. It is asked at every access, the lock would be slow.
static WATCHED: AtomicBool = AtomicBool::new(false);

fn watcher() -> MutexGuard<'static, Option<Watcher>> {
    WATCHER.lock().expect("a panic ends QEMU")
}

impl Bases {
    /// Finds the registers. To be called for a CPU that has just begun.
    fn find() -> Option<Self> {
        // SAFETY: QEMU wants it called then, and returns an array that nobody frees.
        let array = unsafe { &*api::qemu_plugin_get_registers() };
        // SAFETY: Its data are so many descriptions.
        let all = unsafe { std::slice::from_raw_parts(array.data, array.length as usize) };
        let named = |name: &CStr| {
            // SAFETY: Names are strings.
            let found = all
                .iter()
                .find(|each| unsafe { CStr::from_ptr(each.name) } == name);
            found.map(|each| each.register)
        };
        Some(Self {
            registers: [named(c"gs_base")?, named(c"k_gs_base")?],
            // SAFETY: No requirements.
            buffer: unsafe { api::g_byte_array_new() },
        })
    }

    /// That of the CPU which runs. To be called by a callback that may read registers.
    fn read(&self) -> u64 {
        let read = |register| {
            // SAFETY: The buffer is the lock holder's, the register one of the CPU's.
            let buffer = unsafe {
                api::g_byte_array_set_size(self.buffer, 0);
                api::qemu_plugin_read_register(register, self.buffer);
                &*self.buffer
            };
            // SAFETY: It has as many bytes.
            let bytes = unsafe { std::slice::from_raw_parts(buffer.data, buffer.length as usize) };
            bytes.try_into().map_or(0, u64::from_le_bytes)
        };
        let [inside, outside] = self.registers;
        // The upper half of the addresses is the kernel's.
        match read(inside) {
            base if base >> 63 != 0 => base,
            _ => read(outside),
        }
    }
}

/// Has windows written to `output`. Returns what QEMU is to call for each block.
pub fn watch(id: Id, output: File) -> Translated {
    *watcher() = Some(Watcher {
        output,
        windows: 0,
        registers: None,
        cpus: Vec::new(),
        current: None,
    });
    // SAFETY: The caller is called to register callbacks.
    unsafe { api::qemu_plugin_register_vcpu_init_cb(id, begun) };
    translated
}

/// Finds the registers of the first CPU, which are those of all.
extern "C" fn begun(_id: Id, _cpu: c_uint) {
    if let Some(watcher) = watcher().as_mut() {
        if watcher.registers.is_none() {
            watcher.registers = Bases::find();
        }
    }
}

/// Has the kernel's blocks and their accesses to memory noted, and markers obeyed.
extern "C" fn translated(_id: Id, block: *mut Block) {
    // SAFETY: QEMU gives a block that lives as long as this call.
    let (address, length) = unsafe {
        (
            api::qemu_plugin_tb_vaddr(block),
            api::qemu_plugin_tb_n_insns(block),
        )
    };
    // The upper half of the addresses is the kernel's.
    let is_kernel = address >> 63 != 0;
    if is_kernel {
        // SAFETY: The block is alive, and `stepped` only reads registers.
        unsafe {
            api::qemu_plugin_register_vcpu_tb_exec_cb(
                block,
                stepped,
                Registers::Read,
                as_data(address),
            );
        }
    }
    for index in 0..length {
        // SAFETY: the block is alive and has `length` instructions.
        let instruction = unsafe { api::qemu_plugin_tb_get_insn(block, index) };
        if is_kernel {
            let accessed: Accessed = if with_bytes(instruction, is_atomic) {
                accessed_as_one
            } else {
                accessed
            };
            // SAFETY: the instruction is alive, and `accessed` uses no registers.
            unsafe {
                api::qemu_plugin_register_vcpu_mem_cb(
                    instruction,
                    accessed,
                    Registers::None,
                    Accesses::All,
                    as_data(api::qemu_plugin_insn_vaddr(instruction)),
                );
            }
            continue;
        }
        let executed: Executed = match with_bytes(instruction, Marker::of) {
            Some(Marker::Begin) => begin,
            Some(Marker::End) => end,
            None => continue,
        };
        // SAFETY: the instruction is alive, and `executed` only reads registers.
        unsafe {
            api::qemu_plugin_register_vcpu_insn_exec_cb(
                instruction,
                executed,
                Registers::Read,
                ptr::null_mut(),
            );
        }
    }
}

/// An address of the guest as what callbacks are given; nobody follows it.
fn as_data(address: u64) -> *mut c_void {
    ptr::without_provenance_mut(address as usize)
}

impl Watcher {
    /// The CPU that runs.
    fn base(&self) -> u64 {
        self.registers.as_ref().map_or(0, Bases::read)
    }

    /// What is seen of the CPU that runs.
    fn current(&mut self) -> Option<&mut Cpu> {
        self.current.map(|index| &mut self.cpus[index].did)
    }
}

/// The CPU that runs is about to execute a block of the kernel's.
extern "C" fn stepped(_cpu: c_uint, block: *mut c_void) {
    if !WATCHED.load(Ordering::Relaxed) {
        return;
    }
    if let Some(watcher) = watcher().as_mut() {
        let base = watcher.base();
        let is_current = |seen: &Seen| seen.is_watched && seen.base == base;
        watcher.current = watcher.cpus.iter().position(is_current);
        if let Some(cpu) = watcher.current() {
            cpu.step(block.addr() as u64);
        }
    }
}

extern "C" fn accessed(_cpu: c_uint, access: Access, address: u64, at: *mut c_void) {
    note(access, address, at, false);
}

extern "C" fn accessed_as_one(_cpu: c_uint, access: Access, address: u64, at: *mut c_void) {
    note(access, address, at, true);
}

fn note(access: Access, address: u64, at: *mut c_void, is_atomic: bool) {
    if !WATCHED.load(Ordering::Relaxed) {
        return;
    }
    let mut watcher = watcher();
    let Some(cpu) = watcher.as_mut().and_then(Watcher::current) else {
        return;
    };
    // SAFETY: QEMU calls this for the access.
    let place = unsafe { api::qemu_plugin_get_hwaddr(access, address) };
    // SAFETY: The place is valid until the callback ends. Devices have no cache lines.
    if place.is_null() || unsafe { api::qemu_plugin_hwaddr_is_io(place) } {
        return;
    }
    // SAFETY: As above.
    let (physical, is_write) = unsafe {
        (
            api::qemu_plugin_hwaddr_phys_addr(place),
            api::qemu_plugin_mem_is_store(access),
        )
    };
    let at = at.addr() as u64;
    cpu.access(at, physical, is_write);
    if is_atomic && is_write {
        cpu.atomic(at);
    }
}

/// Begins to watch the CPU.
extern "C" fn begin(_cpu: c_uint, _data: *mut c_void) {
    if let Some(watcher) = watcher().as_mut() {
        let base = watcher.base();
        watcher.cpus.retain(|seen| seen.base != base);
        watcher.cpus.push(Seen {
            base,
            did: Cpu::default(),
            is_watched: true,
        });
        // The kernel's next block tells who executes it.
        watcher.current = None;
        WATCHED.store(true, Ordering::Relaxed);
    }
}

/// Ends that, and writes the window if it was the last CPU's.
extern "C" fn end(_cpu: c_uint, _data: *mut c_void) {
    let mut watcher = watcher();
    let Some(watcher) = watcher.as_mut() else {
        return;
    };
    let base = watcher.base();
    for seen in &mut watcher.cpus {
        seen.is_watched &= seen.base != base;
    }
    watcher.current = None;
    let is_watched = watcher.cpus.iter().any(|seen| seen.is_watched);
    WATCHED.store(is_watched, Ordering::Relaxed);
    // SAFETY: It may be called whenever QEMU calls the plugin.
    let number = usize::try_from(unsafe { api::qemu_plugin_num_vcpus() }).unwrap_or(0);
    if is_watched || watcher.cpus.len() < number {
        return;
    }
    let did: Vec<_> = watcher.cpus.drain(..).map(|seen| seen.did).collect();
    watcher.windows += 1;
    let text = lines::text(watcher.windows, &did);
    if let Err(error) = watcher.output.write_all(text.as_bytes()) {
        eprintln!("profiler: can't write window {}: {error}", watcher.windows);
    }
}
