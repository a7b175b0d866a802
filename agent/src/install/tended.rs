//! Whose each path is and who may do what with it: `permissions` of the AppSpec, path by path. Receives paths from the planner.

use std::collections::BTreeMap;

use croft_spec::appspec::{Permission, SelinuxContext, path_in_bundle};

use super::account::{Account, Accounts};
use super::plan::{Attributes, Permitted};

/// What an AppSpec says of one path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tended {
    pub(super) mode: Option<u32>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    /// As `setfacl` takes them, without the base entries.
    pub(super) acls: Vec<String>,
    pub(super) context: Option<SelinuxContext>,
    pub(super) permitted: Permitted,
}

impl Tended {
    /// What is left of `attributes` when this is applied.
    pub(super) fn over(&self, attributes: Attributes) -> Attributes {
        Attributes {
            mode: self.mode.unwrap_or(attributes.mode),
            uid: self.uid.unwrap_or(attributes.uid),
            gid: self.gid.unwrap_or(attributes.gid),
        }
    }

    /// What `setfacl --set` is given: what owner, group and others may do follows the mode.
    pub(super) fn acl_entries(&self, mode: u32) -> Option<String> {
        if self.acls.is_empty() {
            return None;
        }
        let base = |whom: &str, shift: u32| {
            let bits = mode >> shift;
            let may = |bit: u32, letter: char| if bits & bit == 0 { '-' } else { letter };
            format!("{whom}::{}{}{}", may(4, 'r'), may(2, 'w'), may(1, 'x'))
        };
        let mut entries = vec![base("user", 6), base("group", 3), base("other", 0)];
        entries.extend(self.acls.iter().cloned());
        Some(entries.join(","))
    }
}

/// What the AppSpec says of each of the deployment's paths, which enter with whether they are folders; or what is wrong.
pub(super) fn tended<'p>(
    permissions: &[Permission],
    paths: impl Iterator<Item = (&'p str, bool)> + Clone,
    accounts: &mut Accounts,
) -> Result<BTreeMap<String, Tended>, Vec<String>> {
    let mut found: BTreeMap<String, (Tended, u32)> = BTreeMap::new();
    let mut wrong = Vec::new();
    for permission in permissions {
        let line = permission.place.line;
        let settings = match settings(permission, accounts) {
            Ok(settings) => settings,
            Err(unknown) => {
                wrong.push(format!("{unknown} (`permissions`, line {line})"));
                continue;
            }
        };
        for (path, is_folder) in paths.clone() {
            if !is_meant(permission, path, is_folder) {
                continue;
            }
            if let Some((_, before)) = found.get(path) {
                wrong.push(format!(
                    "{path} is given permissions twice, by the entries on lines {before} and {line}"
                ));
                continue;
            }
            let mut tended = settings.clone();
            if !is_folder {
                tended.acls.retain(|entry| !entry.starts_with("default:"));
            }
            tended.permitted.path = path.to_string();
            tended.permitted.acls.clone_from(&tended.acls);
            found.insert(path.to_string(), (tended, line));
        }
    }
    if wrong.is_empty() {
        let tended = found.into_iter().map(|(path, (tended, _))| (path, tended));
        Ok(tended.collect())
    } else {
        Err(wrong)
    }
}

fn settings(permission: &Permission, accounts: &mut Accounts) -> Result<Tended, String> {
    let mut id = |kind, name: &Option<String>, what| match name {
        None => Ok(None),
        Some(name) => match accounts.id(kind, name) {
            Some(id) => Ok(Some(id)),
            None => Err(format!("this host has no {what} {name}")),
        },
    };
    let uid = id(Account::User, &permission.owner, "user")?;
    let gid = id(Account::Group, &permission.group, "group")?;
    let acls: Vec<String> = permission.acls.iter().map(ToString::to_string).collect();
    Ok(Tended {
        mode: permission.mode,
        uid,
        gid,
        context: permission.context.clone(),
        permitted: Permitted {
            path: String::new(),
            mode: permission.mode.map(|mode| format!("{mode:04o}")),
            owner: permission.owner.clone(),
            group: permission.group.clone(),
            acls: acls.clone(),
            context: permission
                .context
                .as_ref()
                .map(|context| context.kind.clone()),
        },
        acls,
    })
}

fn is_meant(permission: &Permission, path: &str, is_folder: bool) -> bool {
    let kinds = permission.kinds;
    if !(is_folder && kinds.directories() || !is_folder && kinds.files()) {
        return false;
    }
    let object = path_in_bundle(&permission.object).unwrap_or_default();
    let path = path.trim_start_matches('/');
    if path == object {
        return !is_folder;
    }
    let below = match object.as_str() {
        "" => Some(path),
        object => path
            .strip_prefix(object)
            .and_then(|rest| rest.strip_prefix('/')),
    };
    below.is_some_and(|below| permission.matches(below))
}

#[cfg(test)]
mod tests {
    use super::*;
    use croft_spec::appspec;

    fn permissions(text: &str) -> Vec<Permission> {
        let text = format!("version: 0.0\nos: linux\npermissions:\n{text}");
        let parsed = appspec::parse("appspec.yml", text.as_bytes());
        parsed
            .spec
            .unwrap_or_else(|| panic!("{:?}", parsed.diagnostics))
            .permissions
    }

    const PATHS: [(&str, bool); 5] = [
        ("/srv/app", true),
        ("/srv/app/a.txt", false),
        ("/srv/app/b.sh", false),
        ("/srv/app/sub", true),
        ("/srv/app/sub/c.sh", false),
    ];

    fn meant(text: &str) -> Vec<String> {
        let found = tended(
            &permissions(text),
            PATHS.into_iter(),
            &mut Accounts::default(),
        );
        found.unwrap().into_keys().collect()
    }

    #[test]
    fn an_entry_means_what_the_pattern_the_exceptions_and_the_type_say() {
        let table: [(&str, &[&str]); 6] = [
            (
                "  - {object: /srv/app, mode: 644}",
                &[
                    "/srv/app/a.txt",
                    "/srv/app/b.sh",
                    "/srv/app/sub",
                    "/srv/app/sub/c.sh",
                ],
            ),
            (
                "  - {object: /srv/app/, mode: 644, type: [file]}",
                &["/srv/app/a.txt", "/srv/app/b.sh", "/srv/app/sub/c.sh"],
            ),
            (
                "  - {object: /srv/app, mode: 644, pattern: '*.sh'}",
                &["/srv/app/b.sh"],
            ),
            (
                "  - {object: /srv/app, mode: 644, pattern: '*', except: [sub, b.sh]}",
                &["/srv/app/a.txt"],
            ),
            (
                "  - {object: /srv/app/a.txt, mode: 644}",
                &["/srv/app/a.txt"],
            ),
            ("  - {object: /srv/ap, mode: 644}", &[]),
        ];
        for (text, expected) in table {
            assert_eq!(meant(text), expected, "{text}");
        }
    }

    #[test]
    fn a_path_with_two_entries_and_a_stranger_are_all_said() {
        let twice = "  - {object: /srv/app, mode: 644, pattern: '*.sh'}\n  - {object: /srv/app/b.sh, mode: 755}\n  - {object: /srv/app/sub, owner: no-such-user-here}\n";
        let wrong = tended(
            &permissions(twice),
            PATHS.into_iter(),
            &mut Accounts::default(),
        );
        let wrong = wrong.unwrap_err();
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].contains("/srv/app/b.sh is given permissions twice"));
        assert!(wrong[1].contains("no user no-such-user-here"));
    }

    #[test]
    fn an_access_control_list_begins_with_what_the_mode_says() {
        let text = "  - {object: /srv/app, acls: ['u:bob:rw', 'd:g:ops:rx']}\n";
        let found = tended(
            &permissions(text),
            PATHS.into_iter(),
            &mut Accounts::default(),
        );
        let found = found.unwrap();
        assert_eq!(
            found["/srv/app/a.txt"].acl_entries(0o640).unwrap(),
            "user::rw-,group::r--,other::---,user:bob:rw-"
        );
        assert_eq!(
            found["/srv/app/sub"].acl_entries(0o755).unwrap(),
            "user::rwx,group::r-x,other::r-x,user:bob:rw-,default:group:ops:r-x"
        );
    }
}
