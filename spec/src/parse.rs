//! The two questions others ask of a buildspec: what does it say, and what is wrong with it. Receives the file's bytes
//! from whoever read them, hands back values; never fails and never panics.

use croft_proto::{Diagnostic, Level};

use crate::buildspec::Buildspec;
use crate::code::Code;
use crate::findings::Findings;
use crate::lines::Span;
use crate::{lint as traps, read};

/// Bytes a buildspec or an AppSpec may have. The largest public ones have a few dozen kilobytes; a bound keeps the worst reading time
/// well under a second.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// What a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// Present exactly when no diagnostic is an error.
    pub spec: Option<Buildspec>,
    /// Everything found, in the file's order.
    pub diagnostics: Vec<Diagnostic>,
}

/// The buildspec in these bytes, or every mistake in them at once.
///
/// **Shape.** `file_name` is how the user knows the file; it appears in every place. `diagnostics` holds warnings about
/// the file's form too; those about what its commands do come from [`lint`].
#[must_use]
pub fn parse(file_name: &str, bytes: &[u8]) -> Parsed {
    let (draft, diagnostics) = examine(file_name, bytes, read::document);
    Parsed {
        spec: draft
            .filter(|_| usable(&diagnostics))
            .map(|draft| draft.spec),
        diagnostics,
    }
}

/// Everything [`parse`] finds, and warnings for what a valid buildspec may do other than was meant.
#[must_use]
pub fn lint(file_name: &str, bytes: &[u8]) -> Vec<Diagnostic> {
    let read = |findings: &mut Findings<'_>| {
        let draft = read::document(findings)?;
        traps::check(&draft, findings);
        Some(draft)
    };
    examine(file_name, bytes, read).1
}

/// Whether nothing among the findings keeps the file from being used.
pub(crate) fn usable(diagnostics: &[Diagnostic]) -> bool {
    !diagnostics
        .iter()
        .any(|diagnostic| diagnostic.level == Level::Error)
}

/// What `read` makes of the file's text, and all that was found; nothing when the bytes are no text.
pub(crate) fn examine<D>(
    file_name: &str,
    bytes: &[u8],
    read: impl FnOnce(&mut Findings<'_>) -> Option<D>,
) -> (Option<D>, Vec<Diagnostic>) {
    let text = std::str::from_utf8(bytes);
    let valid = text.unwrap_or_else(|error| {
        std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
    });
    if bytes.len() > FILE_BYTES_MAX {
        let mut findings = Findings::new(file_name, "");
        let message = format!(
            "the file has {} bytes, and at most {FILE_BYTES_MAX} are read",
            bytes.len()
        );
        findings.add_for_file(
            Code::FileTooLarge,
            message,
            "move scripts to files of their own and name them here",
        );
        return (None, findings.finish());
    }
    let mut findings = Findings::new(file_name, valid);
    if text.is_err() {
        not_utf8(bytes, valid.len(), &mut findings);
        return (None, findings.finish());
    }
    let draft = read(&mut findings);
    (draft, findings.finish())
}

fn not_utf8(bytes: &[u8], at: usize, findings: &mut Findings<'_>) {
    let help = "save the file as UTF-8";
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        findings.add_for_file(Code::NotUtf8, "the file is UTF-16 text", help);
    } else {
        let byte = bytes.get(at).copied().unwrap_or_default();
        findings.add(
            Code::NotUtf8,
            Span::point(at),
            format!("the byte 0x{byte:02x} here is not UTF-8 text"),
            help,
        );
    }
}
