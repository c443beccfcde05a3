// SPDX-License-Identifier: GPL-2.0

//! `dispatchctl run`.

mod address;
mod daemon;

use crate::cli::{ProcessName, RunSettings};
use crate::failure::{Context, Failure};
use crate::signals::{self, Arrived, Signals};
use crate::{process, service};
use address::Claim;
use daemon::{exit_status, Daemon};
use nix::sys::signal::Signal;
use std::io;
use std::os::fd::AsFd;
use std::process::{ExitCode, ExitStatus};
use std::time::{Duration, Instant};
use tcp_dispatch_netlink::{Client, Drain, DrainEnd, OwnedBy, ProcessSettings, ProcessState};

/// Signals that the daemon gets as they come; SIGTERM first lets it drain.
const PASSED_ON: [Signal; 6] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
];
/// The kernel has no event for a socket that begins to listen, so it is asked;
/// at first often, then more seldom.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// After this long without a listener the user is told what is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the end of a daemon whose registration ended is waited for.
const MOMENT: Duration = Duration::from_millis(500);
/// Exit statuses of a command that can't be executed, as shells have them.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Runs the daemon to its end and returns its exit status.
pub fn run(settings: &RunSettings) -> Result<ExitCode, Failure> {
    let command = settings.command[0].to_string_lossy().into_owned();
    let doing = format!("run {command} for service {}", settings.service);
    let mut client = Client::connect().doing(|| doing.clone())?;
    let service = service::get(&mut client, settings.service, || doing.clone())?;
    let claim = address::claim(&mut client, &service, settings.address, || doing.clone())?;
    let signals = Signals::take(&[PASSED_ON.as_slice(), &[Signal::SIGTERM]].concat())?;
    let daemon = Daemon::start(
        &settings.command,
        settings.service,
        claim.address,
        signals.before(),
    )
    .map_err(|error| {
        let status = match error.kind() {
            io::ErrorKind::NotFound => NOT_FOUND,
            _ => NOT_EXECUTABLE,
        };
        Failure::new(&doing, error).status(status)
    })?;
    let mut run = Run {
        doing,
        command,
        name: ProcessName {
            service: settings.service,
            process: claim.address,
        },
        client,
        signals,
        daemon,
        _claim: claim,
    };
    let status = match run.serve(settings) {
        Ok(status) => status,
        Err(failure) => {
            // It must not go on where nobody can find it.
            run.daemon.signal(Signal::SIGTERM);
            run.wait_for_end()?;
            return Err(failure);
        }
    };
    Ok(ExitCode::from(exit_status(status)))
}

/// A daemon on its way.
struct Run {
    /// What is being done, for a failure.
    doing: String,
    command: String,
    name: ProcessName,
    client: Client,
    signals: Signals,
    daemon: Daemon,
    _claim: Claim,
}

impl Run {
    /// From the registration to the daemon's end.
    fn serve(&mut self, settings: &RunSettings) -> Result<ExitStatus, Failure> {
        // Registered before it listens, so that the address is known to be
        // taken; down until it does, so that nobody else on the address gets
        // its connections.
        let registered = settings.options.settings().state(ProcessState::Down);
        let owner = OwnedBy::PidFd(self.daemon.as_fd());
        match process::add(&mut self.client, self.name, owner, &registered) {
            Ok(()) => {}
            // An owner that has ended can't be one; its end says more.
            Err(failure) => return Err(self.early_end_or(failure)?),
        }
        self.wait_until_it_listens()?;
        let ProcessName { service, process } = self.name;
        let active = ProcessSettings::default().state(ProcessState::Active);
        let activated = self
            .client
            .process_set(service, process, &active)
            .doing(|| self.doing.clone());
        if let Err(failure) = activated {
            return Err(self.early_end_or(failure)?);
        }
        eprintln!(
            "dispatchctl: {} (pid {}) serves {service} at {process}",
            self.command,
            self.daemon.pid()
        );
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if self.next_signal()? == Some(Signal::SIGTERM) {
                self.drain(settings.drain_timeout)?;
                self.daemon.signal(Signal::SIGTERM);
                return self.wait_for_end();
            }
            signals::wait(&[self.signals.as_fd(), self.daemon.as_fd()], None)?;
        }
    }

    fn wait_until_it_listens(&mut self) -> Result<(), Failure> {
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut told = false;
        loop {
            if let Some(failure) = self.early_end()? {
                return Err(failure);
            }
            if self.next_signal()? == Some(Signal::SIGTERM) {
                // It has no connections that could drain.
                self.daemon.signal(Signal::SIGTERM);
            }
            let found = process::get(&mut self.client, self.name, || self.doing.clone());
            match found {
                Ok(process) if process.listens() => return Ok(()),
                Ok(_) => {}
                // Its registration ended with it.
                Err(failure) => return Err(self.early_end_or(failure)?),
            }
            if !told && start.elapsed() >= PATIENCE {
                let process = self.name.process;
                eprintln!(
                    "dispatchctl: still waits for {} to listen on {process}",
                    self.command
                );
                told = true;
            }
            signals::wait(&[self.signals.as_fd(), self.daemon.as_fd()], Some(pause))?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// That the daemon has ended before it listened, or the failure that this would explain. The kernel
    /// knows of an end a moment before the daemon can be waited for.
    fn early_end_or(&mut self, failure: Failure) -> Result<Failure, Failure> {
        signals::wait(&[self.daemon.as_fd()], Some(MOMENT))?;
        Ok(self.early_end()?.unwrap_or(failure))
    }

    /// A failure, if the daemon has ended before it listened.
    fn early_end(&mut self) -> Result<Option<Failure>, Failure> {
        let Some(status) = self.ended()? else {
            return Ok(None);
        };
        let address = self.name.process;
        let cause = format!("it ended before it listened on {address}: {status}");
        let code = match exit_status(status) {
            0 => 1,
            code => code,
        };
        let failure = Failure::new(&self.doing, cause).status(code);
        let form = match address.is_ipv4() {
            true => "{address}:{port}",
            false => "[{address}]:{port}",
        };
        Ok(Some(failure.next(format!(
            "the command must stay in the foreground, and listen on {form} of its arguments"
        ))))
    }

    /// Lets the daemon's connections end, until time is up, the daemon ends by
    /// itself, or another SIGTERM comes.
    fn drain(&mut self, timeout: Duration) -> Result<(), Failure> {
        let ProcessName { service, process } = self.name;
        let mut drain = match Drain::start(&mut self.client, service, process, Some(timeout)) {
            Ok(drain) => drain,
            Err(error) => {
                // The daemon is to end in any case.
                eprintln!(
                    "dispatchctl: cannot drain process {process} of service {service}: {error}"
                );
                return Ok(());
            }
        };
        loop {
            let end = drain.wait(&mut self.client, Some(Duration::ZERO));
            match end.doing(|| self.doing.clone())? {
                DrainEnd::TimedOut => {}
                DrainEnd::Drained | DrainEnd::Deleted | DrainEnd::Active => return Ok(()),
            }
            if self.ended()?.is_some() || self.next_signal()? == Some(Signal::SIGTERM) {
                return Ok(());
            }
            let awaited = [self.signals.as_fd(), self.daemon.as_fd(), drain.as_fd()];
            signals::wait(&awaited, None)?;
        }
    }

    /// Waits for the daemon's end; signals are all passed on now.
    fn wait_for_end(&mut self) -> Result<ExitStatus, Failure> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if self.next_signal()? == Some(Signal::SIGTERM) {
                self.daemon.signal(Signal::SIGTERM);
            }
            signals::wait(&[self.signals.as_fd(), self.daemon.as_fd()], None)?;
        }
    }

    /// How the daemon ended, if it has.
    fn ended(&mut self) -> Result<Option<ExitStatus>, Failure> {
        let ended = self.daemon.ended();
        ended.map_err(|error| Failure::new(&self.doing, error))
    }

    /// The next signal that came. All but SIGTERM are passed on.
    fn next_signal(&self) -> Result<Option<Signal>, Failure> {
        let Some(arrived) = self.signals.next()? else {
            return Ok(None);
        };
        if is_passed_on(arrived) {
            self.daemon.signal(arrived.signal);
        }
        Ok(Some(arrived.signal))
    }
}

/// Whether the daemon is to get a signal at once. What the terminal sends it
/// gets by itself.
fn is_passed_on(arrived: Arrived) -> bool {
    PASSED_ON.contains(&arrived.signal) && !arrived.by_terminal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_passed_on_unless_the_daemon_got_it_or_it_is_to_drain_first() {
        let arrived = |signal, by_terminal| Arrived {
            signal,
            by_terminal,
        };
        assert!(is_passed_on(arrived(Signal::SIGHUP, false)));
        assert!(is_passed_on(arrived(Signal::SIGWINCH, false)));
        assert!(!is_passed_on(arrived(Signal::SIGINT, true)));
        assert!(!is_passed_on(arrived(Signal::SIGTERM, false)));
    }
}
