// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask lint`: all that can be checked without running anything of the project.

mod named_tests;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{bail, ensure, Context, Result};

use crate::generate::{self, SPEC};
use crate::kernel::Kernel;
use crate::setup::progress::seconds;
use crate::{buildroot, modules, paths, setup};

/// Arguments of `cargo xtask lint`.
#[derive(clap::Args)]
pub struct Args {}

/// Checks that the specification is what the kernel's schema allows; argument 1 is the schema,
/// argument 2 the specification.
const VALIDATE: &str = "
import sys, jsonschema, yaml
schema, spec = (yaml.safe_load(open(path)) for path in sys.argv[1:3])
errors = list(jsonschema.Draft7Validator(schema).iter_errors(spec))
for error in errors:
    print('/'.join(map(str, error.absolute_path)) + ': ' + error.message, file=sys.stderr)
sys.exit(bool(errors))
";

/// Directories that hold nothing written by hand.
const PRODUCTS: [&str; 4] = ["target", "build", ".git", "__pycache__"];

/// Runs every check and tells which failed.
pub fn run(_args: Args) -> Result<ExitCode> {
    setup::ensure("stock")?;
    let files = sources(&paths::checkout())?;
    type Check<'a> = (&'a str, Box<dyn Fn() -> Result<()> + 'a>);
    let checks: [Check; 9] = [
        ("SPDX lines", Box::new(|| licences(&files))),
        ("rustfmt", Box::new(|| rustfmt(&files))),
        ("shellcheck", Box::new(|| shellcheck(&files))),
        ("Python", Box::new(|| python(&files))),
        ("netlink specification", Box::new(specification)),
        ("generated files", Box::new(generated)),
        (
            "selftests that documents name",
            Box::new(named_tests::check),
        ),
        ("clippy, host", Box::new(clippy_host)),
        ("clippy, kernel", Box::new(clippy_kernel)),
    ];
    let mut failed = Vec::new();
    for (name, check) in &checks {
        let started = Instant::now();
        match check() {
            Ok(()) => println!("ok      {name} ({})", seconds(started.elapsed())),
            Err(error) => {
                println!("FAILED  {name}: {error:#}");
                failed.push(*name);
            }
        }
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "lint: {} of {} checks failed: {}",
        failed.len(),
        checks.len(),
        failed.join("; ")
    );
    Ok(ExitCode::FAILURE)
}

/// The files of the checkout that people wrote, sorted.
fn sources(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("can't read {}", dir.display()))? {
        let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
        if PRODUCTS.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        if kind.is_dir() {
            files.extend(sources(&path)?);
        } else if kind.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a file has that extension or is run by that interpreter.
fn is(path: &Path, extension: &str, interpreters: &[&str]) -> bool {
    if let Some(found) = path.extension() {
        return found == extension;
    }
    let text = fs::read(path).unwrap_or_default();
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    let Some(line) = first.strip_prefix("#!") else {
        return false;
    };
    line.split([' ', '/'])
        .any(|word| interpreters.contains(&word))
}

/// Every file that can carry it says its licence in its first line, or its second after `#!`.
fn licences(files: &[PathBuf]) -> Result<()> {
    let excepted = |path: &Path| {
        path.ends_with("LICENSE")
            || path.ends_with("Cargo.lock")
            || path.extension().is_some_and(|found| found == "json")
    };
    let mut missing = Vec::new();
    for path in files.iter().filter(|path| !excepted(path)) {
        let text = fs::read(path)?;
        // Recorded packets and the like carry no comments.
        let Ok(text) = std::str::from_utf8(&text) else {
            continue;
        };
        let lines = if text.starts_with("#!") { 2 } else { 1 };
        if !text
            .lines()
            .take(lines)
            .any(|line| line.contains("SPDX-License-Identifier: "))
        {
            missing.push(path.strip_prefix(paths::checkout())?.display().to_string());
        }
    }
    ensure!(
        missing.is_empty(),
        "no SPDX-License-Identifier in the first line of {}",
        missing.join(", ")
    );
    Ok(())
}

/// All Rust, with the build root's rustfmt, so that everybody's is the same.
fn rustfmt(files: &[PathBuf]) -> Result<()> {
    let rust = files.iter().filter(|path| is(path, "rs", &[]));
    let mut rustfmt = buildroot::command("rustfmt");
    rustfmt.args(["--check", "--files-with-diff", "--edition", "2021"]);
    let output = rustfmt
        .args(rust)
        .output()
        .context("can't run rustfmt in the build root")?;
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(message.is_empty(), "{}", message.trim());
    // A file is named once by itself and once by each that has it as a module.
    let found = String::from_utf8_lossy(&output.stdout);
    let found: BTreeSet<_> = found.lines().filter(|line| !line.is_empty()).collect();
    ensure!(
        found.is_empty(),
        "run `rustfmt --edition 2021` on these:\n    {}",
        found.into_iter().collect::<Vec<_>>().join("\n    ")
    );
    Ok(())
}

fn shellcheck(files: &[PathBuf]) -> Result<()> {
    let scripts: Vec<_> = files
        .iter()
        .filter(|path| is(path, "sh", &["sh", "bash", "dash"]))
        .collect();
    if scripts.is_empty() {
        return Ok(());
    }
    run_check(
        buildroot::command("shellcheck")
            .arg("--external-sources")
            .args(scripts),
    )
}

fn python(files: &[PathBuf]) -> Result<()> {
    let scripts: Vec<_> = files
        .iter()
        .filter(|path| is(path, "py", &["python3"]))
        .collect();
    if scripts.is_empty() {
        return Ok(());
    }
    run_check(buildroot::command("pyflakes3").args(scripts))
}

fn specification() -> Result<()> {
    // The plain genetlink schema doesn't permit the underscore in the family's name.
    let schema = paths::linux_source().join("Documentation/netlink/genetlink-legacy.yaml");
    let mut python = buildroot::command("python3");
    run_check(
        python
            .args(["-c", VALIDATE])
            .arg(schema)
            .arg(paths::checkout().join(SPEC)),
    )
    .with_context(|| format!("{SPEC} is not what the kernel's schema allows"))
}

fn generated() -> Result<()> {
    let outdated = generate::outdated()?;
    ensure!(
        outdated.is_empty(),
        "{} not what {SPEC} makes: run `cargo xtask generate`",
        outdated.join(", ") + if outdated.len() == 1 { " is" } else { " are" }
    );
    Ok(())
}

/// The workspace, tests and optional features included, with the lints of its manifest.
fn clippy_host() -> Result<()> {
    let mut clippy = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    clippy
        .current_dir(paths::checkout())
        .args(["clippy", "--version"]);
    let there = clippy.output().is_ok_and(|output| output.status.success());
    ensure!(
        there,
        "cargo has no clippy: `rustup component add clippy`, or `apt-get install rust-clippy`"
    );
    let mut clippy = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    clippy.current_dir(paths::checkout()).args([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--locked",
    ]);
    run_check(clippy.args(["--", "--deny", "warnings"]))
}

/// The module, by the kernel's own rules, with its warnings and two of its lints made errors.
fn clippy_kernel() -> Result<()> {
    let out = paths::build().join("lint");
    let deny = "KRUSTFLAGS=-Dwarnings -Dmissing_docs -Dclippy::undocumented_unsafe_blocks";
    modules::make(Kernel::Stock, &out, &["CLIPPY=1", deny])
}

/// Runs a check; what it says goes to standard error.
fn run_check(command: &mut Command) -> Result<()> {
    let program = setup::progress::describe(command);
    let program = program.split(' ').next().unwrap_or_default().to_owned();
    let status = command
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("can't run {program}"))?;
    if !status.success() {
        bail!("{program} found what is shown above");
    }
    Ok(())
}
