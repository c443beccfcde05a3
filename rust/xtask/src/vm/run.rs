// SPDX-License-Identifier: GPL-2.0

//! One run of the VM, from its boot to its verdict.

use std::io::{self, IsTerminal, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{self, Sender};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::{bail, Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;

use super::console::Console;
use super::initramfs;
use super::job::{self, Input, Job, Output, Stream, Streams};
use super::kernel::Kernel;
use super::machine::Machine;
use super::pump::{self, Sink};
use super::terminal::Raw;
use super::watch::{Event, Watch};
use crate::paths;

/// How long Debian's kernel may take to boot on a busy machine without KVM.
const BOOT_SECONDS: u64 = 120;

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

/// Held while a machine is made: what it inherits is open to any program that is started meanwhile,
/// and would stay open with it.
static MAKING: Mutex<()> = Mutex::new(());

/// Boots the VM for `job` and sees it through. `stage` is the image of what is built for the guest;
/// what the kernel says goes to `log`.
pub fn run(job: Job, stage: &Path, log: PathBuf) -> Result<Outcome> {
    let making = MAKING.lock().expect("nobody panics who makes a machine");
    let kernel = Kernel::open(&job.machine.kernel)?;
    let streams = Streams::of(&job);
    let mark = job::mark();
    let initramfs = initramfs::make(&kernel, &job::script(&job, streams, &mark))?;

    let mut machine = Machine::new(&job.machine);
    machine.boot(&kernel.vmlinux()?, initramfs)?;
    for image in [&paths::guest_image(), &kernel.modules_image()?, stage] {
        machine.disk(image);
    }
    let (events, received) = mpsc::channel();
    console(machine.console()?, &events);
    if let Some(dir) = &job.share {
        machine.share(dir)?;
    }
    if let Some(plugin) = job.plugin {
        machine.plugin(plugin)?;
    }
    let size = connect(&mut machine, job.input, job.output, streams, mark, &events)?;
    let verdict = machine.port("verdict")?;
    let mut answers = verdict.try_clone()?;
    lines(verdict, &events);

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
    let ports = [streams.output, streams.errors]
        .into_iter()
        .filter(|&stream| stream == Stream::Port);
    let outputs = ports.count() + usize::from(streams.terminal());
    let boot = job.machine.timeout(BOOT_SECONDS);
    let mut watch = Watch::new(&log, boot, job.timeout, outputs, size)?;
    let mut running = machine.start()?;
    drop(making);
    watch.follow(&received, &mut answers);
    let said = running.end();
    // What QEMU left in the channels.
    while let Ok(event) = received.recv_timeout(Duration::from_millis(500)) {
        watch.take(event, &mut answers);
        if watch.is_silent() {
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
