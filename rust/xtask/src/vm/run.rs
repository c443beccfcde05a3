// SPDX-License-Identifier: GPL-2.0

//! One run of the VM, from its boot to its verdict.

use std::fs::{self, File};
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;

use super::console::Console;
use super::job::{self, Input, Job, Output, Stream, Streams};
use super::kernel::Kernel;
use super::machine::Machine;
use super::pump::{self, Sink};
use super::terminal::{self, Raw};
use super::{initramfs, stage};
use crate::paths;

/// How long Debian's kernel may take to boot on a busy machine without KVM.
const BOOT_SECONDS: u64 = 120;

/// How long a guest may take to power off once it gave its verdict, and to give the rest of its
/// console once it failed.
const END: Duration = Duration::from_secs(60);

/// How a run ended.
pub struct Outcome {
    /// The command's exit status, or a sentence that says what went wrong.
    pub verdict: Result<u8, String>,
    /// What the kernel said.
    pub console: Console,
    /// Where that is kept.
    log: PathBuf,
}

impl Outcome {
    /// The command's status; if the run failed, an error, after the console's last lines.
    pub fn status(self) -> Result<ExitCode> {
        match self.verdict {
            Ok(status) => Ok(ExitCode::from(status)),
            Err(_) => bail!(self.failure().unwrap_or_default()),
        }
    }

    /// What went wrong, after showing the console's last lines.
    pub fn failure(&self) -> Option<String> {
        let sentence = self.verdict.as_ref().err()?;
        eprint!("The console's last lines:\n{}", self.console.excerpt());
        eprintln!("all of it: {}", self.log.display());
        Some(sentence.clone())
    }
}

/// What happens while the guest runs.
enum Event {
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

/// Boots the VM for `job` and sees it through.
pub fn run(job: Job) -> Result<Outcome> {
    let kernel = Kernel::open(&job.machine.kernel)?;
    let streams = Streams::of(&job);
    let mark = job::mark();
    let stage = stage::image(&job.machine.kernel, job.module)?;
    let initramfs = initramfs::make(&kernel, &job::script(&job, streams, &mark))?;

    let mut machine = Machine::new(job.machine.cpus, job.machine.megabytes(), job.machine.kvm);
    machine.boot(&kernel.vmlinux()?, initramfs)?;
    for image in [paths::guest_image(), kernel.modules_image()?, stage] {
        machine.disk(&image);
    }
    let (events, received) = mpsc::channel();
    console(machine.console()?, &events);
    if let Some(dir) = &job.share {
        machine.share(dir)?;
    }
    let size = connect(&mut machine, job.input, job.output, streams, mark, &events)?;
    let verdict = machine.port("verdict")?;
    let mut answers = verdict.try_clone()?;
    lines(verdict, &events);

    let log = paths::build().join(format!("console-{}.log", job.machine.kernel));
    let mut signals =
        Signals::new([SIGHUP, SIGINT, SIGTERM, SIGWINCH]).context("can't wait for signals")?;
    let handle = signals.handle();
    let to_main = events.clone();
    thread::spawn(move || {
        signals
            .forever()
            .all(|signal| to_main.send(Event::Signal(signal)).is_ok())
    });
    drop(events);

    let raw = (job.input == Input::Terminal)
        .then(Raw::enter)
        .transpose()?;
    if raw.is_some() {
        eprint!("Ctrl-] ends the VM.\r\n");
    }
    let mut watch = Watch {
        boot: job.machine.timeout(BOOT_SECONDS),
        timeout: job.timeout,
        outputs: usize::from(streams.terminal())
            + [streams.output, streams.errors]
                .iter()
                .filter(|&&stream| stream == Stream::Port)
                .count(),
        size,
        ..Watch::new(&log)?
    };
    let mut running = machine.start()?;
    watch.follow(&received, &mut answers);
    let said = running.end();
    // What QEMU left in the channels.
    while let Ok(event) = received.recv_timeout(Duration::from_millis(500)) {
        watch.take(event, &mut answers);
        if watch.console_ended && watch.outputs == 0 {
            break;
        }
    }
    handle.close();
    drop(raw);
    watch.console.end();
    if let Some(signal) = watch.signal {
        // As if it had ended this program itself; the guest is gone.
        signal_hook::low_level::emulate_default_handler(signal)?;
    }
    Ok(Outcome {
        verdict: watch.verdict(&said),
        console: watch.console,
        log,
    })
}

/// What is known of a guest that runs.
struct Watch {
    boot: Duration,
    timeout: Option<Duration>,
    /// Streams of output that have not ended.
    outputs: usize,
    /// Where the terminal's size goes when it changes.
    size: Option<UnixStream>,
    console: Console,
    log: File,
    ready: Option<Instant>,
    /// Statuses given, each of which should be the only one.
    statuses: Vec<u8>,
    /// What went wrong, told by the guest or seen here.
    wrong: Option<String>,
    answered: bool,
    /// Nobody takes the output.
    unwanted: bool,
    ended: bool,
    console_ended: bool,
    signal: Option<i32>,
}

impl Watch {
    fn new(log: &std::path::Path) -> Result<Self> {
        // Another run may be writing one of the same name; let it.
        match fs::remove_file(log) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("can't replace {}", log.display()));
            }
            _ => {}
        }
        let log = File::create(log).with_context(|| format!("can't write {}", log.display()))?;
        Ok(Self {
            boot: Duration::ZERO,
            timeout: None,
            outputs: 0,
            size: None,
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
    fn follow(&mut self, events: &Receiver<Event>, answers: &mut UnixStream) {
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

    fn take(&mut self, event: Event, answers: &mut UnixStream) {
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
    fn verdict(&mut self, said: &str) -> Result<u8, String> {
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

/// Connects the command's streams. Returns where the terminal's size goes, if it has one.
fn connect(
    machine: &mut Machine,
    input: Input,
    output: Output,
    streams: Streams,
    mark: String,
    events: &Sender<Event>,
) -> Result<Option<UnixStream>> {
    let pass = |from: UnixStream, mut sink: Sink| {
        let (mark, events) = (mark.clone(), events.clone());
        thread::spawn(move || {
            // Nobody waits for it once the run is over.
            let _ = events.send(Event::Output(pump::output(
                from,
                mark.as_bytes(),
                &mut sink,
            )));
        });
    };
    let feed = |to: UnixStream| {
        let events = events.clone();
        let escapes = input == Input::Terminal && io::stdin().is_terminal();
        thread::spawn(move || {
            // When the guest takes no more input, its output tells why.
            if let Ok(true) = pump::input(io::stdin(), &to, escapes) {
                let _ = events.send(Event::Escape);
            }
            // Closed only with the program: see pump::input.
            std::mem::forget(to);
        });
    };

    let mut size = None;
    if streams.terminal() {
        let terminal = machine.terminal()?;
        if streams.input == Stream::Terminal {
            feed(terminal.try_clone()?);
        }
        pass(terminal, pump::sink(io::stdout()));
        size = Some(machine.port("size")?);
    }
    if streams.input == Stream::Port {
        feed(machine.port("stdin")?);
    }
    if streams.output == Stream::Port {
        let sink = match output {
            Output::Ours => pump::sink(io::stdout()),
            Output::To(sink) => sink,
        };
        pass(machine.port("stdout")?, sink);
    }
    if streams.errors == Stream::Port {
        pass(machine.port("stderr")?, pump::sink(io::stderr()));
    }
    Ok(size)
}

/// Reports what comes on the console.
fn console(mut from: UnixStream, events: &Sender<Event>) {
    let events = events.clone();
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let length = from.read(&mut buffer).unwrap_or(0);
            if events
                .send(Event::Console(buffer[..length].to_vec()))
                .is_err()
                || length == 0
            {
                return;
            }
        }
    });
}

/// Reports each line of the verdict's port, and its end.
fn lines(from: UnixStream, events: &Sender<Event>) {
    let events = events.clone();
    thread::spawn(move || {
        for line in io::BufRead::lines(io::BufReader::new(from)).map_while(Result::ok) {
            if events.send(Event::Verdict(line)).is_err() {
                return;
            }
        }
        // Nobody waits for it once the run is over.
        let _ = events.send(Event::Ended);
    });
}
