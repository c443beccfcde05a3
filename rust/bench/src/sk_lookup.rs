// SPDX-License-Identifier: GPL-2.0

//! A dispatcher by BPF `sk_lookup`, for comparison: where a packet to the service finds no
//! connection, a program gives it one of the daemons' listeners, by a hash of the client's address.
//!
//! The program is written down in the kernel's instructions, so that nothing is compiled for it.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::mem::size_of;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::thread;

use anyhow::{bail, Context, Result};
use rustix::process::{pidfd_getfd, pidfd_open, Pid, PidfdFlags, PidfdGetfdFlags};

/// Gives the connections of `service` to the listeners of the processes `pids`, until killed.
///
/// Says `ready` once it does.
pub fn run(service: SocketAddr, pids: &[i32]) -> Result<()> {
    let map = Map::new(pids.len() as u32).context("can't make a map of sockets")?;
    for (at, &pid) in pids.iter().enumerate() {
        let listener = listener(pid).with_context(|| format!("process {pid} has no listener"))?;
        map.set(at as u32, &listener)
            .with_context(|| format!("the listener of process {pid} can't be put into the map"))?;
    }
    let program = load(&program(service, map.0.as_raw_fd(), pids.len() as u32))?;
    let net = File::open("/proc/self/ns/net").context("can't open the network namespace")?;
    // The program is attached for as long as this is open.
    let _link = attach(&program, &net).context("can't attach the program")?;
    println!("ready");
    io::stdout().flush()?;
    loop {
        thread::park();
    }
}

/// A descriptor of the one socket that process `pid` has.
fn listener(pid: i32) -> Result<OwnedFd> {
    let process = Pid::from_raw(pid).context("no process has this number")?;
    let process = pidfd_open(process, PidfdFlags::empty())?;
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let target = fs::read_link(&path)?;
        if let (Some(name), true) = (name, target.to_string_lossy().starts_with("socket:")) {
            return Ok(pidfd_getfd(
                &process,
                name.parse()?,
                PidfdGetfdFlags::empty(),
            )?);
        }
    }
    bail!("no socket among its descriptors")
}

/// One instruction, as the kernel takes it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Instruction {
    code: u8,
    /// The destination in the low half, the source in the high one.
    registers: u8,
    offset: i16,
    immediate: i32,
}

const fn instruction(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction {
        code,
        registers: to | from << 4,
        offset,
        immediate,
    }
}

// Offsets in struct bpf_sk_lookup.
const REMOTE_IP4: i16 = 16;
const REMOTE_IP6: i16 = 20;
const REMOTE_PORT: i16 = 36;
const LOCAL_IP4: i16 = 40;
const LOCAL_IP6: i16 = 44;
const LOCAL_PORT: i16 = 60;

// Helper functions, by number.
const MAP_LOOKUP_ELEM: i32 = 1;
const SK_RELEASE: i32 = 86;
const SK_ASSIGN: i32 = 124;

// Jumps, if equal and if not: of 64 bits and of 32.
const JEQ: u8 = 0x15;
const JNE: u8 = 0x55;
const JNE32: u8 = 0x56;

/// The program for `service`, which chooses among the first `number` sockets of `map`.
fn program(service: SocketAddr, map: i32, number: u32) -> Vec<Instruction> {
    // Of a packet of the other family the addresses are zeros here, and no service's.
    let (local, remote, ip) = match service.ip() {
        IpAddr::V4(ip) => (LOCAL_IP4, REMOTE_IP4, ip.octets().to_vec()),
        IpAddr::V6(ip) => (LOCAL_IP6, REMOTE_IP6, ip.octets().to_vec()),
    };
    let words = || (0..).step_by(4).zip(ip.chunks_exact(4));
    let mut program = vec![
        // r6 = r1: the context.
        instruction(0xbf, 6, 1, 0, 0),
        // r2 = local_port; anything but the service's: go to the end.
        instruction(0x61, 2, 6, LOCAL_PORT, 0),
        instruction(JNE, 2, 0, 0, service.port().into()),
    ];
    // r2 = a word of the local address; anything but the service's: go to the end.
    for (at, word) in words() {
        let word = [word[0], word[1], word[2], word[3]];
        program.push(instruction(0x61, 2, 6, local + at, 0));
        program.push(instruction(JNE32, 2, 0, 0, i32::from_ne_bytes(word)));
    }
    // r2 = remote_port; r2 ^= each word of the remote address.
    program.push(instruction(0x69, 2, 6, REMOTE_PORT, 0));
    for (at, _) in words() {
        program.push(instruction(0x61, 3, 6, remote + at, 0));
        program.push(instruction(0xac, 2, 3, 0, 0));
    }
    program.extend([
        // r2 *= the golden ratio; r2 >>= 16; r2 %= number: which socket.
        instruction(0x24, 2, 0, 0, 0x9e37_79b1_u32 as i32),
        instruction(0x74, 2, 0, 0, 16),
        instruction(0x94, 2, 0, 0, number as i32),
        // On the stack, at r10 - 4.
        instruction(0x63, 10, 2, -4, 0),
        // r1 = map, in two slots.
        instruction(0x18, 1, 1, 0, map),
        instruction(0x00, 0, 0, 0, 0),
        // r2 = r10 - 4: the key.
        instruction(0xbf, 2, 10, 0, 0),
        instruction(0x07, 2, 0, 0, -4),
        // r0 = the socket; none: go to the end.
        instruction(0x85, 0, 0, 0, MAP_LOOKUP_ELEM),
        instruction(JEQ, 0, 0, 0, 0),
        // r7 = the socket, which r2 has for the call, too.
        instruction(0xbf, 7, 0, 0, 0),
        instruction(0xbf, 2, 0, 0, 0),
        // Assign it to the packet of the context, without flags.
        instruction(0xbf, 1, 6, 0, 0),
        instruction(0xb7, 3, 0, 0, 0),
        instruction(0x85, 0, 0, 0, SK_ASSIGN),
        // The lookup counted a reference: give it back.
        instruction(0xbf, 1, 7, 0, 0),
        instruction(0x85, 0, 0, 0, SK_RELEASE),
    ]);
    // Every jump leads to the end. Jumps are relative to what follows them.
    let end = program.len() as i16;
    for (at, one) in (0..).zip(&mut program) {
        if matches!(one.code, JEQ | JNE | JNE32) {
            one.offset = end - (at + 1);
        }
    }
    program.extend([
        // The end: r0 = SK_PASS; the lookup goes on unless a socket was assigned.
        instruction(0xb7, 0, 0, 0, 1),
        instruction(0x95, 0, 0, 0, 0),
    ]);
    program
}

/// A `BPF_MAP_TYPE_SOCKMAP`.
struct Map(OwnedFd);

impl Map {
    fn new(size: u32) -> io::Result<Self> {
        #[repr(C)]
        struct Attributes {
            map_type: u32,
            key_size: u32,
            value_size: u32,
            max_entries: u32,
        }
        const SOCKMAP: u32 = 15;
        let attributes = Attributes {
            map_type: SOCKMAP,
            key_size: 4,
            value_size: 8,
            max_entries: size,
        };
        // SAFETY: These are attributes of BPF_MAP_CREATE, and hold no pointer.
        unsafe { bpf_fd(0, &attributes) }.map(Self)
    }

    fn set(&self, key: u32, socket: impl AsFd) -> io::Result<()> {
        #[repr(C)]
        struct Attributes {
            map_fd: u32,
            padding: u32,
            key: u64,
            value: u64,
            flags: u64,
        }
        let value = socket.as_fd().as_raw_fd() as u64;
        let attributes = Attributes {
            map_fd: self.0.as_raw_fd() as u32,
            padding: 0,
            key: &raw const key as u64,
            value: &raw const value as u64,
            flags: 0,
        };
        // SAFETY: These are attributes of BPF_MAP_UPDATE_ELEM; key and value have the map's sizes.
        unsafe { bpf(2, &attributes) }.map(drop)
    }
}

/// Loads a program of type `BPF_PROG_TYPE_SK_LOOKUP`.
fn load(program: &[Instruction]) -> Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        prog_type: u32,
        insn_cnt: u32,
        insns: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log_buf: u64,
        kern_version: u32,
        prog_flags: u32,
        prog_name: [u8; 16],
        prog_ifindex: u32,
        expected_attach_type: u32,
    }
    const PROG_TYPE_SK_LOOKUP: u32 = 30;
    let mut log = vec![0; 1 << 16];
    let attributes = Attributes {
        prog_type: PROG_TYPE_SK_LOOKUP,
        insn_cnt: program.len() as u32,
        insns: program.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        log_level: 1,
        log_size: log.len() as u32,
        log_buf: log.as_mut_ptr() as u64,
        kern_version: 0,
        prog_flags: 0,
        prog_name: [0; 16],
        prog_ifindex: 0,
        expected_attach_type: SK_LOOKUP,
    };
    // SAFETY: These are attributes of BPF_PROG_LOAD, and what they point to lives as long.
    unsafe { bpf_fd(5, &attributes) }.with_context(|| {
        let said = CStr::from_bytes_until_nul(&log).unwrap_or_default();
        format!(
            "can't load the program; the verifier says:\n{}",
            said.to_string_lossy()
        )
    })
}

/// The attach type `BPF_SK_LOOKUP`.
const SK_LOOKUP: u32 = 36;

/// Attaches a program to a network namespace.
fn attach(program: &OwnedFd, net: &File) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        prog_fd: u32,
        target_fd: u32,
        attach_type: u32,
        flags: u32,
    }
    let attributes = Attributes {
        prog_fd: program.as_raw_fd() as u32,
        target_fd: net.as_raw_fd() as u32,
        attach_type: SK_LOOKUP,
        flags: 0,
    };
    // SAFETY: These are attributes of BPF_LINK_CREATE, and hold no pointer.
    unsafe { bpf_fd(28, &attributes) }
}

/// Calls bpf(2).
///
/// # Safety
///
/// `attributes` must begin the kernel's `union bpf_attr` as `command` wants it, without padding that
/// isn't set, and its pointers must point to what the kernel is to read or write there.
unsafe fn bpf<T>(command: i32, attributes: &T) -> io::Result<i64> {
    // SAFETY: The kernel reads as many bytes as it is told; the rest is up to the caller.
    let returned = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<T>(),
        )
    };
    if returned < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(returned)
}

/// The same for commands that return a descriptor.
///
/// # Safety
///
/// As for [`bpf`]; and the command must be such a one.
unsafe fn bpf_fd<T>(command: i32, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: That is up to the caller.
    let fd = unsafe { bpf(command, attributes) }?;
    // SAFETY: The kernel made it just now.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the jumps of a program lead.
    fn targets(program: &[Instruction]) -> Vec<i16> {
        let jumps = (0..).zip(program);
        let jumps = jumps.filter(|(_, one)| matches!(one.code, JEQ | JNE | JNE32));
        jumps.map(|(at, one)| at + 1 + one.offset).collect()
    }

    #[test]
    fn every_jump_leads_to_the_end() {
        for (service, jumps) in [("192.0.2.1:80", 3), ("[2001:db8::1]:80", 6)] {
            let program = program(service.parse().unwrap(), 3, 64);
            let end = program.len() - 2;
            // Sets r0 to SK_PASS.
            assert_eq!(program[end].code, 0xb7);
            assert_eq!(targets(&program), vec![end as i16; jumps]);
        }
    }

    #[test]
    fn each_word_of_an_ipv6_address_is_compared_and_hashed() {
        let program = program("[2001:db8:1:2:3:4:5:6]:80".parse().unwrap(), 3, 64);
        let compared: Vec<_> = program
            .windows(2)
            .filter(|pair| pair[1].code == JNE32)
            .map(|pair| (pair[0].offset, pair[1].immediate.to_ne_bytes()))
            .collect();
        assert_eq!(
            compared,
            [
                (44, [0x20, 0x01, 0x0d, 0xb8]),
                (48, [0, 1, 0, 2]),
                (52, [0, 3, 0, 4]),
                (56, [0, 5, 0, 6]),
            ]
        );
        let hashed = program.windows(2).filter(|pair| pair[1].code == 0xac);
        let hashed: Vec<_> = hashed.map(|pair| pair[0].offset).collect();
        assert_eq!(hashed, [20, 24, 28, 32]);
    }
}
