//! What a server says when it does not do what was asked: problem JSON (RFC 9457), told to a person in a sentence with what to do
//! about it. Received from `call`; ends at `output::complain`.

use std::fmt;
use std::time::Duration;

use croft_proto::deploy::HOST_REVOKED;
use serde::Deserialize;

/// Characters shown of an answer that is no problem JSON.
const SHOWN_CHARS_MAX: usize = 200;

/// An answer that is no success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// HTTP's number.
    pub(crate) status: u16,
    /// AWS's word, such as `ResourceNotFoundException`; empty when it is not of a croft.
    pub(crate) code: String,
    /// What the server says.
    detail: String,
    /// What is wrong with what was sent, where it says so.
    pub(crate) places: Vec<Place>,
    request_id: String,
    /// When to ask again.
    pub(crate) retry_after: Option<Duration>,
    /// Where the token is from that was sent.
    token_from: String,
}

/// A part of what was sent, and why it cannot be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Place {
    /// A JSON pointer, as a fragment: `#/deploymentConfigName`.
    pointer: String,
    pub(crate) detail: String,
    /// Where in the text that stands there.
    pub(crate) within: Option<Within>,
}

/// A place within a text: its line, and the byte on it, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Within {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Place {
    /// What is wrong with all of it.
    pub(crate) const fn of_all(detail: String) -> Self {
        Self {
            pointer: String::new(),
            detail,
            within: None,
        }
    }

    /// Its JSON pointer.
    pub(crate) fn pointer(&self) -> &str {
        self.pointer.trim_start_matches('#')
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Body {
    title: String,
    detail: String,
    code: String,
    request_id: String,
    invalid_params: Vec<Place>,
}

impl Problem {
    pub(crate) fn read(
        status: u16,
        body: &[u8],
        retry_after: Option<Duration>,
        token_from: &str,
    ) -> Self {
        let body = serde_json::from_slice(body).unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(body);
            let text = croft_exec::output::plain_text(text.trim(), SHOWN_CHARS_MAX);
            Body {
                detail: format!("an answer that is not a croft server's: {text:?}"),
                ..Body::default()
            }
        });
        let detail = if body.detail.is_empty() {
            body.title
        } else {
            body.detail
        };
        Self {
            status,
            code: body.code,
            detail: croft_exec::output::plain_text(&detail, usize::MAX),
            places: body.invalid_params,
            request_id: body.request_id,
            retry_after,
            token_from: token_from.to_string(),
        }
    }

    /// True when what was asked for cannot be had, however often one asks.
    pub(crate) const fn is_callers(&self) -> bool {
        matches!(self.status, 400..=499) && !matches!(self.status, 408 | 425 | 429)
    }

    /// True when the server is of a version that has no such path.
    pub(crate) fn is_no_route(&self) -> bool {
        let is_unknown = self.status == 404 && self.code == "ResourceNotFoundException";
        self.status == 405 || (is_unknown && self.places.is_empty())
    }

    /// True when it is about what was sent, and not about who sent it.
    pub(crate) const fn is_of_what_was_sent(&self) -> bool {
        matches!(self.status, 400 | 404 | 409 | 413 | 422)
    }

    /// True when the same may go well a little later.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(self.status, 429 | 502 | 503 | 504)
    }

    fn advice(&self) -> String {
        match self.status {
            // A host signs its calls and has no token.
            401 if self.code == "UnrecognizedHostException" => self.detail.clone(),
            401 => format!(
                "the server does not know the token ({}): name one by CROFT_TOKEN or --token-file; `croft token create` makes one",
                self.token_from
            ),
            // Nor does a token help one that is out.
            403 if self.code == HOST_REVOKED => String::new(),
            403 => format!(
                "the token ({}) does not allow it: `croft token create` makes one with another role or other projects",
                self.token_from
            ),
            429 => match self.retry_after {
                Some(after) => format!("try again in {} s", after.as_secs().max(1)),
                None => "try again in a minute".into(),
            },
            // What is to be done is in the server's own words.
            507 => String::new(),
            503 => "try again in a minute".into(),
            500..=599 if !self.request_id.is_empty() => {
                format!("the server's log says more of request {}", self.request_id)
            }
            _ => String::new(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.status == 401 {
            // The server's own words are for programs.
            return write!(f, "{}", self.advice());
        }
        let detail = self.detail.trim_end_matches('.');
        if detail.is_empty() {
            write!(f, "the server answers {}", self.status)?;
        } else if self.code.is_empty() {
            write!(f, "the server answers {}: {detail}", self.status)?;
        } else {
            write!(f, "{detail}")?;
        }
        let advice = self.advice();
        if advice.is_empty() {
            return Ok(());
        }
        write!(f, "; {advice}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, body: &str) -> String {
        Problem::read(status, body.as_bytes(), None, "CROFT_TOKEN").to_string()
    }

    #[test]
    fn a_problem_is_one_sentence_with_what_to_do() {
        let body = r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"there is no project `web`.",
            "code":"ResourceNotFoundException","requestId":"r-1"}"#;
        assert_eq!(told(404, body), "there is no project `web`");
        let body = r#"{"title":"Unauthorized","code":"AccessDeniedException"}"#;
        let said = told(401, body);
        assert!(said.contains("the token (CROFT_TOKEN)"), "{said}");
        let body = r#"{"detail":"the ledger does not answer","code":"InternalServiceException","requestId":"r-2"}"#;
        let said = told(500, body);
        assert!(said.contains("ledger") && said.contains("r-2"), "{said}");
    }

    #[test]
    fn an_answer_of_something_else_is_shown_without_what_moves_a_cursor() {
        let said = told(502, "<html>\u{1b}[2J bad gateway");
        assert!(
            said.contains("502") && said.contains("bad gateway"),
            "{said}"
        );
        assert!(!said.contains('\u{1b}'), "{said:?}");
        assert_eq!(told(418, "{}"), "the server answers 418");
    }

    #[test]
    fn whose_fault_it_is_shows_in_the_number() {
        let problem = |status| Problem::read(status, b"{}", None, "");
        for status in [400, 401, 403, 404, 409, 413, 422] {
            assert!(problem(status).is_callers() && !problem(status).is_passing());
        }
        for status in [429, 500, 502, 503] {
            assert!(!problem(status).is_callers());
        }
        assert!(problem(503).is_passing() && !problem(500).is_passing());
    }
}
