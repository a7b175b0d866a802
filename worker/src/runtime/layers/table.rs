//! What is mounted where in a place, as the kernel tells it from outside. Read by the layers before they are mounted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::outermost;
use crate::runtime::view::mounted_below;

/// The mounts of a place, and those of this machine.
pub(super) struct Table {
    place: Vec<u8>,
    host: Vec<u8>,
}

impl Table {
    pub(super) fn of(process: u32) -> io::Result<Self> {
        Ok(Self {
            place: fs::read(format!("/proc/{process}/mountinfo"))?,
            host: fs::read("/proc/self/mountinfo")?,
        })
    }

    /// The mount points below `target`, relative to it, none inside another.
    ///
    /// # Errors
    /// When what is mounted at `target` would show on this machine.
    pub(super) fn below(&self, target: &Path) -> io::Result<Vec<PathBuf>> {
        if let Some(group) = group_of(&self.place, target)
            && has_group(&self.host, &group)
        {
            return Err(io::Error::other(
                "what is mounted there is shared with the host",
            ));
        }
        let below = mounted_below(&self.place, target).into_iter();
        let relative = below.filter_map(|path| Some(path.strip_prefix(target).ok()?.to_path_buf()));
        Ok(outermost(relative))
    }
}

/// The peer group (`shared:N`) of the mount that `target` is on.
fn group_of(mountinfo: &[u8], target: &Path) -> Option<Vec<u8>> {
    let line = target.ancestors().find_map(|path| {
        let mut lines = mountinfo.split(|byte| *byte == b'\n').rev();
        // The last one is the topmost.
        lines.find(|line| !line.is_empty() && is_at(line, path))
    })?;
    groups(line).next().map(<[u8]>::to_vec)
}

fn is_at(line: &[u8], path: &Path) -> bool {
    // A path is below its parent: this asks for one line's mount point with the reader of many.
    let parent = path.parent().unwrap_or(Path::new(""));
    mounted_below(line, parent)
        .iter()
        .any(|place| place == path)
}

fn groups(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let fields = line.split(|byte| *byte == b' ').skip(6);
    let optional = fields.take_while(|field| *field != b"-");
    optional.filter(|field| field.starts_with(b"shared:"))
}

fn has_group(mountinfo: &[u8], group: &[u8]) -> bool {
    let mut lines = mountinfo.split(|byte| *byte == b'\n');
    lines.any(|line| groups(line).any(|other| other == group))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: &[u8] = b"1 0 0:1 / / rw - overlay overlay rw\n\
        2 1 0:2 / /root rw shared:7 - ext4 /dev/x rw\n\
        3 2 0:3 / /root/.cargo/bin ro master:1 - ext4 /dev/x rw\n\
        4 3 0:4 / /root/.cargo/bin/x ro - ext4 /dev/x rw\n\
        5 2 0:5 / /root/.a\\040b ro - ext4 /dev/x rw\n";

    fn below(host: &[u8], target: &str) -> io::Result<Vec<PathBuf>> {
        let (place, host) = (PLACE.to_vec(), host.to_vec());
        Table { place, host }.below(Path::new(target))
    }

    #[test]
    fn mounts_below_come_once_with_what_is_mounted_in_them() {
        let found = below(b"", "/root").unwrap();
        assert_eq!(found, [Path::new(".a b"), Path::new(".cargo/bin")]);
        assert_eq!(
            below(b"", "/root/.cargo/registry").unwrap(),
            [""; 0].map(PathBuf::from)
        );
    }

    #[test]
    fn a_mount_whose_changes_the_host_would_see_is_refused() {
        let host = b"9 1 0:2 / /elsewhere rw shared:7 - ext4 /dev/x rw\n";
        assert!(below(host, "/root/.m2").is_err());
        assert!(below(host, "/root/.cargo/bin").is_ok());
        assert!(below(host, "/opt").is_ok());
    }
}
