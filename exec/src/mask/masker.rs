//! The stream: receives output as it comes, in pieces of any size, gives it on with every form of every secret masked.
//!
//! What is masked does not depend on how the stream was cut. A form's bytes are never passed on while it may still become
//! whole, so the end of a piece may be held; a caller that cannot wait calls [`Masker::flush`].

use std::collections::BTreeSet;
use std::fmt;

use super::finder::Finder;
use super::forms;

/// What stands in a secret's place.
pub const MASK: &str = "***";

/// Secrets, and the state of one stream.
///
/// Every form of every secret is masked wherever it stands, also where it begins inside another one: what overlaps becomes
/// one mask, what only touches becomes two.
pub struct Masker {
    forms: BTreeSet<Vec<u8>>,
    finder: Finder,
    /// The end of the stream so far, from the first place on where a form may still become whole.
    tail: Vec<u8>,
    /// How much of `tail` was passed on or masked already.
    done: Done,
    /// What the last piece became, when it is not simply a part of that piece.
    out: Vec<u8>,
}

/// How far a text was dealt with.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    /// One past the last byte passed on or masked.
    to: usize,
    /// True when the last thing given was a mask.
    masked: bool,
}

impl Masker {
    /// A masker of AWS access key IDs and of these secrets; those under [`super::SECRET_LEN_MIN`] bytes are ignored.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let forms = secrets
            .into_iter()
            .flat_map(|secret| forms::of(&secret))
            .collect();
        let finder = Finder::new(&forms);
        Self {
            forms,
            finder,
            tail: Vec::new(),
            done: Done::default(),
            out: Vec::new(),
        }
    }

    /// Masks this secret too, from the bytes on that were not passed on yet.
    pub fn add(&mut self, secret: &str) {
        let known = self.forms.len();
        self.forms.extend(forms::of(secret));
        if self.forms.len() > known {
            self.finder = Finder::new(&self.forms);
        }
    }

    /// What can be passed on once `input` has come; the rest is held.
    ///
    /// **Shape.** A part of `input` itself, not copied, when there is nothing to mask; may be empty.
    pub fn mask<'a>(&'a mut self, input: &'a [u8]) -> &'a [u8] {
        self.out.clear();
        if !self.tail.is_empty() {
            return self.mask_joined(input);
        }
        let mut pass = Pass {
            out: &mut self.out,
            done: Done::default(),
        };
        let open = pass.run(&self.finder, input, Until::Open);
        let changed = pass.done.masked;
        if changed {
            pass.show(input, open);
        }
        self.done = pass.done;
        self.tail.extend_from_slice(&input[open..]);
        self.done.to = self.done.to.saturating_sub(open);
        if changed { &self.out } else { &input[..open] }
    }

    /// Gives what can be passed on once `input` has come, appended to `out`.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(self.mask(input));
    }

    /// Gives what is held, appended to `out`, as if nothing came after it.
    ///
    /// A form that was cut here and becomes whole later is masked from here on: its end is not shown.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        let tail = std::mem::take(&mut self.tail);
        let mut pass = Pass {
            out,
            done: self.done,
        };
        let open = pass.run(&self.finder, &tail, Until::End);
        pass.show(&tail, tail.len());
        self.done = pass.done;
        self.tail = tail;
        self.forget(open);
    }

    /// Bytes held: neither passed on nor masked yet.
    #[must_use]
    pub fn hold(&self) -> usize {
        self.tail.len().saturating_sub(self.done.to)
    }

    /// A whole text, masked; the stream's state has no part in it.
    #[must_use]
    pub fn mask_text(&self, text: &str) -> String {
        let mut out = Vec::new();
        let mut pass = Pass {
            out: &mut out,
            done: Done::default(),
        };
        pass.run(&self.finder, text.as_bytes(), Until::End);
        pass.show(text.as_bytes(), text.len());
        // Forms are valid text, so whole characters are masked; a repair costs nothing and cannot fail.
        String::from_utf8(out)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// As `mask`, when something is held.
    fn mask_joined(&mut self, input: &[u8]) -> &[u8] {
        let mut tail = std::mem::take(&mut self.tail);
        tail.extend_from_slice(input);
        // Nothing before the first open place is held, so while that stays open all is. Asked first, so that a long secret
        // that comes byte by byte is not searched through for each of them.
        if self.finder.look(&tail).open {
            self.tail = tail;
            return &[];
        }
        let mut pass = Pass {
            out: &mut self.out,
            done: self.done,
        };
        let open = pass.run(&self.finder, &tail, Until::Open);
        pass.show(&tail, open);
        self.done = pass.done;
        self.tail = tail;
        self.forget(open);
        &self.out
    }

    /// Drops the first `len` bytes of the tail: nothing of interest begins there.
    fn forget(&mut self, len: usize) {
        self.tail.drain(..len);
        self.done.to = self.done.to.saturating_sub(len);
    }
}

/// Secrets are not printed.
impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Masker")
            .field("forms", &self.forms.len())
            .field("hold", &self.hold())
            .finish_non_exhaustive()
    }
}

/// How far a pass goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// To the first place where it cannot be told yet.
    Open,
    /// To the end: what is not whole is nothing.
    End,
}

/// One walk over a text.
struct Pass<'a> {
    out: &'a mut Vec<u8>,
    done: Done,
}

impl Pass<'_> {
    /// Masks what stands in `text`, and gives the first place where a form may still become whole; `text`'s length when
    /// there is none.
    fn run(&mut self, finder: &Finder, text: &[u8], until: Until) -> usize {
        let mut open = finder.open_end(text).unwrap_or(text.len());
        for at in finder.places(text) {
            let found = finder.look(&text[at..]);
            if found.open {
                open = open.min(at);
                if until == Until::Open {
                    break;
                }
            }
            if found.len > 0 {
                self.hide(text, at, at + found.len);
            }
        }
        open
    }

    /// Puts a mask for the bytes from `start` to `end`.
    fn hide(&mut self, text: &[u8], start: usize, end: usize) {
        if end <= self.done.to {
            return;
        }
        let joins = self.done.masked && start < self.done.to;
        if !joins {
            self.show(text, start);
            self.out.extend_from_slice(MASK.as_bytes());
        }
        self.done = Done {
            to: end,
            masked: true,
        };
    }

    /// Passes on what is not masked before `end`.
    fn show(&mut self, text: &[u8], end: usize) {
        if end > self.done.to {
            self.out.extend_from_slice(&text[self.done.to..end]);
            self.done = Done {
                to: end,
                masked: false,
            };
        }
    }
}

#[cfg(test)]
mod tests;
