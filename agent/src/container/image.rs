//! An image, brought: loaded from a file of the revision, or pulled by its digest when it is not there. Receives what an AppSpec names,
//! hands back the id by which the container is made, so that nobody's tag can change what runs.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use bollard::query_parameters::{CreateImageOptions, ImportImageOptions, ListImagesOptions};
use bytes::Bytes;
use croft_beneath::Root;
use croft_spec::appspec::ContainerImage;
use futures_util::StreamExt as _;
use futures_util::stream;

use super::engine::{self, Engine, refused, status};
use super::made::{Image, LABEL_BROUGHT};

/// Of an image's file at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error("cannot read the image {file} of the revision: `docker save` makes such a file")]
    Unreadable {
        file: String,
        #[source]
        source: io::Error,
    },
    #[error("{file} has {count} images, and a container is made of one: `docker save` it alone")]
    NotOne { file: String, count: usize },
}

/// The image, once it is there.
pub(super) fn brought(
    engine: &Engine<'_>,
    archive: &Path,
    wanted: &ContainerImage,
) -> Result<Image, Error> {
    match wanted {
        ContainerImage::File(file) => loaded(engine, archive, file),
        ContainerImage::Reference(reference) => Ok(pulled(engine, reference)?),
    }
}

fn loaded(engine: &Engine<'_>, archive: &Path, file: &str) -> Result<Image, Error> {
    let unreadable = |source| Error::Unreadable {
        file: file.to_string(),
        source,
    };
    let opened = Root::open(archive)
        .and_then(|root| root.open_file(Path::new(file)))
        .map_err(unreadable)?;
    let before = images(engine)?;
    let names = load(engine, file, opened)?;
    let mut ids = Vec::new();
    for name in &names {
        let doing = format!("look at the image {name}");
        let found = engine.ask(&doing, engine.docker.inspect_image(name))?;
        ids.extend(found.id);
    }
    ids.sort();
    ids.dedup();
    match <[String; 1]>::try_from(ids) {
        Ok([id]) => Ok(Image {
            is_brought: !before.contains(&id) || is_of_ours(engine, &id)?,
            id,
        }),
        Err(ids) => Err(Error::NotOne {
            file: file.to_string(),
            count: ids.len(),
        }),
    }
}

/// Has the engine load a file; what it says that it loaded.
fn load(engine: &Engine<'_>, file: &str, opened: File) -> Result<Vec<String>, engine::Error> {
    let chunks = stream::unfold(Some(opened), |file| async move {
        let mut file = file?;
        let mut chunk = vec![0; CHUNK_BYTES];
        match file.read(&mut chunk) {
            Ok(0) => None,
            Ok(read) => {
                chunk.truncate(read);
                Some((Ok(Bytes::from(chunk)), Some(file)))
            }
            Err(error) => Some((Err(error), None)),
        }
    });
    let mut said = engine
        .docker
        .import_image_stream(ImportImageOptions::default(), chunks, None);
    let doing = format!("load the image {file}");
    let names = engine.wait(async {
        let mut names = Vec::new();
        while let Some(message) = said.next().await {
            let text = message?.stream.unwrap_or_default();
            let loaded = text.lines().filter_map(|line| {
                let name = line
                    .strip_prefix("Loaded image: ")
                    .or_else(|| line.strip_prefix("Loaded image ID: "))?;
                Some(name.trim().to_string())
            });
            names.extend(loaded);
        }
        Ok::<_, bollard::errors::Error>(names)
    })?;
    names.map_err(refused(&doing))
}

fn images(engine: &Engine<'_>) -> Result<Vec<String>, engine::Error> {
    let options = ListImagesOptions {
        all: true,
        ..ListImagesOptions::default()
    };
    let found = engine.ask("list images", engine.docker.list_images(Some(options)))?;
    Ok(found.into_iter().map(|image| image.id).collect())
}

/// Whether an image that is there came with another container of ours, and so is nobody else's.
fn is_of_ours(engine: &Engine<'_>, id: &str) -> Result<bool, engine::Error> {
    let ours = engine.labelled(vec![format!("{LABEL_BROUGHT}=true")])?;
    Ok(ours
        .iter()
        .any(|container| container.image_id.as_deref() == Some(id)))
}

fn pulled(engine: &Engine<'_>, reference: &str) -> Result<Image, engine::Error> {
    if let Some(id) = known(engine, reference)? {
        let is_brought = is_of_ours(engine, &id)?;
        return Ok(Image { id, is_brought });
    }
    let options = CreateImageOptions {
        from_image: Some(reference.to_string()),
        ..CreateImageOptions::default()
    };
    let doing = format!("pull {reference}");
    let mut said = engine.docker.create_image(Some(options), None, None);
    let ended = engine.wait(async {
        while let Some(message) = said.next().await {
            message?;
        }
        Ok::<_, bollard::errors::Error>(())
    })?;
    ended.map_err(refused(&doing))?;
    let found = engine.ask(&doing, engine.docker.inspect_image(reference))?;
    Ok(Image {
        id: found.id.unwrap_or_else(|| reference.to_string()),
        is_brought: true,
    })
}

fn known(engine: &Engine<'_>, reference: &str) -> Result<Option<String>, engine::Error> {
    match engine.wait(engine.docker.inspect_image(reference))? {
        Ok(found) => Ok(found.id),
        Err(error) if status(&error) == Some(404) => Ok(None),
        Err(error) => Err(refused(&format!("look at the image {reference}"))(error)),
    }
}
