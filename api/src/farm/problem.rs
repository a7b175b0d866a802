//! What went wrong, as a caller is told: RFC 9457's problem JSON with AWS's word for it. Made by every step of an answer; what is
//! inside of a server stays in its log.

use axum::body::Body;
use axum::http::header::{CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use croft_deploy::server::Position;
use croft_proto::shape::{Mistake, pointer};
use croft_scheduler::{Failed, Refusal, Refused};
use serde_json::{Value, json};

use super::limits::RETRY_AFTER_SECONDS;
use crate::chain::chain;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// AWS's word, or one like it.
    pub(super) code: &'static str,
    /// For a person: what happened, to what, what to do.
    pub(super) detail: String,
    /// All that is wrong, when it is more than one thing.
    pub(super) errors: Vec<String>,
    /// Where in the body each of these is.
    pub(super) places: Option<Box<Places>>,
    /// Seconds after which it may be asked again.
    pub(super) retry_after: Option<u64>,
    /// How many bytes a file has, when others of it were asked for.
    pub(super) of_bytes: Option<u64>,
    /// Whether nothing has changed, since the ledger took nothing.
    is_unwritten: bool,
}

/// A place for each of a problem's errors. In a box: most problems have none, and all are handed from function to function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Places(Vec<Place>);

/// Where in the body something is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// A JSON pointer, as a fragment.
    pointer: String,
    /// Where in the text that stands there.
    within: Option<Position>,
}

impl Place {
    fn of(body: &Value, path: &str) -> Self {
        Self {
            pointer: format!("#{}", pointer(body, path)),
            within: None,
        }
    }

    fn shown(&self, why: &str) -> Value {
        let mut shown = json!({"pointer": self.pointer, "detail": why});
        if let Some(Position { line, column }) = self.within {
            shown["within"] = json!({"line": line, "column": column});
        }
        shown
    }
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
            places: None,
            retry_after: None,
            of_bytes: None,
            is_unwritten: false,
        }
    }

    /// Whether it is sure that nothing was changed.
    pub(super) fn is_of_no_change(&self) -> bool {
        self.status.is_client_error() || self.is_unwritten
    }

    /// The caller wrote something that cannot be.
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidInputException", detail)
    }

    /// The same, of several things.
    pub(super) fn all_invalid(errors: Vec<String>) -> Self {
        Self {
            errors: errors.clone(),
            ..Self::invalid(errors.join("; "))
        }
    }

    /// A body that is not as its shape says: each mistake with its place there.
    pub(super) fn mistaken(body: &Value, mistakes: &[Mistake]) -> Self {
        let errors: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
        let places = errors.iter().map(|error| Place::of(body, error));
        let places = Places(places.collect());
        Self {
            places: Some(Box::new(places)),
            ..Self::all_invalid(errors)
        }
    }

    /// Queries that are none: each with its place in the body, and where in the query it is wrong.
    pub(super) fn no_queries(body: &Value, wrong: Vec<croft_deploy::server::Wrong>) -> Self {
        let place = |one: &croft_deploy::server::Wrong| Place {
            within: one.within,
            ..Place::of(body, &one.said)
        };
        let places = Places(wrong.iter().map(place).collect());
        Self {
            places: Some(Box::new(places)),
            ..Self::all_invalid(wrong.into_iter().map(|one| one.said).collect())
        }
    }

    /// A change that was refused for what stands in its body at that key.
    pub(super) fn refused_for(
        body: &Value,
        key: &str,
        refused: croft_deploy::server::Refused,
    ) -> Self {
        use croft_deploy::Refusal;
        use croft_deploy::server::Refused;
        match refused {
            // Each begins with its path.
            Refused::Rule(Refusal::Wrong(errors)) => {
                let mistakes: Vec<_> = errors.into_iter().map(Mistake::of_value).collect();
                Self::mistaken(body, &mistakes)
            }
            Refused::Rule(rule) => {
                let problem = Self::from(rule);
                let place = Place::of(body, key);
                Self {
                    errors: vec![problem.detail.clone()],
                    places: Some(Box::new(Places(vec![place]))),
                    ..problem
                }
            }
            failed @ Refused::Failed(_) => failed.into(),
        }
    }

    /// What would be refused for several things in its body, each at a key of it. There is at least one.
    pub(super) fn refused_for_all(
        body: &Value,
        refusals: Vec<(&'static str, croft_deploy::Refusal)>,
    ) -> Self {
        let problems = refusals.into_iter().map(|(key, refusal)| {
            Self::refused_for(body, key, croft_deploy::server::Refused::Rule(refusal))
        });
        let merged = problems.reduce(|mut first, next| {
            first.detail = format!("{}; {}", first.detail, next.detail);
            first.errors.extend(next.errors);
            let places = next.places.into_iter().flat_map(|places| places.0);
            if let Some(of_first) = &mut first.places {
                of_first.0.extend(places);
            }
            first
        });
        merged.unwrap_or_else(|| Self::invalid("nothing stands against it"))
    }

    pub(super) fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", what)
    }

    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDeniedException", detail)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "UnrecognizedClientException",
            "a token is needed that is known here: send `Authorization: Bearer croft_...`",
        )
    }

    pub(super) fn too_large(bytes_max: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLargeException",
            format!("a body may have at most {bytes_max} bytes here"),
        )
    }

    pub(super) fn no_such_range(of_bytes: u64) -> Self {
        Self {
            of_bytes: Some(of_bytes),
            ..Self::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "InvalidRangeException",
                format!("the file has {of_bytes} bytes, and none of those that were asked for"),
            )
        }
    }

    pub(super) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self {
            retry_after: Some(RETRY_AFTER_SECONDS),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceUnavailableException",
                detail,
            )
        }
    }

    /// The ledger takes nothing, and why.
    pub(super) fn unwritten(why: &str) -> Self {
        tracing::warn!(%why, "the ledger cannot be written");
        let do_what = match why.contains(croft_ledger::NO_ROOM) {
            true => format!("{}; make room, and ask again", croft_ledger::NO_ROOM),
            false => "ask again".into(),
        };
        Self {
            is_unwritten: true,
            ..Self::unavailable(format!(
                "the ledger cannot be written now; nothing happened: {do_what}"
            ))
        }
    }

    pub(super) fn throttled(seconds: u64, detail: impl Into<String>) -> Self {
        Self {
            retry_after: Some(seconds),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "ThrottlingException", detail)
        }
    }

    /// Something of ours failed: the log says what.
    pub(super) fn internal(error: &dyn std::error::Error) -> Self {
        let chain = chain(error);
        tracing::error!(error = %chain, "failed to answer");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServiceException",
            "this server failed to answer; its log says why, under this request's id",
        )
    }

    pub(super) fn response(&self, request_id: &str) -> Response<Body> {
        let mut json = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
            "requestId": request_id,
        });
        if !self.errors.is_empty() {
            json["errors"] = self.errors.clone().into();
        }
        if let Some(places) = &self.places {
            let places = places.0.iter().zip(&self.errors);
            json["invalidParams"] = places.map(|(place, why)| place.shown(why)).collect();
        }
        let mut response = Response::new(Body::from(json.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let problem_json = HeaderValue::from_static("application/problem+json");
        headers.insert(CONTENT_TYPE, problem_json);
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        let range = self.of_bytes.map(|bytes| format!("bytes */{bytes}"));
        if let Some(range) = range.and_then(|range| HeaderValue::try_from(range).ok()) {
            headers.insert(CONTENT_RANGE, range);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer realm=\"croft\"");
            headers.insert(WWW_AUTHENTICATE, bearer);
        }
        response
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Rule(rule) => rule.into(),
            Refused::Failed(failed) => failed.into(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::NoProject(_) => Self::not_found(detail),
            Refusal::Limit { .. } => Self::new(
                StatusCode::BAD_REQUEST,
                "AccountLimitExceededException",
                detail,
            ),
            Refusal::TokenUsed(_) => Self::conflict("IdempotencyParameterMismatch", detail),
            Refusal::TokenForm | Refusal::TooLarge { .. } | Refusal::QueueTimeout(_) => {
                Self::invalid(detail)
            }
        }
    }
}

impl From<Failed> for Problem {
    fn from(failed: Failed) -> Self {
        match &failed {
            Failed::Unavailable(why) => Self::unwritten(why),
            Failed::Unknown | Failed::Contended | Failed::Closed => {
                Self::unavailable(failed.to_string())
            }
        }
    }
}

impl From<croft_deploy::server::Failed> for Problem {
    fn from(failed: croft_deploy::server::Failed) -> Self {
        use croft_deploy::server::Failed;
        match &failed {
            Failed::Unavailable(why) => Self::unwritten(why),
            Failed::Unknown | Failed::Contended | Failed::Closed => {
                Self::unavailable(failed.to_string())
            }
        }
    }
}

impl From<croft_deploy::server::Refused> for Problem {
    fn from(refused: croft_deploy::server::Refused) -> Self {
        use croft_deploy::server::Refused;
        match refused {
            Refused::Failed(failed) => failed.into(),
            Refused::Rule(rule) => rule.into(),
        }
    }
}

impl From<croft_deploy::Refusal> for Problem {
    fn from(refusal: croft_deploy::Refusal) -> Self {
        use croft_deploy::Refusal;
        let detail = refusal.to_string();
        match refusal {
            Refusal::NoGroup(..) => Self::new(
                StatusCode::NOT_FOUND,
                "DeploymentGroupDoesNotExistException",
                detail,
            ),
            Refusal::NoApplication(_) => Self::new(
                StatusCode::NOT_FOUND,
                "ApplicationDoesNotExistException",
                detail,
            ),
            Refusal::Exists(_) => Self::conflict("AlreadyExistsException", detail),
            Refusal::InUse(_) => Self::conflict("ResourceInUseException", detail),
            Refusal::Busy(_) => Self::conflict("DeploymentLimitExceededException", detail),
            Refusal::TooMany => Self::conflict("DeploymentLimitExceededException", detail),
            Refusal::Older { .. } => Self::conflict("OlderRevisionException", detail),
            Refusal::NoConfig(_) => Self::new(
                StatusCode::NOT_FOUND,
                "DeploymentConfigDoesNotExistException",
                detail,
            ),
            Refusal::NoHost(_) => Self::new(
                StatusCode::NOT_FOUND,
                "InstanceDoesNotExistException",
                detail,
            ),
            Refusal::Wrong(errors) => Self::all_invalid(errors),
            Refusal::Over { .. } => Self::conflict("DeploymentAlreadyCompletedException", detail),
            Refusal::NotWaiting { .. } => {
                Self::conflict("DeploymentIsNotInReadyStateException", detail)
            }
            Refusal::GoesBack(_) => Self::conflict("DeploymentAlreadyStartedException", detail),
            Refusal::NothingGood => Self::conflict("NothingToRollBackToException", detail),
        }
    }
}

impl From<croft_views::QueryError> for Problem {
    fn from(error: croft_views::QueryError) -> Self {
        Self::internal(&error)
    }
}

impl From<croft_ledger::ReadError> for Problem {
    fn from(error: croft_ledger::ReadError) -> Self {
        let passes = matches!(
            error,
            croft_ledger::ReadError::Unavailable { .. } | croft_ledger::ReadError::Closed
        );
        if !passes {
            return Self::internal(&error);
        }
        tracing::warn!(error = %chain(&error), "the ledger cannot be read");
        Self::unavailable("the ledger cannot be read now: ask again")
    }
}

impl From<croft_ledger::SubjectError> for Problem {
    fn from(error: croft_ledger::SubjectError) -> Self {
        Self::invalid(format!("that is no name: {error}"))
    }
}

impl From<croft_cache::Error> for Problem {
    fn from(error: croft_cache::Error) -> Self {
        if matches!(error, croft_cache::Error::Busy { .. }) {
            return Self::unavailable(error.to_string());
        }
        if is_out_of_room(&error) {
            tracing::warn!(error = %chain(&error), "the store has no room");
            return Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "InsufficientStorageException",
                "the disk of the farm's store is full, and it did not take all of this; make room, and ask again",
            );
        }
        Self::internal(&error)
    }
}

/// Whether the system said that there is no room left.
fn is_out_of_room(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::StorageFull) {
            return true;
        }
        cause = error.source();
    }
    false
}
