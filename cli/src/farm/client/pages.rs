//! Lists that come in pages. Receives a question; hands back all rows, or as many as were wanted.

use serde_json::Value;

use super::call::{Call, Failure, Farm};

/// Rows a server gives at once.
const PAGE_ROWS_MAX: u64 = 1000;
/// Rows of a list that has no limit of its own: what a table may have before nobody reads it.
pub(super) const ROWS_MAX: u64 = 100_000;

/// The rows under `field`, at most `limit`.
pub(super) async fn all(
    farm: &Farm,
    path: &[&str],
    query: &[(&'static str, String)],
    field: &str,
    limit: u64,
) -> Result<Vec<Value>, Failure> {
    let mut rows = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let left = limit - rows.len() as u64;
        let mut call = Call::get(path).query("limit", left.min(PAGE_ROWS_MAX).to_string());
        call.query.extend_from_slice(query);
        if let Some(cursor) = &cursor {
            call = call.query("cursor", cursor);
        }
        let mut page: Value = farm.json(&call).await?;
        let Value::Array(found) = page[field].take() else {
            return Ok(rows);
        };
        rows.extend(found);
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let next = page["nextToken"].as_str().map(str::to_string);
        if next.is_none() || next == cursor || rows.len() as u64 >= limit {
            return Ok(rows);
        }
        cursor = next;
    }
}
