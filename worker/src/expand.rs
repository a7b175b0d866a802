//! Text of a buildspec that a shell must read: cache keys, artifact names, base directories. Expanded where the build runs,
//! with the build's variables and helpers. Receives the text as the user wrote it, hands back what the shell makes of it.

use std::io::{self, Read};
use std::path::Path;

use croft_beneath::Root;
use croft_proto::Status;
use croft_runner::protocol::{HASHED, TMP};

use crate::commands::{Limit, Session};

/// No key, name or path is longer.
const EXPANDED_BYTES_MAX: u64 = 16 << 10;
/// Files of a key that are remembered, so that a miss can name the one that changed: they have to fit in the entry's record.
const HASHED_MAX: usize = 200;
/// Bytes read of their list.
const HASHED_BYTES_MAX: u64 = 1 << 20;

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

/// A file that a text was made of, and the hash of its contents.
pub(crate) type Hashed = (String, String);

/// The text with variables and command substitutions replaced, as inside double quotes. A failing substitution is an error
/// and not an empty text: a key that lost its hash would mix up what must be kept apart.
pub(crate) async fn expand(
    session: &mut Session,
    root: &Root,
    text: &str,
    limit: &mut Limit<'_>,
) -> Result<String, Error> {
    if !has_parts(text) {
        return Ok(text.to_string());
    }
    run(session, root, text, "", limit).await
}

/// The same, and the files whose hashes went into it by `codebuild-hash-files`, sorted.
pub(crate) async fn expand_noting(
    session: &mut Session,
    root: &Root,
    text: &str,
    limit: &mut Limit<'_>,
) -> Result<(String, Vec<Hashed>), Error> {
    if !has_parts(text) {
        return Ok((text.to_string(), Vec::new()));
    }
    let list = format!("{TMP}/hashed");
    // Made by the shell, so that only the text's own commands add to it.
    let before = format!(": > {list}\n{HASHED}={list}\nexport {HASHED}\n");
    let expanded = run(session, root, text, &before, limit).await?;
    Ok((expanded, read_hashed(root, &list)))
}

fn has_parts(text: &str) -> bool {
    text.contains(['$', '`', '\\', '"'])
}

async fn run(
    session: &mut Session,
    root: &Root,
    text: &str,
    before: &str,
    limit: &mut Limit<'_>,
) -> Result<String, Error> {
    let result = format!("{TMP}/expanded");
    let script = format!(
        "cd \"$CODEBUILD_SRC_DIR\"\n{before}CROFT_TEXT=\"{text}\" || exit\nprintf %s \"$CROFT_TEXT\" > {result}\n"
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

/// A list that cannot be read only means that a miss is explained less well.
fn read_hashed(root: &Root, list: &str) -> Vec<Hashed> {
    let mut bytes = Vec::new();
    let read = root
        .open_file(Path::new(list))
        .and_then(|file| file.take(HASHED_BYTES_MAX).read_to_end(&mut bytes));
    if let Err(error) = read {
        tracing::debug!(%error, "what a key was made of is not known");
    }
    parse_hashed(&String::from_utf8_lossy(&bytes))
}

fn parse_hashed(text: &str) -> Vec<Hashed> {
    let lines = text.lines().filter_map(|line| line.split_once("  "));
    let whole = lines.filter(|(digest, path)| digest.len() == 64 && !path.is_empty());
    let mut hashed: Vec<Hashed> = whole
        .map(|(digest, path)| (path.to_string(), digest.to_string()))
        .collect();
    hashed.sort();
    hashed.dedup();
    hashed.truncate(HASHED_MAX);
    hashed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_hashed_is_read_as_if_the_build_had_written_it() {
        let digest = "a".repeat(64);
        let text = format!(
            "{digest}  b.lock\nnonsense\n{digest}  \nshort  a\n{digest}  a  b\n{digest}  b.lock\n"
        );
        let expected = ["a  b", "b.lock"].map(|path| (path.to_string(), digest.clone()));
        assert_eq!(parse_hashed(&text), expected);
    }
}
