// SPDX-License-Identifier: GPL-2.0

//! Placeholder: written by its own commit.

use std::process::ExitCode;

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {}

/// Runs the subcommand.
pub fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not there yet")
}
