//! Opening what is really stored. A collector runs with more rights than the build whose tree it reads, and a link to
//! `/proc/kcore` is a regular file to the kernel: such a file is refused here, by the file system it is on.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::Root;

/// The magic numbers (`statfs(2)`) of file systems that make their contents up: proc, sysfs, debugfs, tracefs,
/// securityfs, cgroup 1 and 2, bpf, efivarfs, pstore, configfs, binfmt_misc, selinuxfs.
const MADE_UP: [u32; 13] = [
    0x9fa0,
    0x6265_6572,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0x0027_e0eb,
    0x6367_7270,
    0xcafe_4a11,
    0xde5e_81e4,
    0x6165_676c,
    0x6265_6570,
    0x4249_4e4d,
    0xf97c_ff8c,
];

impl Root {
    /// The file's contents as `open_file` gives them, but never those of a file that the kernel makes up.
    ///
    /// # Errors
    /// As `open_file`; also when the file is on a file system such as proc or sysfs.
    pub fn open_stored_file(&self, path: &Path) -> io::Result<File> {
        let file = self.open_file(path)?;
        let kind = rustix::fs::fstatfs(&file)?.f_type;
        if MADE_UP
            .iter()
            .any(|magic| i128::from(kind) & 0xffff_ffff == i128::from(*magic))
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "made up by the kernel, not stored",
            ));
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_proc_is_refused_and_an_ordinary_one_is_not() {
        let root = Root::open(Path::new("/")).unwrap();
        assert!(root.open_file(Path::new("proc/version")).is_ok());
        let refused = root
            .open_stored_file(Path::new("proc/version"))
            .unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "text").unwrap();
        let root = Root::open(folder.path()).unwrap();
        let text = io::read_to_string(root.open_stored_file(Path::new("file")).unwrap()).unwrap();
        assert_eq!(text, "text");
    }
}
