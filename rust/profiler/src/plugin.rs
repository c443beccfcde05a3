// SPDX-License-Identifier: GPL-2.0

//! What QEMU calls.

use std::ffi::{c_char, c_int, c_uint, c_void, CStr};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::ptr;
use std::sync::{Mutex, MutexGuard};

use crate::api::{self, Block, Executed, Id, Number, Operation, Registers};
use crate::counters::Counters;
use crate::marker::Marker;
use crate::{sharing, window};

/// The API's version that this plugin was made for; QEMU looks at it.
#[allow(non_upper_case_globals)] // The API's name.
#[no_mangle]
pub static qemu_plugin_version: c_int = api::VERSION;

/// What is counted, and where it goes.
struct Profiler {
    counters: Counters,
    /// What the counters were at when the window began that is open.
    began: Option<Vec<u64>>,
    /// How many windows ended.
    windows: usize,
    output: File,
}

static PROFILER: Mutex<Option<Profiler>> = Mutex::new(None);

fn profiler() -> MutexGuard<'static, Option<Profiler>> {
    PROFILER.lock().expect("a panic ends QEMU")
}

/// Opens the file of the argument `output=FILE`, and has every block counted, or with `watch=lines`
/// what it shares.
///
/// QEMU calls it once it has loaded the plugin, as `qemu-plugin.h` says; `info` is a
/// `qemu_info_t`. It returns 0, or something else if the plugin can't work.
#[no_mangle]
pub extern "C" fn qemu_plugin_install(
    id: Id,
    _info: *const c_void,
    count: c_int,
    arguments: *const *const c_char,
) -> c_int {
    let argument = |name: &str| {
        (0..usize::try_from(count).unwrap_or(0)).find_map(|index| {
            // SAFETY: QEMU gives `count` arguments, each a string that lives as long as the plugin.
            let argument = unsafe { CStr::from_ptr(*arguments.add(index)) };
            argument.to_str().ok()?.strip_prefix(name)
        })
    };
    let Some(output) = argument("output=") else {
        eprintln!("profiler: it needs output=FILE");
        return 1;
    };
    let output = match OpenOptions::new().append(true).open(output) {
        Ok(output) => output,
        Err(error) => {
            eprintln!("profiler: can't open {output}: {error}");
            return 1;
        }
    };
    let translated = match argument("watch=") {
        Some("instructions") => {
            *profiler() = Some(Profiler {
                counters: Counters::new(),
                began: None,
                windows: 0,
                output,
            });
            translated
        }
        Some("lines") => sharing::watch(id, output),
        _ => {
            eprintln!("profiler: it needs watch=instructions or watch=lines");
            return 1;
        }
    };
    // SAFETY: this is the call in which QEMU wants callbacks registered.
    unsafe { api::qemu_plugin_register_vcpu_tb_trans_cb(id, translated) };
    0
}

/// Has each instruction of a block count, and the markers among them begin and end windows.
///
/// By instruction, since a block is left in its middle when an instruction faults, and, while the
/// guest's clock counts instructions, wherever one reaches a device.
extern "C" fn translated(_id: Id, block: *mut Block) {
    let mut profiler = profiler();
    let Some(profiler) = profiler.as_mut() else {
        return;
    };
    // SAFETY: QEMU gives a block that lives as long as this call.
    let (address, length) = unsafe {
        (
            api::qemu_plugin_tb_vaddr(block),
            api::qemu_plugin_tb_n_insns(block),
        )
    };
    let number = profiler.counters.of(address);
    for index in 0..length {
        // SAFETY: the block is alive and has `length` instructions.
        let instruction = unsafe { api::qemu_plugin_tb_get_insn(block, index) };
        // QEMU does what is asked for in this order, so a window has neither of its markers.
        match with_bytes(instruction, Marker::of) {
            Some(Marker::Begin) => {
                count(instruction, number);
                call(instruction, begin);
            }
            Some(Marker::End) => {
                call(instruction, end);
                count(instruction, number);
            }
            None => count(instruction, number),
        }
    }
}

/// What `of` makes of the bytes of an instruction of the block that is being translated.
pub fn with_bytes<T>(instruction: *const api::Instruction, of: impl FnOnce(&[u8]) -> T) -> T {
    // As long as an instruction may be.
    let mut bytes = [0; 15];
    // SAFETY: the instruction is alive and `bytes` has room for what is asked for.
    let copied =
        unsafe { api::qemu_plugin_insn_data(instruction, bytes.as_mut_ptr().cast(), bytes.len()) };
    of(&bytes[..copied])
}

/// Has the instruction, one of the block that is being translated, add 1 to `number`.
fn count(instruction: *mut api::Instruction, number: Number) {
    // SAFETY: the caller has it from that block; the number's scoreboard is never freed.
    unsafe {
        api::qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
            instruction,
            Operation::Add,
            number,
            1,
        );
    }
}

/// Has the instruction, one of the block that is being translated, call `executed`.
fn call(instruction: *mut api::Instruction, executed: Executed) {
    // SAFETY: the caller has it from that block; `executed` uses neither registers nor data.
    unsafe {
        api::qemu_plugin_register_vcpu_insn_exec_cb(
            instruction,
            executed,
            Registers::None,
            ptr::null_mut(),
        );
    }
}

/// Begins a window.
extern "C" fn begin(_cpu: c_uint, _data: *mut c_void) {
    if let Some(profiler) = profiler().as_mut() {
        profiler.began = Some(profiler.counters.read());
    }
}

/// Ends the window that was begun, if one was, and writes it.
extern "C" fn end(_cpu: c_uint, _data: *mut c_void) {
    let mut profiler = profiler();
    let Some(profiler) = profiler.as_mut() else {
        return;
    };
    let Some(began) = profiler.began.take() else {
        return;
    };
    profiler.windows += 1;
    let text = window::text(
        profiler.windows,
        profiler.counters.addresses(),
        &began,
        &profiler.counters.read(),
    );
    if let Err(error) = profiler.output.write_all(text.as_bytes()) {
        eprintln!("profiler: can't write window {}: {error}", profiler.windows);
    }
}
