// SPDX-License-Identifier: GPL-2.0

//! The daemon that is run.

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{getpid, getppid};
use rustix::process::{pidfd_open, pidfd_send_signal, Pid, PidfdFlags};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use tcp_dispatch_netlink::Address;

/// A daemon that was started.
pub struct Daemon {
    child: Child,
    pidfd: OwnedFd,
}

impl Daemon {
    /// Starts a command, with the address that it is to listen on filled in.
    /// It gets the given signal mask.
    pub fn start(
        command: &[OsString],
        service: Address,
        address: Address,
        mask: SigSet,
    ) -> io::Result<Self> {
        let mut arguments = command.iter().map(|argument| fill_in(argument, address));
        let program = arguments.next().unwrap_or_default();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("TCP_DISPATCH_ADDRESS", address.ip().to_string())
            .env("TCP_DISPATCH_PORT", address.port().to_string())
            .env("TCP_DISPATCH_SERVICE", service.to_string());
        let parent = getpid();
        // SAFETY: Between `fork` and `execve` these are system calls alone,
        // which are async-signal-safe; nothing is allocated.
        unsafe {
            command.pre_exec(move || {
                mask.thread_set_mask()?;
                // A daemon that nobody lets drain any more must not go on.
                set_pdeathsig(Signal::SIGTERM)?;
                if getppid() != parent {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                Ok(())
            });
        }
        let child = command.spawn()?;
        // It isn't waited for yet, so that the number is still its own.
        let pid = Pid::from_child(&child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        Ok(Self { child, pidfd })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal. One that has ended doesn't mind.
    pub fn signal(&self, signal: Signal) {
        if let Some(signal) = rustix::process::Signal::from_named_raw(signal as i32) {
            let _ = pidfd_send_signal(&self.pidfd, signal);
        }
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }
}

impl AsFd for Daemon {
    /// Its pidfd: readable when it has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// An argument, its `{address}` and `{port}` filled in. An IPv6 address gets no
/// brackets: not everything that takes one wants them. One that is no UTF-8
/// stays as it is.
fn fill_in(argument: &OsStr, address: Address) -> OsString {
    match argument.to_str() {
        Some(text) => text
            .replace("{address}", &address.ip().to_string())
            .replace("{port}", &address.port().to_string())
            .into(),
        None => argument.to_owned(),
    }
}

/// The exit status that stands for a daemon's end: its own, or 128 and the
/// number of the signal that killed it, as shells have it.
pub fn exit_status(status: ExitStatus) -> u8 {
    let status = match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    };
    u8::try_from(status).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals;

    fn start(command: &[&str]) -> io::Result<Daemon> {
        start_at(command, "192.0.2.1:80", "10.77.0.5:8080")
    }

    fn start_at(command: &[&str], service: &str, address: &str) -> io::Result<Daemon> {
        let command: Vec<_> = command.iter().map(OsString::from).collect();
        let (service, address) = (service.parse().unwrap(), address.parse().unwrap());
        Daemon::start(&command, service, address, SigSet::empty())
    }

    fn status(command: &[&str]) -> u8 {
        end(start(command).unwrap())
    }

    fn end(mut daemon: Daemon) -> u8 {
        signals::wait(&[daemon.as_fd()], None).unwrap();
        exit_status(daemon.ended().unwrap().expect("its pidfd is readable"))
    }

    #[test]
    fn the_address_is_filled_into_arguments_and_environment() {
        let script = "test $0 = on:10.77.0.5:8080/10.77.0.5 -a $TCP_DISPATCH_ADDRESS = 10.77.0.5 \
                      -a $TCP_DISPATCH_PORT = 8080 -a $TCP_DISPATCH_SERVICE = 192.0.2.1:80";
        let argument = "on:{address}:{port}/{address}";
        assert_eq!(status(&["sh", "-c", script, argument]), 0);
    }

    #[test]
    fn an_ipv6_address_is_filled_in_without_brackets() {
        let script = "test $0 = [fd77:6470::5]:8080/fd77:6470::5 \
                      -a $TCP_DISPATCH_ADDRESS = fd77:6470::5 \
                      -a $TCP_DISPATCH_SERVICE = [2001:db8::1]:80";
        let command = ["sh", "-c", script, "[{address}]:{port}/{address}"];
        let daemon = start_at(&command, "[2001:db8::1]:80", "[fd77:6470::5]:8080").unwrap();
        assert_eq!(end(daemon), 0);
    }

    #[test]
    fn an_end_by_itself_and_an_end_by_a_signal_are_told_apart() {
        assert_eq!(status(&["sh", "-c", "exit 7"]), 7);
        assert_eq!(status(&["sh", "-c", "kill -KILL $$"]), 137);
    }

    #[test]
    fn a_signal_reaches_the_daemon() {
        let daemon = start(&["sleep", "60"]).unwrap();
        daemon.signal(Signal::SIGTERM);
        assert_eq!(end(daemon), 143);
    }

    #[test]
    fn a_command_that_is_not_there_is_an_error() {
        let error = start(&["/no/such/daemon"]).err().expect("there is none");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
