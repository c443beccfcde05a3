// SPDX-License-Identifier: GPL-2.0

//! Signals that are taken one by one, instead of being died of.

use crate::failure::Failure;
use nix::errno::Errno;
use nix::libc::SI_KERNEL;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Signals that wait to be taken. Those not taken have their effect when this
/// value is dropped.
pub struct Signals {
    fd: SignalFd,
    before: SigSet,
}

/// A signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Which one.
    pub signal: Signal,
    /// It came from the terminal, which sends it to all processes of the
    /// foreground.
    pub by_terminal: bool,
}

impl Signals {
    /// From now on these wait to be taken.
    pub fn take(signals: &[Signal]) -> Result<Self, Failure> {
        let mut mask = SigSet::empty();
        for signal in signals {
            mask.add(*signal);
        }
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let fd = SignalFd::with_flags(&mask, flags).map_err(failed)?;
        let before = mask
            .thread_swap_mask(SigmaskHow::SIG_BLOCK)
            .map_err(failed)?;
        Ok(Self { fd, before })
    }

    /// Takes the next one, if one has come.
    pub fn next(&self) -> Result<Option<Arrived>, Failure> {
        let Some(info) = self.fd.read_signal().map_err(failed)? else {
            return Ok(None);
        };
        let signal = Signal::try_from(info.ssi_signo as i32).map_err(failed)?;
        Ok(Some(Arrived {
            signal,
            by_terminal: info.ssi_code == SI_KERNEL,
        }))
    }

    /// The mask that was in force before, for a program that is started.
    pub fn before(&self) -> SigSet {
        self.before
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // A mask that was in force can be set.
        let _ = self.before.thread_set_mask();
    }
}

/// Waits until one of them is readable, at most for `timeout` if there is one.
pub fn wait(fds: &[BorrowedFd<'_>], timeout: Option<Duration>) -> Result<(), Failure> {
    let mut fds: Vec<_> = fds
        .iter()
        .map(|fd| PollFd::new(*fd, PollFlags::POLLIN))
        .collect();
    let timeout = timeout.map_or(PollTimeout::NONE, |timeout| {
        // Too early would mean to spin.
        let milliseconds = timeout.as_nanos().div_ceil(1_000_000);
        PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
    });
    match poll(&mut fds, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(failed(errno)),
    }
}

fn failed(errno: Errno) -> Failure {
    Failure::new("wait for signals", errno.desc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::pthread::{pthread_kill, pthread_self};

    #[test]
    fn a_signal_waits_to_be_taken() {
        let signals = Signals::take(&[Signal::SIGUSR1]).unwrap();
        assert_eq!(signals.next().unwrap(), None);
        // To this thread alone: others run other tests.
        pthread_kill(pthread_self(), Signal::SIGUSR1).unwrap();
        wait(&[signals.as_fd()], None).unwrap();
        let expected = Arrived {
            signal: Signal::SIGUSR1,
            by_terminal: false,
        };
        assert_eq!(signals.next().unwrap(), Some(expected));
        assert_eq!(signals.next().unwrap(), None);
    }

    #[test]
    fn the_mask_is_as_before_when_the_signals_are_dropped() {
        let before = SigSet::thread_get_mask().unwrap();
        let signals = Signals::take(&[Signal::SIGUSR2]).unwrap();
        assert!(SigSet::thread_get_mask().unwrap().contains(Signal::SIGUSR2));
        assert_eq!(signals.before(), before);
        drop(signals);
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
    }
}
