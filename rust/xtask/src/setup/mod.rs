// SPDX-License-Identifier: GPL-2.0

//! Set-up: all that demo and tests need besides this checkout, made once and kept in the cache.

mod mirror;

use std::process::ExitCode;

use anyhow::Result;

pub use mirror::{mirror, sources};

/// Arguments of `cargo xtask setup`.
#[derive(clap::Args)]
pub struct Args {
    /// The kernel to prepare: stock or debug
    #[arg(long, default_value = "stock")]
    kernel: String,
}

/// Makes what is missing.
pub fn run(args: Args) -> Result<ExitCode> {
    ensure(&args.kernel)?;
    Ok(ExitCode::SUCCESS)
}

/// Makes all that is missing to boot `kernel`.
pub fn ensure(_kernel: &str) -> Result<()> {
    anyhow::bail!("not there yet")
}
