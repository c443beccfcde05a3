// SPDX-License-Identifier: GPL-2.0

//! That the selftests which documents name are there.

use std::fs;
use std::path::Path;

use anyhow::{bail, Context, Result};

use crate::paths;

/// Checks all documents.
pub fn check() -> Result<()> {
    let checkout = paths::checkout();
    let mut missing = Vec::new();
    for entry in fs::read_dir(checkout.join("Documentation"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rst") {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("can't read {}", path.display()))?;
            let absent = named(&text).filter(|(file, title)| !is_there(&checkout, file, title));
            missing.extend(absent.map(|(file, title)| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                format!("{name} names `{file}: {title}`")
            }));
        }
    }
    if !missing.is_empty() {
        bail!("no such selftest: {}", missing.join("; "));
    }
    Ok(())
}

/// The selftests that a document names in literals, as ``test_mtu: a title``: file and title.
fn named(text: &str) -> impl Iterator<Item = (String, String)> + '_ {
    let literals = text.split("``").skip(1).step_by(2);
    literals.filter_map(|literal| {
        let (file, title) = literal.split_once(':')?;
        // A literal may be broken where a line ends.
        let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_name = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let is_test = file.starts_with("test_") && is_name(file);
        (is_test && title.split(' ').all(is_name)).then(|| (file.to_owned(), title))
    })
}

/// Whether a file of selftests has one with this title, over whichever version of IP.
fn is_there(checkout: &Path, file: &str, title: &str) -> bool {
    let source = fs::read_to_string(checkout.join(format!("selftests/{file}.py")));
    let title = title.strip_suffix(" over IPv6").unwrap_or(title);
    let function = format!("\ndef {}(", title.replace(' ', "_"));
    source.is_ok_and(|source| source.contains(&function))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_named_by_file_and_title_in_a_literal() {
        let text = "It is (``test_mtu: a download\n    goes on``), ``cargo test``, ``a: b``,\n\
                    ``--filter 'test_mtu: .*ICMP'``, ``test_ends: it ends over IPv6``";
        let found: Vec<_> = named(text).collect();
        assert_eq!(
            found,
            [
                ("test_mtu".to_owned(), "a download goes on".to_owned()),
                ("test_ends".to_owned(), "it ends over IPv6".to_owned()),
            ]
        );
    }

    #[test]
    fn a_test_is_there_if_its_file_has_its_function() {
        let checkout = paths::checkout();
        let title = "a remote client is served over IPv6";
        assert!(is_there(&checkout, "test_clients", title));
        assert!(!is_there(&checkout, "test_clients", "a remote client"));
        assert!(!is_there(&checkout, "test_client", title));
    }
}
