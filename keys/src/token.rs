//! Tokens of clients. Read from a file that holds only their hashes; asked on every request.
//!
//! A token is 256 random bits, so a plain BLAKE3 hash hides it: there is nothing to guess one from, and salt or a slow
//! hash would add nothing. It is hashed before it is looked up, so how long a look-up takes depends on the hash of what
//! was sent, which tells a sender nothing about the tokens there are: comparing in constant time is inherent.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use crate::{FileErrors, NoRandom, ScopeName, hex, lines, random_bytes};

/// What a holder may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads its scope and what that scope may read.
    Reader,
    /// Writes its scope, too.
    Writer,
}

/// What a token allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What may be done.
    pub role: Role,
    /// Where.
    pub scope: ScopeName,
}

/// The tokens of a file, by their hashes.
///
/// **Shape.** One token a line: `<64 hex digits of its BLAKE3 hash> reader|writer <scope> [comment]`. Empty lines, and
/// lines that start with `#`, say nothing. Taking a line away takes the token back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens(HashMap<[u8; 32], Grant>);

/// A new token: for its holder, and for the file.
#[derive(Clone, PartialEq, Eq)]
pub struct NewToken {
    /// What the holder keeps secret: `croft_<role>_<64 hex digits>`. It cannot be had again.
    pub token: String,
    /// What goes into the file, without a line's end.
    pub line: String,
}

/// A token for that role and scope.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn new_token(role: Role, scope: &ScopeName) -> Result<NewToken, NoRandom> {
    let secret: [u8; 32] = random_bytes()?;
    let token = format!("croft_{role}_{}", hex::encode(&secret));
    let line = format!("{} {role} {scope}", hex::encode(&hash(&token)));
    Ok(NewToken { token, line })
}

fn hash(token: &str) -> [u8; 32] {
    *blake3::hash(token.as_bytes()).as_bytes()
}

impl Role {
    /// True when the holder may change what its scope holds.
    #[must_use]
    pub const fn may_write(self) -> bool {
        matches!(self, Self::Writer)
    }
}

impl Tokens {
    /// The tokens of a file.
    ///
    /// # Errors
    /// Every line that is wrong, with its number; a token on two lines, too, since taking one away would not take it back.
    pub fn parse(text: &str) -> Result<Self, FileErrors> {
        let mut grants = HashMap::new();
        lines::parse(text, |fields| {
            let (hash, grant) = parse_line(fields)?;
            match grants.insert(hash, grant) {
                None => Ok(()),
                Some(_) => Err("this token is on an earlier line already".into()),
            }
        })?;
        Ok(Self(grants))
    }

    /// What that token allows; none when it is unknown, or is not of a token's form (a password somebody made up could
    /// be guessed from its hash).
    #[must_use]
    pub fn check(&self, token: &str) -> Option<&Grant> {
        let (role, secret) = token.strip_prefix("croft_")?.split_once('_')?;
        let _role: Role = role.parse().ok()?;
        let _secret: [u8; 32] = hex::decode(secret)?;
        self.0.get(&hash(token))
    }
}

fn parse_line(fields: &mut dyn Iterator<Item = &str>) -> Result<([u8; 32], Grant), String> {
    let hash = fields.next().unwrap_or_default();
    let hash = hex::decode(hash)
        .ok_or("the first word is not the hash of a token (64 lower-case hexadecimal digits)")?;
    let role = fields.next().unwrap_or_default().parse()?;
    let scope = fields.next().ok_or("after the role, name the scope")?;
    let scope = scope
        .parse()
        .map_err(|error: crate::ScopeError| error.to_string())?;
    Ok((hash, Grant { role, scope }))
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "reader" => Ok(Self::Reader),
            "writer" => Ok(Self::Writer),
            other => Err(format!(
                "the role is `reader` or `writer`, not `{}`",
                other.escape_debug()
            )),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
        })
    }
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The token itself has no place in a log.
        f.debug_struct("NewToken")
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> ScopeName {
        text.parse().unwrap()
    }

    #[test]
    fn a_new_token_is_found_by_its_line_and_its_line_does_not_show_it() {
        let made = new_token(Role::Writer, &scope("team/a")).unwrap();
        let tokens = Tokens::parse(&format!("# mine\n{} laptop\n", made.line)).unwrap();
        let grant = tokens.check(&made.token).unwrap();
        assert_eq!((grant.role, grant.scope.as_str()), (Role::Writer, "team/a"));
        let secret = made.token.rsplit('_').next().unwrap();
        assert!(!made.line.contains(secret) && !format!("{made:?}").contains(secret));
        assert_ne!(made, new_token(Role::Writer, &scope("team/a")).unwrap());
    }

    #[test]
    fn what_is_not_exactly_the_token_lets_nobody_in() {
        let made = new_token(Role::Reader, &scope("trusted")).unwrap();
        let tokens = Tokens::parse(&made.line).unwrap();
        let hash = made.line.split(' ').next().unwrap();
        let rows = [
            String::new(),
            made.token.to_uppercase(),
            made.token.replace("reader", "writer"),
            format!("{} ", made.token),
            made.token[..made.token.len() - 1].into(),
            hash.into(),
            format!("croft_reader_{hash}"),
        ];
        for token in rows {
            assert_eq!(tokens.check(&token), None, "{token:?}");
        }
    }

    #[test]
    fn a_made_up_password_is_no_token_even_when_its_hash_is_listed() {
        let line = format!("{} writer trusted", hex::encode(&hash("hunter2")));
        assert_eq!(Tokens::parse(&line).unwrap().check("hunter2"), None);
    }

    #[test]
    fn every_wrong_line_is_named_by_its_number() {
        let line = new_token(Role::Reader, &scope("a")).unwrap().line;
        let hash = line.split(' ').next().unwrap();
        let text = format!(
            "{line}\n{line}\n{hash} admin a\n{hash} reader\n{hash} reader a/*\nx reader a\n{hash}\n"
        );
        let errors = Tokens::parse(&text).unwrap_err();
        let lines: Vec<usize> = errors.0.iter().map(|error| error.line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 6, 7]);
    }
}
