// SPDX-License-Identifier: GPL-2.0

//! Users and groups of this computer, by name.
//!
//! They are read from the files themselves: the C library's own way asks
//! services that it loads at run time, which a static program can't.

use std::fs;
use std::io;

/// A file of accounts: `NAME:password:NUMBER:…` on each line.
#[derive(Clone, Copy)]
pub struct Accounts {
    what: &'static str,
    file: &'static str,
    other_way: &'static str,
}

/// Users.
pub const USERS: Accounts = Accounts {
    what: "user",
    file: "/etc/passwd",
    other_way: "id -u NAME",
};

/// Groups.
pub const GROUPS: Accounts = Accounts {
    what: "group",
    file: "/etc/group",
    other_way: "getent group NAME",
};

impl Accounts {
    /// The number of an account that is given by name or number.
    pub fn number(&self, text: &str) -> Result<u32, String> {
        if let Ok(number) = text.parse() {
            return match number {
                u32::MAX => Err(format!("{number} is the number of no {}", self.what)),
                number => Ok(number),
            };
        }
        let accounts = match fs::read_to_string(self.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(format!("cannot read {}: {error}", self.file));
            }
            other => other.unwrap_or_default(),
        };
        find(&accounts, text).ok_or_else(|| {
            format!(
                "there is no {} {text} in {}; if another directory knows it, \
                 `{}` tells its number",
                self.what, self.file, self.other_way
            )
        })
    }
}

/// The number behind a name.
fn find(accounts: &str, name: &str) -> Option<u32> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        fields.nth(1)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "root:x:0:0::/root:/bin/sh\n# a comment\nwww-data:x:33:33:www:/:/bin/sh\n";

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        assert_eq!(find(FILE, "www-data"), Some(33));
        assert_eq!(find(FILE, "www"), None);
        assert_eq!(find(FILE, "x"), None);
    }

    #[test]
    fn an_account_that_is_not_there_is_refused_with_another_way_to_find_it() {
        let error = USERS.number("nobody-of-this-name").unwrap_err();
        assert!(error.contains("id -u NAME"), "{error}");
    }

    #[test]
    fn the_number_that_means_nobody_is_no_account() {
        assert!(USERS.number("4294967295").is_err());
        assert_eq!(USERS.number("4294967294"), Ok(4294967294));
    }
}
