// SPDX-License-Identifier: GPL-2.0

//! Where Debian's packages come from.

use std::env;
use std::process::Command;

/// The environment variable that overrides the mirror.
pub const OVERRIDE: &str = "TCP_DISPATCH_MIRROR";

/// The address of the Debian mirror to use; empty where mmdebstrap's own default is to be used.
///
/// `TCP_DISPATCH_MIRROR`, else the one that this machine's apt takes Debian's `main` from.
pub fn mirror() -> String {
    if let Some(uri) = env::var(OVERRIDE).ok().filter(|uri| !uri.is_empty()) {
        return uri.trim_end_matches('/').to_owned();
    }
    let targets = Command::new("apt-get")
        .args(["indextargets", "--format", "$(IDENTIFIER)|$(COMPONENT)|$(CODENAME)|$(REPO_URI)", "Created-By: Packages"])
        .output();
    let Ok(targets) = targets else { return String::new() };
    let targets = String::from_utf8_lossy(&targets.stdout).into_owned();
    choose(&targets).unwrap_or_default().trim_end_matches('/').to_owned()
}

/// The repository among `targets` that carries a release of Debian itself.
fn choose(targets: &str) -> Option<&str> {
    targets.lines().find_map(|line| {
        let mut fields = line.splitn(4, '|');
        let (_, component, codename, uri) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let release = ["bookworm", "trixie", "forky", "sid"].contains(&codename);
        (component == "main" && release && !uri.contains("security")).then_some(uri)
    })
}

/// The lines of a sources.list for `suite` (`trixie`), its updates and its backports.
pub fn sources(suite: &str) -> String {
    let mirror = mirror();
    [suite.to_owned(), format!("{suite}-updates"), format!("{suite}-backports")]
        .map(|suite| format!("deb {mirror} {suite} main\n"))
        .concat()
}
