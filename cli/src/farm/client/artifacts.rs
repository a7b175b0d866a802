//! A build's artifacts: listed, or written into a folder. What a server names is a path inside the folder or refused, and no link
//! that lies there is followed out of it.

use std::io::Write as _;
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use croft_beneath::Root;
use serde_json::Value;

use super::call::{Call, Failure, Farm};
use super::rows::{ArtifactRow, text};
use crate::args::Format;
use crate::exit::Exit;
use crate::output;
use crate::render::{count, size};

/// Lists them.
pub(super) async fn list(farm: &Farm, id: &str, format: Format) -> anyhow::Result<Exit> {
    let rows: Vec<ArtifactRow> = all(farm, id).await?.into_iter().map(ArtifactRow).collect();
    output::rows(&rows, format)?;
    Ok(Exit::Succeeded)
}

async fn all(farm: &Farm, id: &str) -> Result<Vec<Value>, Failure> {
    let mut answer: Value = farm
        .json(&Call::get(&["v1", "builds", id, "artifacts"]))
        .await?;
    if answer["truncated"] == Value::Bool(true) {
        eprintln!("croft: warning: there are more artifacts than the server lists");
    }
    let found = answer["artifacts"].as_array_mut();
    Ok(found.map(std::mem::take).unwrap_or_default())
}

/// Writes them into the folder, each under the path it has in the build.
pub(super) async fn get(farm: &Farm, id: &str, into: &Path) -> anyhow::Result<Exit> {
    let found = all(farm, id).await?;
    let paths: Vec<PathBuf> = found
        .iter()
        .map(|artifact| inside(&text(artifact, "/path")))
        .collect::<anyhow::Result<_>>()?;
    std::fs::create_dir_all(into).with_context(|| format!("cannot make {}", into.display()))?;
    let root = Root::open(into).with_context(|| format!("cannot use {}", into.display()))?;
    let (mut files, mut bytes) = (0, 0);
    for (artifact, path) in found.iter().zip(&paths) {
        bytes += write(farm, id, artifact, &root, path).await?;
        files += 1;
    }
    let shown = into.display();
    output::text(&format!(
        "{} files, {}, in {shown}\n",
        count(files),
        size(bytes)
    ))?;
    Ok(Exit::Succeeded)
}

/// A path that stays where it is put.
fn inside(name: &str) -> anyhow::Result<PathBuf> {
    let path = Path::new(name);
    let is_plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    anyhow::ensure!(
        is_plain && path.file_name().is_some(),
        "the server names an artifact {name:?}, which would be written outside of the folder"
    );
    Ok(path.to_path_buf())
}

async fn write(
    farm: &Farm,
    id: &str,
    artifact: &Value,
    root: &Root,
    path: &Path,
) -> anyhow::Result<u64> {
    let mut call = Call::get(&["v1", "builds", id, "artifacts"]);
    // As many segments as the path has; a slash inside of one would be another name.
    let parts = path.components().map(|part| part.as_os_str());
    call.path
        .extend(parts.map(|part| part.to_string_lossy().into_owned()));
    let cannot = || format!("cannot write {}", root.path().join(path).display());
    if let Some(parent) = path.parent() {
        root.create_dir_all(parent).with_context(cannot)?;
    }
    let mode = if artifact["executable"] == Value::Bool(true) {
        0o755
    } else {
        0o644
    };
    let mut answer = farm.open(&call).await?;
    let mut file = root.create_file(path, mode).with_context(cannot)?;
    let mut bytes = 0;
    loop {
        match answer.chunk().await {
            Ok(Some(piece)) => {
                file.write_all(&piece).with_context(cannot)?;
                bytes += piece.len() as u64;
            }
            Ok(None) => return Ok(bytes),
            Err(source) => {
                let server = farm.connection.server.to_string();
                return Err(Failure::Broken { server, source }.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_below_the_folder_are_written() {
        for good in ["a", "a/b.txt", "..a/b", "ä ö"] {
            assert_eq!(inside(good).unwrap(), Path::new(good));
        }
        for bad in [
            "",
            "-/../x",
            "../x",
            "/etc/passwd",
            "a/../../b",
            ".",
            "a/..",
        ] {
            inside(bad).unwrap_err();
        }
    }
}
