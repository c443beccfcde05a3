// SPDX-License-Identifier: GPL-2.0

//! Documents that follow from the command line: completions, manual pages.

use crate::cli::Cli;
use crate::failure::Failure;
use clap::CommandFactory;
use clap_complete::Shell;
use std::fs;
use std::path::Path;

/// The completions for a shell.
pub fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "dispatchctl", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The manual page; with a directory, writes one page a command into it.
pub fn man(directory: Option<&Path>) -> Result<String, Failure> {
    let Some(directory) = directory else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command())
            .render(&mut page)
            .map_err(|error| Failure::new("print the manual page", error))?;
        return Ok(String::from_utf8_lossy(&page).into_owned());
    };
    fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), directory))
        .map_err(|error| {
            let doing = format!("write the manual pages to {}", directory.display());
            Failure::new(doing, error)
        })?;
    Ok(String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_know_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            assert!(completions(shell).contains("connection"), "{shell}");
        }
    }

    #[test]
    fn the_manual_page_names_the_tool() {
        assert!(man(None).unwrap().contains("dispatchctl"));
    }
}
