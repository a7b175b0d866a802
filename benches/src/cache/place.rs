//! Where a run works: a tmpfs of its own, or the disk. Received from `inside`; hands folders and overlays to the rows.

use std::cell::Cell;
use std::ffi::CString;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::options::{Options, RowName};

/// Holds a corpus, stores of five tools and restored trees.
const MEMORY_MAX: &str = "size=12g,mode=0755";

/// As much as the largest row writes. Memory that the machine never used costs more than what is measured.
const WARM_BYTES: usize = 6 << 30;
const WARM_BLOCK_BYTES: usize = 4 << 20;

/// The folders of a run.
pub(crate) struct Place {
    folder: PathBuf,
    disk: PathBuf,
    pub(crate) kind: &'static str,
    pub(crate) may_mount: bool,
    made: Cell<u32>,
}

impl Place {
    pub(crate) fn prepare(folder: &Path, options: &Options) -> Result<Self, String> {
        let place = Self {
            folder: folder.join("work"),
            disk: folder.join("disk"),
            kind: if options.on_disk { "disk" } else { "memory" },
            may_mount: options.may_mount,
            made: Cell::new(0),
        };
        for folder in [&place.folder, &place.disk] {
            fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        }
        if options.on_disk || !options.may_mount {
            return Ok(place);
        }
        let data = CString::new(MEMORY_MAX).map_err(|error| error.to_string())?;
        mount(
            "croft-bench",
            &place.folder,
            "tmpfs",
            MountFlags::empty(),
            data.as_c_str(),
        )
        .map_err(|error| format!("tmpfs: {error}"))?;
        if options.wanted() != [RowName::Smoke] {
            place.warm().map_err(|error| error.to_string())?;
        }
        Ok(place)
    }

    fn warm(&self) -> std::io::Result<()> {
        let path = self.folder.join("warm");
        let mut file = fs::File::create(&path)?;
        let block = vec![1; WARM_BLOCK_BYTES];
        for _ in 0..WARM_BYTES / WARM_BLOCK_BYTES {
            file.write_all(&block)?;
        }
        drop(file);
        fs::remove_file(path)
    }

    /// An empty folder.
    pub(crate) fn fresh(&self, name: &str) -> Result<PathBuf, String> {
        self.made.set(self.made.get() + 1);
        let path = self.folder.join(format!("{name}-{}", self.made.get()));
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }

    /// Where everything is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// An empty folder on the disk, for what would not fit in memory.
    pub(crate) fn fresh_on_disk(&self, name: &str) -> Result<PathBuf, String> {
        self.made.set(self.made.get() + 1);
        let path = self.disk.join(format!("{name}-{}", self.made.get()));
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }

    /// Before each measurement: nothing earlier may still be on its way to the disk.
    pub(crate) fn settle(&self) {
        if self.kind == "disk" {
            rustix::fs::sync();
        }
    }

    /// Makes room in memory. On the disk everything stays until the end: a disk is slow for minutes after removals.
    pub(crate) fn forget(&self, path: &Path) -> Result<(), String> {
        if self.kind == "disk" {
            return Ok(());
        }
        remove(path)
    }
}

/// Removes a folder with all its contents.
pub(crate) fn remove(path: &Path) -> Result<(), String> {
    fs::remove_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// A mounted overlay, unmounted when dropped.
pub(crate) struct Overlay {
    pub(crate) merged: PathBuf,
    pub(crate) upper: PathBuf,
}

impl Overlay {
    /// `lower` with an empty upper layer, in an empty folder.
    pub(crate) fn mount(lower: &Path, folder: &Path) -> Result<Self, String> {
        let [merged, upper, work] = ["merged", "upper", "work"].map(|name| folder.join(name));
        for folder in [&merged, &upper, &work] {
            fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        }
        let data = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.display(),
            upper.display(),
            work.display()
        );
        let data = CString::new(data).map_err(|error| error.to_string())?;
        mount(
            "croft-bench",
            &merged,
            "overlay",
            MountFlags::empty(),
            data.as_c_str(),
        )
        .map_err(|error| format!("overlay over {}: {error}", lower.display()))?;
        Ok(Self { merged, upper })
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        // What stays is gone with the run's namespace.
        unmount(&self.merged, UnmountFlags::DETACH).unwrap_or_default();
    }
}

/// `diff -r` finds no difference.
pub(crate) fn same(left: &Path, right: &Path) -> Result<(), String> {
    let output = Command::new("diff")
        .args(["-r", "--no-dereference", "--brief"])
        .args([left, right])
        .output()
        .map_err(|error| format!("diff: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let first: Vec<&str> = text.lines().chain(errors.lines()).take(3).collect();
    Err(format!("what came back differs: {}", first.join("; ")))
}
