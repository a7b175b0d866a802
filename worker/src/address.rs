//! What of a repository's address may be shown. Receives addresses as a person wrote them, hands back what is safe to keep
//! in a repository's settings or a build's variables, and what has to be masked. Pure.

use crate::request::SignIn;

/// A user's name in an address that is at least so long is taken for an access token: `https://TOKEN@host/path`.
const TOKEN_CHARS_MIN: usize = 20;

/// The address without who signs in with it. The user's name stays where it is part of the address itself, as in
/// `ssh://git@host/path` or `git@host:path`.
#[must_use]
pub fn without_sign_in(address: &str) -> String {
    let Some((scheme, user, rest)) = parts(address) else {
        return address.to_string();
    };
    if is_web(scheme) {
        return format!("{scheme}://{rest}");
    }
    let name = user.split(':').next().unwrap_or_default();
    format!("{scheme}://{name}@{rest}")
}

/// What of an address nobody may see: its password, and its access token; each also as it reads without percent signs.
#[must_use]
pub fn secrets(address: &str) -> Vec<String> {
    let Some((scheme, user, _)) = parts(address) else {
        return Vec::new();
    };
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let token = (is_web(scheme) && name.len() >= TOKEN_CHARS_MIN).then_some(name);
    let mut found = Vec::new();
    for secret in token.into_iter().chain(Some(password)) {
        let decoded = decoded(secret);
        if decoded != secret {
            found.push(decoded);
        }
        found.push(secret.to_string());
    }
    found.retain(|secret| !secret.is_empty());
    found
}

/// Who signs in with an address of the web; `None` when nobody does.
#[must_use]
pub fn sign_in(address: &str) -> Option<SignIn> {
    let (scheme, user, _) = parts(address)?;
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    (is_web(scheme) && !user.is_empty()).then(|| SignIn {
        user: decoded(name),
        password: decoded(password),
    })
}

/// Scheme, host and port of an address without sign-in, when they are the web's.
pub(crate) fn web_server(address: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    (is_web(scheme) && !host.is_empty()).then(|| format!("{scheme}://{host}"))
}

/// The protocol that an address is fetched with, in git's words.
pub(crate) fn scheme(address: &str) -> &str {
    match address.split_once("://") {
        Some((scheme, _)) => scheme,
        None if address.split('/').next().unwrap_or_default().contains(':') => "ssh",
        None => "file",
    }
}

/// Scheme, user with password, and all after the `@`; `None` when nobody signs in.
fn parts(address: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = address.split_once("://")?;
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // A password may hold an `@` that was not escaped.
    let at = rest[..authority].rfind('@')?;
    Some((scheme, &rest[..at], &rest[at + 1..]))
}

fn is_web(scheme: &str) -> bool {
    ["http", "https", "ftp", "ftps"]
        .iter()
        .any(|other| scheme.eq_ignore_ascii_case(other))
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let byte = hex
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        plain.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_signs_in_is_taken_out_and_masked() {
        let token = "ghp_0123456789abcdefghij";
        let with_token = format!("https://{token}@host/a");
        for (address, shown, hidden) in [
            ("https://host/a/b@v1", "https://host/a/b@v1", vec![]),
            ("https://me:pw@host:1/a", "https://host:1/a", vec!["pw"]),
            ("https://me@host/a", "https://host/a", vec![]),
            ("https://me:p@w@host/a", "https://host/a", vec!["p@w"]),
            (
                "https://me:p%40w@host",
                "https://host",
                vec!["p@w", "p%40w"],
            ),
            ("ssh://git@host/a", "ssh://git@host/a", vec![]),
            ("ssh://git:pw@host/a", "ssh://git@host/a", vec!["pw"]),
            ("git@host:a/b", "git@host:a/b", vec![]),
            ("file:///a@b/c", "file:///a@b/c", vec![]),
            (with_token.as_str(), "https://host/a", vec![token]),
        ] {
            assert_eq!(without_sign_in(address), shown, "{address}");
            assert_eq!(secrets(address), hidden, "{address}");
        }
    }
}
