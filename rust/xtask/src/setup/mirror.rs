// SPDX-License-Identifier: GPL-2.0

//! Where Debian's packages come from.

use std::env;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The environment variable that overrides the mirror.
pub const OVERRIDE: &str = "TCP_DISPATCH_MIRROR";

/// The address of the Debian mirror to use.
///
/// `TCP_DISPATCH_MIRROR`, else the one that this machine's apt takes Debian from, else
/// mmdebstrap's own default.
pub fn mirror() -> String {
    static MIRROR: OnceLock<String> = OnceLock::new();
    let find = || {
        from_environment()
            .or_else(from_apt)
            .or_else(from_mmdebstrap)
            .unwrap_or_default()
    };
    MIRROR.get_or_init(find).clone()
}

/// The lines of a sources.list for `suite` (`trixie`), its updates and its backports.
pub fn sources(suite: &str) -> String {
    let mirror = mirror();
    [
        suite.to_owned(),
        format!("{suite}-updates"),
        format!("{suite}-backports"),
    ]
    .map(|suite| format!("deb {mirror} {suite} main\n"))
    .concat()
}

fn from_environment() -> Option<String> {
    env::var(OVERRIDE)
        .ok()
        .filter(|uri| !uri.is_empty())
        .map(|uri| uri.trim_end_matches('/').to_owned())
}

/// What apt has in its lists; on a machine that never updated them, after an update.
fn from_apt() -> Option<String> {
    let debian = fs::read_to_string("/etc/os-release")
        .unwrap_or_default()
        .lines()
        .any(|line| line == "ID=debian");
    if !debian {
        return None;
    }
    let targets = || {
        let mut command = Command::new("apt-get");
        command.args([
            "indextargets",
            "--format",
            "$(ORIGIN)|$(COMPONENT)|$(RELEASE)|$(REPO_URI)",
        ]);
        command
            .output()
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_default()
    };
    choose(&targets()).or_else(|| {
        let _ = Command::new("apt-get")
            .args(["--quiet", "update"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        choose(&targets())
    })
}

/// The repository among `targets` that carries a release of Debian itself.
fn choose(targets: &str) -> Option<String> {
    targets.lines().find_map(|line| {
        let fields: Vec<_> = line.splitn(4, '|').collect();
        match fields[..] {
            // Updates, backports and security have a dash in their suite.
            ["Debian", "main", release, uri] if !release.contains(['-', '/']) => {
                Some(uri.trim_end_matches('/').to_owned())
            }
            _ => None,
        }
    })
}

/// What mmdebstrap writes into a tree's sources.list if it isn't told; it downloads nothing.
fn from_mmdebstrap() -> Option<String> {
    let show = "--setup-hook=cat \"$1\"/etc/apt/sources.list; exit 1";
    let output = Command::new("mmdebstrap")
        .args(["--format=null", show, "trixie", "/dev/null"])
        .output()
        .ok()?;
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    list.lines()
        .find_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
            ["deb", uri, "trixie", ..] => Some(uri.trim_end_matches('/').to_owned()),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::choose;

    #[test]
    fn neither_security_nor_a_vendor_is_taken_for_debian() {
        let targets = "Google|main|cloud-sdk|http://vendor.example/apt/\n\
                       Debian|main|bookworm-security|http://mirror.example/debian-security/\n\
                       Debian|main|bookworm|http://mirror.example/debian/\n";
        assert_eq!(
            choose(targets).as_deref(),
            Some("http://mirror.example/debian")
        );
        assert_eq!(choose("|main|nodistro|http://vendor.example/node/\n"), None);
    }
}
