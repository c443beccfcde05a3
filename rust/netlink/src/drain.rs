// SPDX-License-Identifier: GPL-2.0

//! Draining: waiting for the end of a process's last connection.

use crate::{address, Address, Client, Error, Events, ProcessSettings, ProcessState};
use nix::errno::Errno;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// How a wait for the end of a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainEnd {
    /// The process has no connection any more. It is down.
    Drained,
    /// The registration isn't there any more. Connections may be left.
    Deleted,
    /// The process is active: nobody drains it, or not any more.
    Active,
    /// Time is up, and there are connections left.
    TimedOut,
}

/// A process that drains.
///
/// Events only tell it when to look; what it says is what the kernel answers.
/// So it doesn't matter which events came before it looked, or were lost.
pub struct Drain {
    events: Events,
    service: Address,
    process: Address,
}

impl Drain {
    /// Lets a process drain: it gets no new connections, and keeps those that
    /// it has. With a timeout, those that are left afterwards are reset.
    pub fn start(
        client: &mut Client,
        service: Address,
        process: Address,
        timeout: Option<Duration>,
    ) -> Result<Self, Error> {
        let drain = Self::watch(service, process)?;
        let mut settings = ProcessSettings::default().state(ProcessState::Draining);
        if let Some(timeout) = timeout {
            settings = settings.drain_timeout(timeout);
        }
        client.process_set(service, process, &settings)?;
        Ok(drain)
    }

    /// Watches a process that somebody else lets drain.
    pub fn watch(service: Address, process: Address) -> Result<Self, Error> {
        Ok(Self {
            events: Events::connect()?,
            service: address::plain(service),
            process: address::plain(process),
        })
    }

    /// Waits until the process has drained, at most for `timeout` if there is
    /// one. `client` may be any of the same network namespace.
    pub fn wait(
        &mut self,
        client: &mut Client,
        timeout: Option<Duration>,
    ) -> Result<DrainEnd, Error> {
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            if let Some(end) = self.look(client)? {
                return Ok(end);
            }
            loop {
                let left = end.map(|end| end.saturating_duration_since(Instant::now()));
                match self.events.wait(left)? {
                    None => return Ok(DrainEnd::TimedOut),
                    Some(event) if event.concerns(self.service, self.process) => break,
                    Some(_) => {}
                }
            }
        }
    }

    /// As [`Drain::wait`], without a timeout: `tokio::time::timeout` may drop
    /// it at any time.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime that has I/O enabled.
    #[cfg(feature = "tokio")]
    pub async fn wait_async(&mut self, client: &mut Client) -> Result<DrainEnd, Error> {
        loop {
            if let Some(end) = self.look(client)? {
                return Ok(end);
            }
            while !self
                .events
                .wait_async()
                .await?
                .concerns(self.service, self.process)
            {}
        }
    }

    /// How the drain has ended, unless it goes on.
    fn look(&self, client: &mut Client) -> Result<Option<DrainEnd>, Error> {
        match client.process_get(self.service, self.process) {
            Ok(process) => Ok(ended(process.state)),
            Err(error) if error.errno() == Some(Errno::ENOENT as i32) => {
                Ok(Some(DrainEnd::Deleted))
            }
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Drain {
    /// Readable when it may have ended: then a [`Drain::wait`] of no time
    /// tells.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

/// How a drain has ended, by the state of its process.
fn ended(state: ProcessState) -> Option<DrainEnd> {
    match state {
        ProcessState::Draining => None,
        ProcessState::Down => Some(DrainEnd::Drained),
        ProcessState::Active | ProcessState::Other(_) => Some(DrainEnd::Active),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_goes_on_while_the_process_is_draining() {
        assert_eq!(ended(ProcessState::Draining), None);
        assert_eq!(ended(ProcessState::Down), Some(DrainEnd::Drained));
        assert_eq!(ended(ProcessState::Active), Some(DrainEnd::Active));
    }
}
