//! Which errors are a store's answer and which mean that it did not answer. Made by `lane` and `guard`; read by the
//! breaker, which counts only the latter, by `tier`, which then asks its other store, and by `Objects`, which names them.

use object_store::Error;

/// An object ends before a range that its index promised.
#[derive(Debug, thiserror::Error)]
#[error("it ends after {size_bytes} bytes, before a part that should be in it")]
pub(crate) struct Short {
    pub(crate) size_bytes: u64,
}

/// An object is larger than its reader takes.
#[derive(Debug, thiserror::Error)]
#[error("it is larger than {bytes_max} bytes")]
pub(crate) struct TooLarge {
    pub(crate) bytes_max: u64,
}

/// A call took longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {waited_ms} ms")]
pub(crate) struct Late {
    pub(crate) waited_ms: u64,
}

/// A call was not made, since the store failed many times in a row.
#[derive(Debug, thiserror::Error)]
#[error("not asked: it failed repeatedly and is left alone for a while")]
pub(crate) struct GivenUp;

/// One of the above as the error of a store.
pub(crate) fn generic<E: std::error::Error + Send + Sync + 'static>(error: E) -> Error {
    Error::Generic {
        store: "cache",
        source: Box::new(error),
    }
}

/// What is wrong with the object itself, if that is what the error says.
pub(crate) fn damage(error: &Error) -> Option<String> {
    let Error::Generic { source, .. } = error else {
        return None;
    };
    let damaged = source.is::<Short>() || source.is::<TooLarge>();
    damaged.then(|| source.to_string())
}

/// True when the store answered, if not with what was hoped for: asking again changes nothing.
pub(crate) fn is_answer(error: &Error) -> bool {
    match error {
        Error::NotFound { .. }
        | Error::AlreadyExists { .. }
        | Error::Precondition { .. }
        | Error::NotModified { .. }
        | Error::NotSupported { .. }
        | Error::NotImplemented { .. }
        | Error::InvalidPath { .. }
        | Error::UnknownConfigurationKey { .. } => true,
        Error::Generic { .. } => damage(error).is_some(),
        // No rights today may be rights tomorrow, and another tier may have what this one refuses.
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => false,
        // Failed joins, and what later versions of the library add.
        Error::JoinError { .. } | _ => false,
    }
}

/// True when there is no such object.
pub(crate) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_damaged_object_is_an_answer_and_silence_is_none() {
        let missing = Error::NotFound {
            path: "a".into(),
            source: "gone".into(),
        };
        assert!(is_answer(&missing) && is_missing(&missing));
        assert!(is_answer(&generic(Short { size_bytes: 3 })));
        assert!(is_answer(&generic(TooLarge { bytes_max: 3 })));
        assert!(!is_answer(&generic(Late { waited_ms: 3 })));
        assert!(!is_answer(&generic(GivenUp)));
        assert!(!is_answer(&Error::PermissionDenied {
            path: "a".into(),
            source: "no".into(),
        }));
    }
}
