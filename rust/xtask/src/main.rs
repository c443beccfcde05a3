// SPDX-License-Identifier: GPL-2.0

//! Set-up, builds, the VM, tests and the demo of tcp_dispatch.

mod bench;
mod buildroot;
mod demo;
mod generate;
mod guest;
mod kernel;
mod kselftests;
mod lines;
mod lint;
mod modules;
mod paths;
mod profile;
mod setup;
mod test;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Set-up, builds, the VM, tests and the demo of tcp_dispatch.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make the build root, a kernel and the guest's image, as far as they are missing
    Setup(setup::Args),
    /// Build the kernel module
    Modules(modules::Args),
    /// Boot the VM and run a command in it
    Vm(vm::Args),
    /// Run every test, on the host and in the VM
    Test(test::Args),
    /// Run the kernel's own selftests of TCP without and with the module, and compare
    Kselftests(kselftests::Args),
    /// Measure dispatchers, this and others, in instructions
    Bench(bench::Args),
    /// Show the main job with real daemons
    Demo(demo::Args),
    /// Count instructions by function, through one dispatcher and another
    Profile(profile::Args),
    /// Check that CPUs share no cache line that an established connection's packets write
    Lines(lines::Args),
    /// Check formatting, lints, the netlink specification and what is generated from it
    Lint(lint::Args),
    /// Write again what is generated from the netlink specification
    Generate(generate::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Setup(args) => setup::run(args),
        Command::Modules(args) => modules::run(args),
        Command::Vm(args) => vm::run(args),
        Command::Test(args) => test::run(args),
        Command::Kselftests(args) => kselftests::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Profile(args) => profile::run(args),
        Command::Lines(args) => lines::run(args),
        Command::Lint(args) => lint::run(args),
        Command::Generate(args) => generate::run(args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
