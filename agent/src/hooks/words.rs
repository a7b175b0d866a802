//! The words a script is started with. Pure.

use croft_spec::appspec::Script;

/// Program and arguments: the script itself, through `su`, `sudo` or both.
pub(super) fn of(script: &Script, path: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    if script.sudo {
        words.push("sudo".into());
    }
    match &script.runas {
        Some(user) => words.extend(["su".into(), user.clone(), "-c".into(), quoted(path)]),
        None => words.push(path.into()),
    }
    words
}

/// One word of a shell, whatever is in it.
fn quoted(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/_.-".contains(letter);
    if text.chars().all(plain) {
        return text.to_string();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use croft_proto::Place;

    #[test]
    fn a_script_is_started_as_it_is_by_su_by_sudo_or_by_both() {
        let cases: [(Option<&str>, bool, &[&str]); 4] = [
            (None, false, &["/a b's/x"]),
            (Some("web"), false, &["su", "web", "-c", r"'/a b'\''s/x'"]),
            (None, true, &["sudo", "/a b's/x"]),
            (
                Some("web"),
                true,
                &["sudo", "su", "web", "-c", r"'/a b'\''s/x'"],
            ),
        ];
        for (runas, sudo, expected) in cases {
            let script = Script {
                location: "x".into(),
                timeout_s: 1,
                runas: runas.map(str::to_string),
                sudo,
                place: Place {
                    file: "appspec.yml".into(),
                    line: 1,
                    column: 1,
                },
            };
            assert_eq!(of(&script, "/a b's/x"), expected);
        }
    }
}
