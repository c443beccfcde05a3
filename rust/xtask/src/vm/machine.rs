// SPDX-License-Identifier: GPL-2.0

//! QEMU, and virtiofsd for a directory that the guest shares.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use anyhow::{ensure, Context, Result};

use super::job::Plugin;
use super::{child, MachineArgs};
use crate::{buildroot, paths};

/// What the kernel is told, besides where its console is.
///
/// What is wrong ends the guest at once, and is given time enough to be wrong without KVM, on
/// a busy machine. The kernel's tests of its ciphers are left out, a fifth of its boot.
const PARAMETERS: &str = "console=ttyS0 loglevel=5 panic=-1 oops=panic panic_on_warn=1 \
    softlockup_panic=1 watchdog_thresh=30 hung_task_panic=1 sysctl.kernel.panic_on_rcu_stall=1 \
    rcupdate.rcu_cpu_stall_timeout=60 tsc=reliable mitigations=off cryptomgr.notests=1 \
    kunit.enable=1 kunit.autorun=1";

/// A QEMU command line in the making, and what it inherits.
pub struct Machine {
    command: Command,
    inherited: Vec<OwnedFd>,
    virtiofsd: Option<Child>,
    memory: u32,
}

/// A guest that runs.
///
/// Dropped, it ends.
pub struct Running {
    qemu: Child,
    virtiofsd: Option<Child>,
    errors: Option<JoinHandle<String>>,
}

impl Machine {
    /// A machine as `args` say.
    ///
    /// KVM is used when asked for, never because it is there: `/dev/kvm` may exist and work, and
    /// the guest still hang.
    pub fn new(args: &MachineArgs) -> Self {
        let mut command = buildroot::command("qemu-system-x86_64");
        command.args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
        ]);
        command.args(["-machine", "pc,hpet=off,usb=off,smm=off"]);
        let (accel, cpu) = match (args.kvm, args.icount) {
            (true, _) => ("kvm", "host"),
            (false, true) => ("tcg,thread=single", "max"),
            (false, false) => ("tcg,thread=multi", "max"),
        };
        command.args(["-accel", accel, "-cpu", cpu]);
        if args.icount {
            command.args(["-icount", "shift=0,sleep=off"]);
        }
        let memory = args.megabytes();
        command.args(["-smp", &args.cpus.to_string(), "-m", &memory.to_string()]);
        command.args(["-device", "virtio-serial-pci"]);
        Self {
            command,
            inherited: Vec::new(),
            virtiofsd: None,
            memory,
        }
    }

    /// What it boots.
    pub fn boot(&mut self, vmlinux: &Path, initramfs: File) -> Result<()> {
        self.command
            .arg("-kernel")
            .arg(vmlinux)
            .args(["-append", PARAMETERS]);
        let number = self.inherit(initramfs)?;
        self.command
            .args(["-initrd", &format!("/proc/self/fd/{number}")]);
        Ok(())
    }

    /// Adds a disk that holds `image`: the first one is vda.
    pub fn disk(&mut self, image: &Path) {
        let mut drive = std::ffi::OsString::from("if=virtio,format=raw,readonly=on,file=");
        drive.push(image);
        self.command.arg("-drive").arg(drive);
    }

    /// The kernel's console, on a serial line: it works whatever else doesn't.
    pub fn console(&mut self) -> Result<UnixStream> {
        let ours = self.channel("console")?;
        self.command.args(["-serial", "chardev:console"]);
        Ok(ours)
    }

    /// A terminal, the guest's hvc0.
    pub fn terminal(&mut self) -> Result<UnixStream> {
        let ours = self.channel("terminal")?;
        self.command
            .args(["-device", "virtconsole,chardev=terminal"]);
        Ok(ours)
    }

    /// A port that the guest knows by its name.
    pub fn port(&mut self, name: &str) -> Result<UnixStream> {
        let ours = self.channel(name)?;
        self.command.args([
            "-device",
            &format!("virtserialport,chardev={name},name={name}"),
        ]);
        Ok(ours)
    }

    /// Shares `dir` with the guest, under the tag `share`.
    pub fn share(&mut self, dir: &Path) -> Result<()> {
        ensure!(
            dir.is_dir(),
            "can't share {}: it is no directory",
            dir.display()
        );
        // A listener without a name in any file system: there is nothing to remove later.
        let name = format!("tcp_dispatch-virtiofs-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name)?;
        let listener = UnixListener::bind_addr(&address).context("can't listen for virtiofs")?;
        let ours = UnixStream::connect_addr(&address).context("can't connect to virtiofs")?;
        child::inherit(&listener)?;
        // It serves a directory of this machine's, which the build root doesn't see, so it runs
        // outside of that, with the libraries from inside.
        let root = paths::buildroot();
        let mut command = Command::new(root.join("usr/lib64/ld-linux-x86-64.so.2"));
        command
            .arg("--library-path")
            .arg(root.join("usr/lib/x86_64-linux-gnu"));
        command.arg(root.join("usr/libexec/virtiofsd"));
        command
            .arg(format!("--fd={}", listener.as_raw_fd()))
            .arg("--shared-dir")
            .arg(dir);
        command.args(["--sandbox=chroot", "--log-level=error"]);
        let virtiofsd = child::tied(&command)
            .process_group(0)
            .stdin(Stdio::null())
            .spawn();
        self.virtiofsd = Some(virtiofsd.context("can't run the build root's virtiofsd")?);

        let number = self.inherit(ours)?;
        let memory = format!(
            "memory-backend-memfd,id=memory,size={}M,share=on",
            self.memory
        );
        self.command
            .args(["-object", &memory, "-machine", "memory-backend=memory"]);
        self.command
            .args(["-chardev", &format!("socket,id=share,fd={number}")]);
        self.command
            .args(["-device", "vhost-user-fs-pci,chardev=share,tag=share"]);
        Ok(())
    }

    /// Loads a plugin.
    pub fn plugin(&mut self, plugin: Plugin) -> Result<()> {
        let library = self.inherit(plugin.library)?;
        let output = self.inherit(plugin.output)?;
        self.command.arg("-plugin").arg(format!(
            "file=/proc/self/fd/{library},watch={},output=/proc/self/fd/{output}",
            plugin.watch
        ));
        Ok(())
    }

    /// One end of a new channel; QEMU gets the other.
    fn channel(&mut self, name: &str) -> Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair().context("can't make a channel to the guest")?;
        let number = self.inherit(theirs)?;
        self.command
            .args(["-chardev", &format!("socket,id={name},fd={number}")]);
        Ok(ours)
    }

    fn inherit(&mut self, fd: impl Into<OwnedFd>) -> Result<i32> {
        let fd = fd.into();
        let number = fd.as_raw_fd();
        self.inherited.push(fd);
        Ok(number)
    }

    /// Starts it.
    pub fn start(mut self) -> Result<Running> {
        for fd in &self.inherited {
            child::inherit(fd)?;
        }
        let mut command = child::tied(&self.command);
        // In a process group of its own: a Ctrl-C is this program's to act on.
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let virtiofsd = self.virtiofsd.take();
        let mut qemu = match command.spawn() {
            Ok(qemu) => qemu,
            Err(error) => {
                end(virtiofsd);
                return Err(error).context("can't run QEMU in the build root");
            }
        };
        let mut stderr = qemu.stderr.take().expect("it is piped");
        let errors = thread::spawn(move || {
            let mut text = String::new();
            // What can't be read is no worse than nothing said.
            let _ = stderr.read_to_string(&mut text);
            text
        });
        Ok(Running {
            qemu,
            virtiofsd,
            errors: Some(errors),
        })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        end(self.virtiofsd.take());
    }
}

impl Running {
    /// Ends the guest, and returns what QEMU had to say.
    pub fn end(&mut self) -> String {
        // It may have ended by itself.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        end(self.virtiofsd.take());
        let said = self
            .errors
            .take()
            .and_then(|errors| errors.join().ok())
            .unwrap_or_default();
        said.trim().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

fn end(child: Option<Child>) {
    if let Some(mut child) = child {
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
    }
}
