//! Who may come in. Given what a request says of itself, a gate hands out a [`Grant`]: a role and a scope. The scope decides
//! which entries are seen and written, and comes from here alone.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use croft_keys::{Role, Tokens, token_of_authorization};

/// What a token is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What its bearer may do.
    pub role: Role,
    /// Whose entries they see and write.
    pub scope: Arc<str>,
}

/// Why somebody may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no `Authorization` header.
    #[error(
        "this cache wants a token: send 'Authorization: Bearer TOKEN', or the token as the password of Basic"
    )]
    NoToken,
    /// It is neither `Bearer` nor `Basic`, or not as those are written.
    #[error(
        "the Authorization header cannot be read: send 'Authorization: Bearer TOKEN', or the token as the password of Basic"
    )]
    Malformed,
    /// No token of that name is known.
    #[error("the token is not known here: ask the owner of this cache for one")]
    Unknown,
}

/// Decides who comes in. Asked on every request.
pub trait Gate: fmt::Debug + Send + Sync {
    /// What the bearer of that `Authorization` header may do.
    ///
    /// # Errors
    /// Who may do nothing is [`Refused`], with words for them.
    fn admit(&self, authorization: Option<&str>) -> Result<Grant, Refused>;

    /// Whether a request sent to that `Host` is meant for us.
    fn serves_host(&self, _host: &str) -> bool {
        true
    }
}

/// The address is not this machine's own, so everybody could come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("without tokens only a loopback address can be served, and {0} is none")]
pub struct NotLoopback(pub SocketAddr);

/// Everybody on this machine is a writer.
#[derive(Debug)]
pub struct OpenGate(Grant);

impl OpenGate {
    /// A gate that lets everybody write to `scope`.
    ///
    /// # Errors
    /// [`NotLoopback`] unless `address` is one that only this machine reaches.
    pub fn new(address: SocketAddr, scope: &str) -> Result<Self, NotLoopback> {
        if !address.ip().is_loopback() {
            return Err(NotLoopback(address));
        }
        Ok(Self(Grant {
            role: Role::Writer,
            scope: scope.into(),
        }))
    }
}

impl Gate for OpenGate {
    fn admit(&self, _: Option<&str>) -> Result<Grant, Refused> {
        Ok(self.0.clone())
    }

    /// A page that makes its own name mean 127.0.0.1 still sends its own name.
    fn serves_host(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let name = name.trim_start_matches('[').trim_end_matches(']');
        name.eq_ignore_ascii_case("localhost")
            || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }
}

/// Who has one of these tokens comes in.
#[derive(Debug)]
pub struct TokenGate(Tokens);

impl TokenGate {
    /// A gate for these tokens.
    #[must_use]
    pub fn new(tokens: Tokens) -> Self {
        Self(tokens)
    }
}

impl Gate for TokenGate {
    fn admit(&self, authorization: Option<&str>) -> Result<Grant, Refused> {
        let header = authorization.ok_or(Refused::NoToken)?;
        let token = token_of_authorization(header).ok_or(Refused::Malformed)?;
        let grant = self.0.check(&token).ok_or(Refused::Unknown)?;
        Ok(Grant {
            role: grant.role,
            scope: grant.scope.as_str().into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use croft_keys::{ScopeName, new_token};

    use super::*;

    #[test]
    fn a_known_token_has_its_role_and_its_scope() {
        let scope: ScopeName = "team/app".parse().unwrap();
        let made = new_token(Role::Reader, &scope).unwrap();
        let gate = TokenGate::new(Tokens::parse(&made.line).unwrap());
        let grant = gate.admit(Some(&format!("Bearer {}", made.token))).unwrap();
        assert_eq!((grant.role, &*grant.scope), (Role::Reader, "team/app"));
        let other = new_token(Role::Reader, &scope).unwrap();
        for (header, refused) in [
            (None, Refused::NoToken),
            (Some("Digest x".to_string()), Refused::Malformed),
            (Some(format!("Bearer {}", other.token)), Refused::Unknown),
            (Some("Bearer x".to_string()), Refused::Unknown),
        ] {
            assert_eq!(gate.admit(header.as_deref()), Err(refused), "{header:?}");
        }
    }

    #[test]
    fn without_tokens_only_loopback_is_served() {
        for open in ["127.0.0.1:1", "127.1.2.3:1", "[::1]:1"] {
            OpenGate::new(open.parse().unwrap(), "trusted").unwrap();
        }
        for closed in [
            "0.0.0.0:1",
            "[::]:1",
            "192.168.1.2:1",
            "[::ffff:10.0.0.1]:1",
        ] {
            OpenGate::new(closed.parse().unwrap(), "trusted").unwrap_err();
        }
    }

    #[test]
    fn without_tokens_a_foreign_name_for_this_machine_is_not_served() {
        let gate = OpenGate::new("127.0.0.1:1".parse().unwrap(), "trusted").unwrap();
        for own in [
            "localhost",
            "LOCALHOST:9092",
            "127.0.0.1:9092",
            "[::1]:9092",
            "[::1]",
        ] {
            assert!(gate.serves_host(own), "{own}");
        }
        for foreign in [
            "rebound.example:9092",
            "localhost.example",
            "10.0.0.1:9092",
            "",
        ] {
            assert!(!gate.serves_host(foreign), "{foreign}");
        }
    }
}
