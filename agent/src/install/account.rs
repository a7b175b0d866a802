//! Names of users and groups into numbers, before anything is changed. Asked by the planner; asks the machine's files, then
//! `getent`, which knows directories of networks too.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

/// What kind of account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Account {
    User,
    Group,
}

impl Account {
    const fn database(self) -> &'static str {
        match self {
            Self::User => "passwd",
            Self::Group => "group",
        }
    }
}

/// Those that were asked for.
#[derive(Debug, Default)]
pub(super) struct Accounts(BTreeMap<(Account, String), Option<u32>>);

impl Accounts {
    /// The account's number; a number is its own.
    pub(super) fn id(&mut self, kind: Account, name: &str) -> Option<u32> {
        if let Ok(id) = name.parse() {
            return Some(id);
        }
        *self
            .0
            .entry((kind, name.to_string()))
            .or_insert_with(|| look_up(kind, name))
    }
}

fn look_up(kind: Account, name: &str) -> Option<u32> {
    let file = format!("/etc/{}", kind.database());
    let known = std::fs::read_to_string(file).unwrap_or_default();
    known
        .lines()
        .find_map(|line| id_of(line, name))
        .or_else(|| {
            let asked = Command::new("getent")
                .args([kind.database(), name])
                .stdin(Stdio::null())
                .output();
            let answer = String::from_utf8_lossy(&asked.ok()?.stdout).into_owned();
            answer.lines().find_map(|line| id_of(line, name))
        })
}

/// The third field of the line that begins with the name, in both databases.
fn id_of(line: &str, name: &str) -> Option<u32> {
    let mut fields = line.split(':');
    (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_known_and_strangers_are_not() {
        let mut accounts = Accounts::default();
        assert_eq!(accounts.id(Account::User, "root"), Some(0));
        assert_eq!(accounts.id(Account::Group, "root"), Some(0));
        assert_eq!(accounts.id(Account::User, "4711"), Some(4711));
        assert_eq!(accounts.id(Account::User, "no-such-user-here"), None);
        assert_eq!(id_of("web:x:33:44::/:/bin/sh", "we"), None);
        assert_eq!(id_of("web:x:33:44::/:/bin/sh", "web"), Some(33));
    }
}
