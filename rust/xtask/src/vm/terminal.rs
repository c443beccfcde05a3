// SPDX-License-Identifier: GPL-2.0

//! This program's own terminal.

use std::env;
use std::io;

use anyhow::{Context, Result};
use rustix::termios::{OptionalActions, Termios};

/// The terminal's size as rows and columns, or what is usual where there is none.
pub fn size() -> (u16, u16) {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row, size.ws_col),
        _ => (24, 80),
    }
}

/// The terminal's kind, for the guest's programs.
pub fn kind() -> String {
    env::var("TERM").unwrap_or_else(|_| "linux".into())
}

/// Standard input's terminal in raw mode, for as long as this value lives.
pub struct Raw {
    before: Termios,
}

impl Raw {
    /// Lets every key through, Ctrl-C among them.
    pub fn enter() -> Result<Self> {
        let before = rustix::termios::tcgetattr(io::stdin())
            .context("can't read the terminal's settings")?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(io::stdin(), OptionalActions::Now, &raw)
            .context("can't change the terminal's settings")?;
        Ok(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal may be gone, and then so are its settings.
        let _ = rustix::termios::tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
    }
}
