//! A build's sources and folders, mounted into a place that stood before the build was known. Receives the build's
//! [`Request`] and the place's root, hands back the same place as that build's: its sources are seen where they would be in
//! a place made for it, the same kinds of view.
//!
//! All of it is the place's alone and ends with it, as layers do; on this machine's side nothing is mounted.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use croft_beneath::Root;
use croft_runner::layer::layer;
use croft_runner::overlay;
use croft_runner::protocol::{Bind, HOME, Layer, Layering, TMP, VERSION};
use rustix::thread::UnshareFlags;

use super::table::Table;
use super::{LAYER_MAX, NotLayered, Place, View, make_like_parent, seen};
use crate::runtime::{Request, workspace};

impl Place {
    /// Mounts the sources and the further folders of a build: all, or none. `root` is the place's root directory.
    ///
    /// # Errors
    /// When one cannot be mounted; directories that were made for it stay, in the place and in the build's directory.
    ///
    /// # Cancel
    /// As with [`Place::layer`].
    pub(crate) async fn furnish(
        mut self,
        root: &Root,
        request: &Request,
    ) -> Result<Self, NotLayered> {
        let root = root
            .try_clone()
            .map_err(NotLayered::failed("the place's root"))?
            .refusing_links();
        let (process, namespace, wanted) = (self.process, self.namespace, request.clone());
        let mounted = tokio::task::spawn_blocking(move || {
            let (layers, binds) = prepare(&root, process, &wanted)?;
            let orders = Layering {
                version: VERSION,
                process,
                namespace,
                layers,
                binds,
            };
            mount(&orders)?;
            Ok(wanted)
        });
        let mounted = tokio::time::timeout(LAYER_MAX, mounted).await;
        let wanted = mounted
            .map_err(io::Error::from)
            .and_then(|ended| ended.map_err(io::Error::other))
            .and_then(|mounted| mounted)
            .map_err(NotLayered::failed("mounting the sources"))?;
        self.sources = seen(&wanted.sources, &views(&wanted));
        self.directory = wanted.directory;
        Ok(self)
    }
}

/// By a thread of its own, which costs a quarter of a program's start while a build waits. A thread may enter another mount
/// namespace once it shares its directories with no other; what it sees then is seen by none of the others, and ends with it.
fn mount(orders: &Layering) -> io::Result<()> {
    std::thread::scope(|threads| {
        let entering = std::thread::Builder::new().name("mounting".to_string());
        let entering = entering.spawn_scoped(threads, || {
            #[expect(
                deprecated,
                reason = "its unsafe successor guards against shared descriptor tables, which is not asked for"
            )]
            rustix::thread::unshare(UnshareFlags::FS)?;
            layer(orders)
        })?;
        let ended = entering.join();
        ended.unwrap_or_else(|_| Err(io::Error::other("the mounting thread ended early")))
    })
}

/// The views that a place gets that is made for its build.
fn views(request: &Request) -> Vec<View> {
    let numbered = request.sources.iter().enumerate();
    numbered
        .map(|(index, source)| workspace::first(&request.directory, index, source))
        .collect()
}

fn prepare(root: &Root, process: u32, request: &Request) -> io::Result<(Vec<Layer>, Vec<Bind>)> {
    let sources = request.sources.iter().map(|source| &source.inside);
    let extra = request.extra.iter().map(|(_, inside)| inside);
    let targets: Vec<&PathBuf> = sources.chain(extra).collect();
    let table = Table::of(process)?;
    check(&targets, |target| table.below(target))?;
    for target in targets {
        make_like_parent(root, target)?;
    }
    let (mut layers, mut binds) = (Vec::new(), Vec::new());
    for (source, view) in request.sources.iter().zip(views(request)) {
        match view {
            View::Overlay {
                lower,
                layers: folder,
            } => {
                make_folders(&lower, &folder)?;
                layers.push(Layer {
                    target: bytes(&source.inside),
                    lowers: vec![bytes(&lower)],
                    over_what_is_there: false,
                    changes: bytes(&folder),
                    mounts_below: Vec::new(),
                });
            }
            View::InPlace(directory) | View::Copy(directory) => {
                binds.push(bind(&directory, &source.inside, Access::Write));
            }
        }
    }
    let extra = request.extra.iter();
    binds.extend(extra.map(|(directory, inside)| bind(directory, inside, Access::Read)));
    Ok((layers, binds))
}

/// What an engine sorts out before it starts a container cannot be sorted out afterwards: one target inside another, and
/// what is mounted below a target already.
fn check(
    targets: &[&PathBuf],
    mounted_below: impl Fn(&Path) -> io::Result<Vec<PathBuf>>,
) -> io::Result<()> {
    for (position, target) in targets.iter().enumerate() {
        let others = targets[..position].iter().map(|other| other.as_path());
        let own = [HOME, TMP].map(Path::new);
        let clash = others
            .chain(own)
            .find(|other| target.starts_with(other) || other.starts_with(target));
        let mounted = mounted_below(target)?;
        let mounted = mounted.first().map(|below| target.join(below));
        if let Some(other) = clash.map(Path::to_path_buf).or(mounted) {
            return Err(io::Error::other(format!(
                "{} and {} cannot both be mounted late",
                target.display(),
                other.display()
            )));
        }
    }
    Ok(())
}

/// The folders for an overlay's changes, looking like what they cover.
fn make_folders(lower: &Path, layers: &Path) -> io::Result<()> {
    // A former try of the same build left them; its place is gone.
    remove(layers)?;
    for name in ["upper", "work"] {
        fs::create_dir_all(layers.join(name))?;
    }
    overlay::like(lower, &layers.join("upper"))
}

/// Removes what was made in a build's directory for sources that could not be mounted, so that they can be mounted otherwise.
/// Nothing may use it any more.
///
/// # Errors
/// When a file system refuses.
pub(crate) fn take_back(request: &Request) -> io::Result<()> {
    for view in views(request) {
        if let View::Overlay { layers, .. } = view {
            remove(&layers)?;
        }
    }
    Ok(())
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[derive(PartialEq)]
enum Access {
    Read,
    Write,
}

fn bind(source: &Path, target: &Path, access: Access) -> Bind {
    Bind {
        source: bytes(source),
        target: bytes(target),
        writable: access == Access::Write,
    }
}

fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_inside_each_other_or_over_what_is_mounted_are_refused() {
        let volume = |target: &Path| {
            let below = Path::new("/data/volume").strip_prefix(target);
            Ok(below.map(PathBuf::from).into_iter().collect())
        };
        let refused = |targets: &[&str]| {
            let targets: Vec<PathBuf> = targets.iter().map(PathBuf::from).collect();
            check(&targets.iter().collect::<Vec<_>>(), volume).is_err()
        };
        let source = "/codebuild/output/src1/src";
        assert!(!refused(&[
            source,
            "/codebuild/output/src2/src",
            "/root/.aws"
        ]));
        for wrong in [
            &[source, "/codebuild/output/src1/src/vendor"][..],
            &["/codebuild/output/src1/src/vendor", source],
            &[source, source],
            &["/codebuild/output/tmp"],
            &["/codebuild"],
            &["/data"],
        ] {
            assert!(refused(wrong), "{wrong:?}");
        }
    }
}
