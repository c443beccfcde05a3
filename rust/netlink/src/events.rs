// SPDX-License-Identifier: GPL-2.0

//! A subscription to events.

use crate::event::decode_datagram;
use crate::family::Family;
use crate::socket::Socket;
use crate::{Error, Event};
use netlink_sys::protocols::NETLINK_GENERIC;
use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// The events of a network namespace, from [`Events::connect`] on.
///
/// As an iterator it blocks and never ends. Its file descriptor is readable
/// when there are events to take by [`Events::try_next`].
pub struct Events {
    socket: Socket,
    family: u16,
    /// Decoded, and not taken yet.
    pending: VecDeque<Event>,
    /// Events were lost, which is not told yet.
    overrun: bool,
}

impl Events {
    /// Subscribes to the events of the network namespace that the calling
    /// thread is in. [`Error::NotLoaded`] if the module isn't there.
    pub fn connect() -> Result<Self, Error> {
        let mut socket = Socket::open(NETLINK_GENERIC)?;
        let family = Family::resolve(&mut socket)?;
        socket.join(family.events.ok_or(Error::NoEvents)?)?;
        Ok(Self {
            socket,
            family: family.id,
            pending: VecDeque::new(),
            overrun: false,
        })
    }

    /// The next event, if it has come already.
    pub fn try_next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Ok(Some(event));
            }
            let datagram = match self.socket.try_receive() {
                Ok(Some(datagram)) => datagram,
                // From the overrun until what had come is taken, the kernel
                // drops every event and says nothing more of it. So only now
                // is all lost that will be.
                Ok(None) => return Ok(mem::take(&mut self.overrun).then_some(Event::Lost)),
                Err(Error::Overrun) => {
                    self.overrun = true;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let events = decode_datagram(&datagram, self.family)
                .map_err(|error| Error::Decode(error.to_string()))?;
            self.pending.extend(events);
        }
    }

    /// Waits for the next event, at most for `timeout` if there is one; none
    /// if none came.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Option<Event>, Error> {
        // A time too far to be reckoned with is no limit.
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            if let Some(event) = self.try_next()? {
                return Ok(Some(event));
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            let mut readable = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            match poll(&mut readable, poll_timeout(left)) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(waiting(errno.into())),
            }
        }
    }

    /// Waits for the next event. It may be dropped at any time; no event is
    /// lost by that.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime that has I/O enabled.
    #[cfg(feature = "tokio")]
    pub async fn wait_async(&mut self) -> Result<Event, Error> {
        use tokio::io::{unix::AsyncFd, Interest};

        loop {
            if let Some(event) = self.try_next()? {
                return Ok(event);
            }
            // Made for each wait, so that blocking and async calls can mix.
            let socket = self.as_fd();
            // SAFETY: A `BorrowedFd` gives the same open file descriptor at
            // all times, and this one is borrowed for as long as it's used.
            let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
            let socket = socket.map_err(|error| waiting(error.into()))?;
            let _ = socket.readable().await.map_err(waiting)?;
        }
    }
}

impl Iterator for Events {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.wait(None).transpose()
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Waiting failed.
fn waiting(source: io::Error) -> Error {
    Error::Socket {
        action: "wait for",
        source,
    }
}

/// The time to poll, in milliseconds; a part of one counts as one, so that the
/// end of a wait doesn't spin.
fn poll_timeout(left: Option<Duration>) -> PollTimeout {
    let Some(left) = left else {
        return PollTimeout::NONE;
    };
    let milliseconds = left.as_nanos().div_ceil(1_000_000);
    PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A subscription to nothing: only what is asked for comes.
    fn silent() -> Events {
        Events {
            socket: Socket::open(NETLINK_GENERIC).unwrap(),
            family: 0,
            pending: VecDeque::new(),
            overrun: false,
        }
    }

    #[test]
    fn a_wait_for_events_that_never_come_ends_in_time() {
        let time = Duration::from_millis(20);
        let start = Instant::now();
        assert_eq!(silent().wait(Some(time)).unwrap(), None);
        assert!(start.elapsed() >= time);
    }

    #[test]
    fn a_loss_is_told_once_and_after_what_came_before_it() {
        let mut events = silent();
        events.overrun = true;
        let earlier = Event::ServiceDeleted(crate::Service::new("192.0.2.1:80".parse().unwrap()));
        events.pending.push_back(earlier.clone());
        assert_eq!(events.try_next().unwrap(), Some(earlier));
        assert_eq!(events.try_next().unwrap(), Some(Event::Lost));
        assert_eq!(events.try_next().unwrap(), None);
    }

    #[cfg(feature = "tokio")]
    #[tokio::test]
    async fn an_async_wait_leaves_the_time_to_other_tasks_and_may_be_dropped() {
        let mut events = silent();
        for _ in 0..2 {
            let time = Duration::from_millis(20);
            let wait = tokio::time::timeout(time, events.wait_async());
            assert!(wait.await.is_err());
        }
    }

    #[test]
    fn a_wait_is_never_shorter_than_asked_for() {
        let milliseconds = |left| poll_timeout(Some(left)).as_millis();
        assert_eq!(milliseconds(Duration::from_micros(1)), Some(1));
        assert_eq!(milliseconds(Duration::from_millis(1500)), Some(1500));
        assert_eq!(milliseconds(Duration::MAX), Some(i32::MAX as u32));
        assert_eq!(poll_timeout(None), PollTimeout::NONE);
    }
}
