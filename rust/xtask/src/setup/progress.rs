// SPDX-License-Identifier: GPL-2.0

//! What set-up shows while it works: moving bars on a terminal, a few plain lines elsewhere.

use std::fs::{self, File};
use std::io::{IsTerminal, Read, Seek, SeekFrom, Write};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::contained::contained;
use crate::paths;

/// How often a long task says where it is when no terminal shows it.
const PLAIN_INTERVAL: Duration = Duration::from_secs(20);

/// The tasks shown at a time.
pub struct Progress {
    bars: MultiProgress,
    terminal: bool,
}

/// One thing that set-up does, from its announcement to its time.
pub struct Task {
    name: &'static str,
    started: Instant,
    bar: ProgressBar,
    bars: MultiProgress,
    terminal: bool,
    said: Mutex<Instant>,
}

impl Progress {
    /// Shows on standard error, so that output for programs stays clean.
    pub fn new() -> Self {
        Self {
            bars: MultiProgress::new(),
            terminal: std::io::stderr().is_terminal(),
        }
    }

    /// Announces a task: what is made, and what for.
    pub fn begin(&self, name: &'static str, why: &str) -> Task {
        let bar = if self.terminal {
            let style = ProgressStyle::with_template(
                "  {spinner} {prefix:<15} {elapsed:>4}  {wide_msg:.dim}",
            );
            let bar = self.bars.add(ProgressBar::new_spinner());
            bar.set_style(style.expect("the template is well formed"));
            bar.set_prefix(name);
            bar.set_message(why.to_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        } else {
            eprintln!("{name}: {why}");
            ProgressBar::hidden()
        };
        let now = Instant::now();
        let (bars, terminal) = (self.bars.clone(), self.terminal);
        Task {
            name,
            started: now,
            bar,
            bars,
            terminal,
            said: Mutex::new(now),
        }
    }

    /// Prints a line that stays.
    pub fn note(&self, line: &str) {
        if self.terminal {
            self.bars.suspend(|| eprintln!("{line}"));
        } else {
            eprintln!("{line}");
        }
    }
}

impl Task {
    /// Says what the task is at just now.
    pub fn at(&self, message: impl Into<String>) {
        let message = message.into();
        if self.terminal {
            self.bar.set_message(message);
            return;
        }
        let mut said = self
            .said
            .lock()
            .expect("no thread panics while it holds this");
        if said.elapsed() >= PLAIN_INTERVAL {
            *said = Instant::now();
            eprintln!(
                "{}: {message} ({} so far)",
                self.name,
                seconds(self.started.elapsed())
            );
        }
    }

    /// Says how much of `total` bytes is done.
    pub fn bytes(&self, what: &str, done: u64, total: u64) {
        let (done, total) = (done.min(total), total.max(1));
        self.at(format!(
            "{what}: {} of {} MB, {} %",
            done / 1_000_000,
            total / 1_000_000,
            done * 100 / total
        ));
    }

    /// Prints a line that stays.
    pub fn note(&self, line: &str) {
        let line = format!("  {:<17} {line}", self.name);
        self.bars.suspend(|| eprintln!("{line}"));
    }

    /// Ends the task and prints its time.
    pub fn done(self) {
        let time = seconds(self.started.elapsed());
        if self.terminal {
            self.bar.finish_and_clear();
            self.bars
                .suspend(|| eprintln!("  ✓ {:<15} {time}", self.name));
        } else {
            eprintln!("{}: done in {time}", self.name);
        }
    }

    /// Runs a command, its output in the task's log and the last line of it as the message.
    pub fn run(&self, command: &mut Command) -> Result<()> {
        self.run_watched(command, |line| (!line.is_empty()).then(|| line.to_owned()))
    }

    /// The same; `watch` makes the message of the last line, or keeps the message as it is.
    pub fn run_watched(
        &self,
        command: &mut Command,
        watch: impl Fn(&str) -> Option<String>,
    ) -> Result<()> {
        let shown = describe(command);
        let log = paths::cache()
            .join("log")
            .join(format!("{}.log", self.name.replace(' ', "-")));
        fs::create_dir_all(log.parent().expect("it was joined"))?;
        let output = File::options().create(true).append(true).open(&log)?;
        let mut reader = File::open(&log)?;
        writeln!(&output, "+ {shown}")?;
        reader.seek(SeekFrom::End(0))?;
        let mut child = contained(command)
            .stdin(std::process::Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("can't run `{shown}`"))?;
        let mut text = String::new();
        let status = loop {
            let status = child.try_wait()?;
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes)?;
            text.push_str(&String::from_utf8_lossy(&bytes));
            let last = text
                .lines()
                .rev()
                .find(|line| !line.trim().is_empty())
                .unwrap_or_default();
            if let Some(message) = watch(last.trim()) {
                self.at(message);
            }
            match status {
                Some(status) => break status,
                None => thread::sleep(Duration::from_millis(200)),
            }
        };
        if !status.success() {
            let lines: Vec<_> = text.lines().collect();
            let tail = lines[lines.len().saturating_sub(12)..].join("\n    ");
            bail!(
                "{}: `{}` failed ({status}). Its last lines:\n    {tail}\n  all of them: {}",
                self.name,
                shorten(&shown),
                log.display()
            );
        }
        Ok(())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A command as one could type it; of one in the build root, what runs there.
pub fn describe(command: &Command) -> String {
    let mut words: Vec<_> = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(|word| word.to_string_lossy()));
    if words.iter().any(|word| word.contains('\n')) {
        let end = words
            .iter()
            .rposition(|word| word == "--")
            .map_or(0, |at| at + 1);
        words.drain(..end);
    }
    words.join(" ")
}

/// A command for a sentence; the log has all of it.
fn shorten(shown: &str) -> String {
    let mut short: String = shown.chars().take(100).collect();
    if short.len() < shown.len() {
        short.push('…');
    }
    short
}

/// A duration for people.
pub fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{:.1} s", time.as_secs_f64()),
        short @ 1..60 => format!("{short} s"),
        long => format!("{} min {:02} s", long / 60, long % 60),
    }
}
