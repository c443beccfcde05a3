// SPDX-License-Identifier: GPL-2.0

//! Control tool for tcp_dispatch.

mod accounts;
mod cli;
mod connection;
mod documents;
mod down;
mod drain;
mod failure;
mod module;
mod monitor;
mod netns;
mod nonlocal_bind;
mod output;
mod plumbing;
mod process;
mod replace;
mod rtnetlink;
mod run;
mod service;
mod signals;
mod status;
mod timestamp;
mod traffic;
mod up;

use clap::Parser;
use cli::{Cli, Command};
use failure::Failure;
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("dispatchctl: {failure}");
            failure.code()
        }
    }
}

/// Does what the command line asks.
fn run(cli: Cli) -> Result<ExitCode, Failure> {
    if let Some(name) = &cli.netns {
        netns::enter(name)?;
    }
    let shown = match cli.command {
        Command::Service(command) => service::run(command)?,
        Command::Process(command) => process::run(command)?,
        Command::Connection(command) => connection::run(command)?,
        Command::Replace(settings) => replace::run(&settings)?,
        Command::Run(settings) => return run::run(&settings),
        Command::Monitor { json } => return monitor::run(json).map(|()| ExitCode::SUCCESS),
        Command::Status { json } => status::run(json)?,
        Command::Up(settings) => up::run(&settings)?,
        Command::Down { force } => down::run(force)?,
        Command::Completions { shell } => documents::completions(shell),
        Command::Man { out } => documents::man(out.as_deref())?,
    };
    print(&shown)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes to standard output. A reader that has seen enough is no failure:
/// then there is no use in going on.
fn print(text: &str) -> Result<bool, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new("write to standard output", error)),
    }
}
