// SPDX-License-Identifier: GPL-2.0

//! What the guest is to do, and how it is told.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use super::pump::Sink;
use super::{terminal, MachineArgs};

/// Something to do in the VM.
pub struct Job {
    /// The machine.
    pub machine: MachineArgs,
    /// Whether the kernel module is loaded.
    pub module: bool,
    /// What the guest sees at `/share`.
    pub share: Option<PathBuf>,
    /// What watches the guest from within QEMU.
    pub plugin: Option<Plugin>,
    /// Where the command's input comes from.
    pub input: Input,
    /// Where its output goes.
    pub output: Output,
    /// How long it may take, booting not counted.
    pub timeout: Option<Duration>,
    /// The command; none is a shell.
    pub command: Vec<OsString>,
}

/// A plugin of QEMU's.
pub struct Plugin {
    /// The shared library that it is.
    pub library: File,
    /// What it is to watch, as its argument `watch` says.
    pub watch: &'static str,
    /// What it is to write to, as its argument `output` says.
    pub output: File,
}

/// Where the command's input comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// There is none.
    None,
    /// From this program's standard input, as it is.
    Ours,
    /// From this program's terminal, every key of it.
    Terminal,
}

/// Where the command's output goes; its errors go to this program's.
pub enum Output {
    /// To this program's standard output.
    Ours,
    /// To a sink.
    To(Sink),
}

/// How the guest connects one of the command's streams.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// To nothing.
    Null,
    /// To the terminal, hvc0.
    Terminal,
    /// To a port of the stream's name.
    Port,
}

/// How the guest connects each of them.
#[derive(Clone, Copy)]
pub struct Streams {
    /// Standard input.
    pub input: Stream,
    /// Standard output.
    pub output: Stream,
    /// Standard error.
    pub errors: Stream,
}

impl Streams {
    /// What suits `job`: the command has a terminal where this program has one.
    pub fn of(job: &Job) -> Self {
        let place = |is_terminal: bool| {
            if is_terminal {
                Stream::Terminal
            } else {
                Stream::Port
            }
        };
        let input = match job.input {
            Input::None => Stream::Null,
            Input::Ours => Stream::Port,
            Input::Terminal => Stream::Terminal,
        };
        let output = match job.output {
            Output::Ours => place(std::io::stdout().is_terminal()),
            Output::To(_) => Stream::Port,
        };
        // A terminal's output is one stream: it can't come out at two places here.
        let errors = match (input, output) {
            (Stream::Terminal, _) => Stream::Terminal,
            (_, Stream::Terminal) => place(std::io::stderr().is_terminal()),
            _ => Stream::Port,
        };
        let output = if input == Stream::Terminal {
            Stream::Terminal
        } else {
            output
        };
        Self {
            input,
            output,
            errors,
        }
    }

    /// Whether any of them is the terminal.
    pub fn terminal(&self) -> bool {
        [self.input, self.output, self.errors].contains(&Stream::Terminal)
    }
}

/// What ends the command's output, so that the guest's host knows it has all.
pub fn mark() -> String {
    let random = RandomState::new();
    // A control character first, so that hardly any output has to wait for what follows it.
    format!(
        "\u{1e}{:016x}{:016x}",
        random.hash_one(0),
        random.hash_one(1)
    )
}

/// The script that tells `guest-init` about `job`.
pub fn script(job: &Job, streams: Streams, mark: &str) -> Vec<u8> {
    let flag = |set: bool| if set { "1" } else { "" };
    let stream = |stream: Stream| match stream {
        Stream::Null => "null",
        Stream::Terminal => "tty",
        Stream::Port => "port",
    };
    let (rows, columns) = terminal::size();
    let mut script = Vec::new();
    let mut set = |name: &str, value: &OsStr| {
        script.extend_from_slice(name.as_bytes());
        script.extend_from_slice(&quoted(value));
        script.push(b'\n');
    };
    set("vm_name=", format!("vm-{}", job.machine.kernel).as_ref());
    set("vm_load=", flag(job.module).as_ref());
    set("vm_share=", flag(job.share.is_some()).as_ref());
    set("vm_stdin=", stream(streams.input).as_ref());
    set("vm_stdout=", stream(streams.output).as_ref());
    set("vm_stderr=", stream(streams.errors).as_ref());
    set("vm_rows=", rows.to_string().as_ref());
    set("vm_columns=", columns.to_string().as_ref());
    set("vm_mark=", mark.as_ref());
    if streams.terminal() {
        set("export TERM=", terminal::kind().as_ref());
    }
    script.extend_from_slice(b"set --");
    for word in &job.command {
        script.push(b' ');
        script.extend_from_slice(&quoted(word));
    }
    script.push(b'\n');
    script
}

/// A word that a shell takes for just this text.
fn quoted(word: &OsStr) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for &byte in word.as_bytes() {
        match byte {
            b'\'' => quoted.extend_from_slice(br"'\''"),
            byte => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_takes_quoted_words_as_they_are() {
        for word in ["", "a b", "it's", "$HOME `ls` \\ \"", "line\nbreak", "''"] {
            let mut script = b"printf %s ".to_vec();
            script.extend(quoted(word.as_ref()));
            let output = Command::new("sh")
                .arg("-c")
                .arg(OsStr::from_bytes(&script))
                .output()
                .unwrap();
            assert_eq!(output.stdout, word.as_bytes());
        }
    }

    #[test]
    fn marks_differ() {
        assert_ne!(mark(), mark());
    }
}
