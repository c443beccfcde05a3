// SPDX-License-Identifier: GPL-2.0

//! `dispatchctl replace`.

use crate::cli::{ProcessName, ReplaceSettings};
use crate::failure::{Context, Failure, USAGE};
use crate::signals::{self, Signals};
use crate::{drain, process};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use tcp_dispatch_netlink::{Client, OwnedBy, Process, ProcessSettings, ProcessState};

/// The kernel has no event for a socket that begins to listen, so it is asked;
/// at first often, then more seldom.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Replaces the process; returns what there is to show.
pub fn run(settings: &ReplaceSettings) -> Result<String, Failure> {
    let ReplaceSettings {
        service, old, new, ..
    } = *settings;
    let doing = || format!("replace process {old} of service {service} by {new}");
    if old == new {
        let cause = "they are the same";
        return Err(Failure::new(doing(), cause).status(USAGE));
    }
    let name = |process| ProcessName { service, process };
    let signals = Signals::take(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP])?;
    let mut client = Client::connect().doing(doing)?;
    let old_process = process::get(&mut client, name(old), doing)?;
    let change = prepare(&mut client, name(new), &old_process, doing)?;
    let listens = wait_until_it_listens(&mut client, name(new), settings.timeout, &signals, doing);
    let drained = listens.and_then(|()| match old_process.state {
        ProcessState::Down => Ok(None),
        _ => drain::start(&mut client, name(old), settings.drain_timeout).map(Some),
    });
    let drained = drained.inspect_err(|_| change.undo(&mut client, name(new)))?;
    // From here on nothing needs to be taken back.
    drop(signals);
    if let Some(mut drain) = drained.filter(|_| settings.wait) {
        drain::wait(&mut client, &mut drain, name(old))?;
    }
    Ok(String::new())
}

/// What was done to the new process before it was known to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Nothing,
    Registered,
    /// It was in this state before.
    Activated(ProcessState),
}

/// Lets the new process get connections as soon as it listens.
fn prepare(
    client: &mut Client,
    new: ProcessName,
    old: &Process,
    doing: impl Fn() -> String,
) -> Result<Change, Failure> {
    let found = match client.process_get(new.service, new.process) {
        Err(error) if error.errno() == Some(Errno::ENOENT as i32) => None,
        other => Some(other.doing(&doing)?),
    };
    let Some(found) = found else {
        let settings = ProcessSettings::default()
            .weight(old.weight)
            .cpus(&old.cpus);
        process::add(client, new, OwnedBy::Nobody, &settings)?;
        return Ok(Change::Registered);
    };
    if found.weight == 0 && old.weight > 0 {
        let (service, process) = (new.service, new.process);
        return Err(Failure::new(
            doing(),
            "the new process has weight 0: it gets no connections",
        )
        .next(format!(
            "`dispatchctl process set {service} {process} --weight {}` gives it the old \
                     one's",
            old.weight
        )));
    }
    if found.state == ProcessState::Active {
        return Ok(Change::Nothing);
    }
    let active = ProcessSettings::default().state(ProcessState::Active);
    client
        .process_set(new.service, new.process, &active)
        .doing(doing)?;
    Ok(Change::Activated(found.state))
}

impl Change {
    /// Takes it back; says so if that fails.
    fn undo(self, client: &mut Client, new: ProcessName) {
        let ProcessName { service, process } = new;
        let undone = match self {
            Self::Nothing => return,
            Self::Registered => client.process_del(service, process),
            Self::Activated(state) => {
                let before = ProcessSettings::default().state(state);
                client.process_set(service, process, &before)
            }
        };
        if let Err(error) = undone {
            eprintln!(
                "dispatchctl: cannot set process {process} of service {service} back: {error}"
            );
        }
    }
}

fn wait_until_it_listens(
    client: &mut Client,
    new: ProcessName,
    timeout: Duration,
    signals: &Signals,
    doing: impl Fn() -> String,
) -> Result<(), Failure> {
    let end = Instant::now().checked_add(timeout);
    let mut pause = FIRST_PAUSE;
    loop {
        if process::get(client, new, &doing)?.listens() {
            return Ok(());
        }
        if let Some(arrived) = signals.next()? {
            let cause = format!("interrupted by {}; nothing has changed", arrived.signal);
            return Err(Failure::new(doing(), cause).status(128 + arrived.signal as u8));
        }
        let left = end.map_or(LONGEST_PAUSE, |end| {
            end.saturating_duration_since(Instant::now())
        });
        if left.is_zero() {
            let cause = format!(
                "nobody listened on {} within {} s; nothing has changed",
                new.process,
                timeout.as_secs_f32()
            );
            return Err(Failure::new(doing(), cause)
                .next("start the new daemon on that address, or give it more time by --timeout"));
        }
        signals::wait(&[signals.as_fd()], Some(pause.min(left)))?;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
