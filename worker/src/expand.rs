//! Text of a buildspec that a shell must read: cache keys, artifact names, base directories. Expanded where the build runs,
//! with the build's variables and helpers. Receives the text as the user wrote it, hands back what the shell makes of it.

use std::io::{self, Read};
use std::path::Path;

use croft_beneath::Root;
use croft_proto::Status;
use croft_runner::protocol::TMP;

use crate::commands::{Limit, Session};

/// No key, name or path is longer.
const EXPANDED_BYTES_MAX: u64 = 16 << 10;

/// Why a text could not be expanded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The user's text does not work.
    #[error("the shell could not expand {text:?}: exit status {status}")]
    Failed { text: String, status: i32 },
    /// The build was interrupted meanwhile.
    #[error("the build was interrupted while the shell expanded {text:?}")]
    Interrupted { text: String, status: Status },
    /// The place is gone.
    #[error("the build's place is gone")]
    Lost(#[source] io::Error),
    /// The result is not a text.
    #[error("what {text:?} expands to cannot be used")]
    Unusable {
        text: String,
        #[source]
        source: io::Error,
    },
}

/// The text with variables and command substitutions replaced, as inside double quotes. A failing substitution is an error
/// and not an empty text: a key that lost its hash would mix up what must be kept apart.
pub(crate) async fn expand(
    session: &mut Session,
    root: &Root,
    text: &str,
    limit: &mut Limit<'_>,
) -> Result<String, Error> {
    if !text.contains(['$', '`', '\\', '"']) {
        return Ok(text.to_string());
    }
    let result = format!("{TMP}/expanded");
    let script = format!(
        "cd \"$CODEBUILD_SRC_DIR\"\nCROFT_TEXT=\"{text}\" || exit\nprintf %s \"$CROFT_TEXT\" > {result}\n"
    );
    let status = session
        .run_quietly(script.as_bytes(), limit)
        .await
        .map_err(Error::Lost)?
        .map_err(|status| Error::Interrupted {
            text: text.to_string(),
            status,
        })?;
    if status != 0 {
        return Err(Error::Failed {
            text: text.to_string(),
            status,
        });
    }
    let mut expanded = String::new();
    root.open_file(Path::new(&result))
        .and_then(|file| file.take(EXPANDED_BYTES_MAX).read_to_string(&mut expanded))
        .map_err(|source| Error::Unusable {
            text: text.to_string(),
            source,
        })?;
    Ok(expanded)
}
