//! From a user's name to numbers, out of the sandbox's or image's own `/etc/passwd` and `/etc/group`.
//! Read directly, since a static program has no name service to ask.

use std::fs;
use std::io;

/// Who runs a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
}

impl User {
    pub(crate) fn root() -> Self {
        Self {
            name: "root".into(),
            uid: 0,
            gid: 0,
            groups: vec![0],
            home: "/root".into(),
        }
    }

    /// The user of that name or number.
    pub(crate) fn find(wanted: &str) -> io::Result<Self> {
        if wanted == "root" || wanted == "0" {
            return Ok(Self::root());
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let group = fs::read_to_string("/etc/group").unwrap_or_default();
        find_in(&passwd, &group, wanted).ok_or_else(|| {
            let message =
                format!("unknown user {wanted:?}: it is not in this image's /etc/passwd (run-as)");
            io::Error::new(io::ErrorKind::NotFound, message)
        })
    }
}

fn find_in(passwd: &str, group: &str, wanted: &str) -> Option<User> {
    let mut user = passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, ..] = fields.as_slice() else {
            return None;
        };
        let number: u32 = uid.parse().ok()?;
        (*name == wanted || wanted.parse() == Ok(number)).then(|| User {
            name: (*name).to_string(),
            uid: number,
            gid: gid.parse().unwrap_or(number),
            groups: Vec::new(),
            home: (*home).to_string(),
        })
    })?;
    user.groups.push(user.gid);
    for line in group.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [_, _, gid, members] = fields.as_slice() else {
            continue;
        };
        if members.split(',').any(|member| member == user.name)
            && let Ok(gid) = gid.parse()
        {
            user.groups.push(gid);
        }
    }
    user.groups.dedup();
    Some(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nbuilder:x:1000:100::/home/builder:/bin/sh\nbroken\n";
    const GROUP: &str = "root:x:0:\nusers:x:100:\ndocker:x:998:other,builder\nbad\n";

    #[test]
    fn a_user_is_found_by_name_and_by_number_with_all_groups() {
        for wanted in ["builder", "1000"] {
            let user = find_in(PASSWD, GROUP, wanted).unwrap();
            assert_eq!(
                (user.uid, user.gid, user.home.as_str()),
                (1000, 100, "/home/builder")
            );
            assert_eq!(user.groups, [100, 998]);
        }
    }

    #[test]
    fn a_missing_user_is_not_found() {
        assert_eq!(find_in(PASSWD, GROUP, "nobody"), None);
    }
}
