// SPDX-License-Identifier: GPL-2.0

//! Control tool for tcp_dispatch.

mod cli;
mod connection;
mod documents;
mod down;
mod failure;
mod module;
mod netns;
mod output;
mod plumbing;
mod process;
mod rtnetlink;
mod service;
mod status;
mod up;

use clap::Parser;
use cli::{Cli, Command};
use failure::Failure;
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let result = run(Cli::parse()).and_then(|text| print(&text));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("dispatchctl: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Does what the command line asks and returns what there is to show.
fn run(cli: Cli) -> Result<String, Failure> {
    if let Some(name) = &cli.netns {
        netns::enter(name)?;
    }
    match cli.command {
        Command::Service(command) => service::run(command),
        Command::Process(command) => process::run(command),
        Command::Connection(command) => connection::run(command),
        Command::Status { json } => status::run(json),
        Command::Up(settings) => up::run(&settings),
        Command::Down { force } => down::run(force),
        Command::Completions { shell } => Ok(documents::completions(shell)),
        Command::Man { out } => documents::man(out.as_deref()),
    }
}

/// Writes to standard output. A reader that has seen enough is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new("write to standard output", error))
        }
        _ => Ok(()),
    }
}
