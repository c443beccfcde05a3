// SPDX-License-Identifier: GPL-2.0

//! Watching a guest: what happens, how long it may take, and what to make of it all.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use signal_hook::consts::SIGWINCH;

use super::console::Console;
use super::terminal;

/// How long a guest may take to power off once it gave its verdict, and to give the rest of its
/// console once it failed.
const END: Duration = Duration::from_secs(60);

/// What happens while the guest runs.
pub enum Event {
    /// The kernel said something; nothing when it is gone for good.
    Console(Vec<u8>),
    /// A line came on the verdict's port.
    Verdict(String),
    /// The verdict's port closed: QEMU ended.
    Ended,
    /// A stream of output ended, with its mark or without.
    Output(io::Result<bool>),
    /// The key for ending the VM was pressed.
    Escape,
    /// This program got a signal.
    Signal(i32),
}

/// What is known of a guest that runs.
pub struct Watch {
    /// How long it may take to boot.
    boot: Duration,
    /// How long the command may take.
    timeout: Option<Duration>,
    /// Streams of output that have not ended.
    outputs: usize,
    /// Where the terminal's size goes when it changes.
    size: Option<UnixStream>,
    /// What the kernel said.
    pub console: Console,
    /// Where that is kept.
    log: File,
    /// When the guest had booted.
    ready: Option<Instant>,
    /// Statuses given, each of which should be the only one.
    statuses: Vec<u8>,
    /// What went wrong, told by the guest or seen here.
    wrong: Option<String>,
    /// Whether the guest was told that all of its output is here.
    answered: bool,
    /// Nobody takes the output.
    unwanted: bool,
    /// QEMU ended.
    ended: bool,
    /// The console will say no more.
    console_ended: bool,
    /// The signal that this program is to end by.
    pub signal: Option<i32>,
}

impl Watch {
    /// Watches a guest that has `outputs` streams of output and keeps its console in `log`.
    pub fn new(
        log: &Path,
        boot: Duration,
        timeout: Option<Duration>,
        outputs: usize,
        size: Option<UnixStream>,
    ) -> Result<Self> {
        // Another run may be writing one of the same name; let it.
        match fs::remove_file(log) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("can't replace {}", log.display()));
            }
            _ => {}
        }
        let log = File::create(log).with_context(|| format!("can't write {}", log.display()))?;
        Ok(Self {
            boot,
            timeout,
            outputs,
            size,
            console: Console::default(),
            log,
            ready: None,
            statuses: Vec::new(),
            wrong: None,
            answered: false,
            unwanted: false,
            ended: false,
            console_ended: false,
            signal: None,
        })
    }

    /// Takes events until the guest ended or must be ended.
    pub fn follow(&mut self, events: &Receiver<Event>, answers: &mut UnixStream) {
        let started = Instant::now();
        let mut last_chance: Option<Instant> = None;
        while !self.ended && !self.unwanted && self.signal.is_none() {
            let is_over = !self.statuses.is_empty() && self.outputs == 0;
            if last_chance.is_none() && (is_over || self.wrong.is_some()) {
                last_chance = Some(Instant::now() + END);
            }
            let deadline = match (last_chance, self.ready, self.timeout) {
                (Some(last_chance), ..) => Some(last_chance),
                (None, Some(ready), Some(timeout)) => Some(ready + timeout),
                (None, Some(_), None) => None,
                (None, None, _) => Some(started + self.boot),
            };
            let event = match deadline {
                Some(deadline) => {
                    events.recv_timeout(deadline.saturating_duration_since(Instant::now()))
                }
                None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match event {
                Ok(Event::Escape) => {
                    self.wrong = Some("the VM was ended by Ctrl-]".into());
                    return;
                }
                Ok(event) => self.take(event, answers),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    self.wrong
                        .get_or_insert_with(|| match (self.ready, self.timeout) {
                            (None, _) => {
                                format!("the guest did not boot within {} s", self.boot.as_secs())
                            }
                            (_, Some(timeout)) if self.statuses.is_empty() => {
                                format!("the command did not end within {} s", timeout.as_secs())
                            }
                            _ => format!(
                                "the guest did not power off within {} s of its verdict",
                                END.as_secs()
                            ),
                        });
                    return;
                }
            }
        }
    }

    /// Takes an event. The guest is told once all of its output is here.
    pub fn take(&mut self, event: Event, answers: &mut UnixStream) {
        match event {
            Event::Console(bytes) if bytes.is_empty() => self.console_ended = true,
            Event::Console(bytes) => {
                self.console.feed(&bytes);
                // The log is for people; a full disk shows elsewhere soon enough.
                let _ = self.log.write_all(&bytes);
            }
            Event::Verdict(line) => self.line(&line),
            Event::Ended => self.ended = true,
            Event::Output(end) => {
                self.outputs -= 1;
                match end {
                    Ok(true) => {}
                    Ok(false) if self.ended => {}
                    Ok(false) => drop(
                        self.wrong
                            .get_or_insert("a part of the command's output is lost".into()),
                    ),
                    Err(error) => {
                        self.unwanted = true;
                        self.wrong.get_or_insert(format!(
                            "the command's output can't be written: {error}"
                        ));
                    }
                }
            }
            Event::Escape => {}
            Event::Signal(SIGWINCH) => {
                if let Some(mut to) = self.size.as_ref() {
                    let (rows, columns) = terminal::size();
                    // The guest may be ending just now.
                    let _ = writeln!(to, "{rows} {columns}");
                }
            }
            Event::Signal(signal) => self.signal = Some(signal),
        }
        if !self.statuses.is_empty() && self.outputs == 0 && !self.answered {
            self.answered = true;
            // If it can't take the answer it has ended.
            let _ = answers.write_all(b"done\n");
        }
    }

    /// Whether the guest can't say anything any more.
    pub fn is_silent(&self) -> bool {
        self.console_ended && self.outputs == 0
    }

    /// Takes a line that the guest wrote for its verdict.
    fn line(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (word, rest.parse()) {
            ("ready", _) if self.ready.is_none() => self.ready = Some(Instant::now()),
            ("exit", Ok(status)) => self.statuses.push(status),
            ("failed", _) => drop(self.wrong.get_or_insert(rest.to_owned())),
            _ => drop(
                self.wrong
                    .get_or_insert(format!("the guest said `{line}` instead of a verdict")),
            ),
        }
    }

    /// The verdict on the whole run; `said` is what QEMU had to say.
    pub fn verdict(&mut self, said: &str) -> Result<u8, String> {
        if let Some(report) = self.console.reports.first() {
            return Err(format!("the kernel reported {report}"));
        }
        if let Some(wrong) = self.wrong.take() {
            return Err(wrong);
        }
        match self.statuses[..] {
            [status] => Ok(status),
            [] if said.is_empty() => Err("the guest ended without a verdict".into()),
            [] => Err(format!(
                "the guest ended without a verdict; QEMU said: {said}"
            )),
            _ => Err(format!(
                "the guest gave {} verdicts instead of one",
                self.statuses.len()
            )),
        }
    }
}
