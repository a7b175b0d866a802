//! Finding: where in a text a form stands, or may still come to stand. Receives the forms, answers the masker.
//!
//! The search is for *keys* only, the first six bytes of each form: few short strings are found at memory speed, whatever
//! the number and length of the forms. At each place found the forms of that key are compared.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind, Span, packed};

use super::access_key::{self, Look};
use super::forms::SECRET_LEN_MIN;

/// Every form has at least so many bytes, so each has a key and all keys have one length.
const KEY_LEN: usize = SECRET_LEN_MIN;

type Key = [u8; KEY_LEN];

/// What begins at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Bytes of the longest form that stands there whole; 0 when none does.
    pub(super) len: usize,
    /// The text ends before it can be told whether a longer one stands there.
    pub(super) open: bool,
}

/// The forms, ready to be searched for.
pub(super) struct Finder {
    search: Search,
    /// By key, longest form first.
    forms: BTreeMap<Key, Vec<Box<[u8]>>>,
}

impl Finder {
    pub(super) fn new(forms: &BTreeSet<Vec<u8>>) -> Self {
        let mut by_key = BTreeMap::<Key, Vec<Box<[u8]>>>::new();
        for form in forms {
            if let Some(key) = form.first_chunk() {
                by_key.entry(*key).or_default().push(form.as_slice().into());
            }
        }
        for group in by_key.values_mut() {
            group.sort_by_key(|form| std::cmp::Reverse(form.len()));
        }
        let keys: Vec<&[u8]> = by_key
            .keys()
            .map(Key::as_slice)
            .chain(access_key::WORDS)
            .collect();
        Self {
            search: Search::new(&keys),
            forms: by_key,
        }
    }

    /// The places of `text` where a whole key stands, in order.
    pub(super) fn places<'a>(&'a self, text: &'a [u8]) -> Places<'a> {
        Places::new(&self.search, text)
    }

    /// What begins at `text`'s start.
    pub(super) fn look(&self, text: &[u8]) -> Found {
        let mut found = match access_key::look(text) {
            Look::No => Found {
                len: 0,
                open: false,
            },
            Look::Whole(len) => Found { len, open: false },
            Look::Partial => Found { len: 0, open: true },
        };
        let group = text
            .first_chunk::<KEY_LEN>()
            .and_then(|key| self.forms.get(key));
        for form in group.into_iter().flatten() {
            if text.starts_with(form) {
                found.len = found.len.max(form.len());
                break;
            }
            found.open |= form.starts_with(text);
        }
        found
    }

    /// The first of the last places of `text`, too near its end for a whole key, where a form may begin.
    pub(super) fn open_end(&self, text: &[u8]) -> Option<usize> {
        (text.len().saturating_sub(KEY_LEN - 1)..text.len()).find(|&at| self.may_begin(&text[at..]))
    }

    /// True when `start`, shorter than a key, is what a form begins with.
    fn may_begin(&self, start: &[u8]) -> bool {
        let mut least = Key::default();
        least[..start.len()].copy_from_slice(start);
        let key = self.forms.range(least..).next();
        key.is_some_and(|(key, _)| key.starts_with(start))
            || access_key::look(start) == Look::Partial
    }
}

/// A search for keys: vectorised while they are few, an automaton otherwise.
enum Search {
    /// Some searches over the same text, each for some of the keys.
    Packed(Vec<packed::Searcher>),
    Automaton(Box<AhoCorasick>),
}

/// Keys that one vectorised search takes.
const PACKED_KEYS_MAX: usize = 64;

/// Searches over the same text that together are still faster than the automaton; measured with `mask_speed`.
const PACKED_MAX: usize = 6;

impl Search {
    fn new(keys: &[&[u8]]) -> Self {
        let packed = || {
            keys.chunks(PACKED_KEYS_MAX)
                .map(packed_search)
                .collect::<Option<Vec<_>>>()
        };
        let few = keys.len() <= PACKED_KEYS_MAX * PACKED_MAX;
        let searches = if few { packed() } else { None };
        searches.map_or_else(|| Self::Automaton(Box::new(automaton(keys))), Self::Packed)
    }

    /// The first place at or after `from` where one of the keys of the search `number` stands.
    fn find(&self, number: usize, text: &[u8], from: usize) -> Option<usize> {
        match self {
            Self::Packed(searches) => {
                let span = Span {
                    start: from,
                    end: text.len(),
                };
                searches
                    .get(number)?
                    .find_in(text, span)
                    .map(|found| found.start())
            }
            Self::Automaton(automaton) => automaton
                .find(Input::new(text).range(from..))
                .map(|found| found.start()),
        }
    }

    const fn count(&self) -> usize {
        match self {
            Self::Packed(searches) => searches.len(),
            Self::Automaton(_) => 1,
        }
    }
}

/// `None` where the machine has no vectors for it.
fn packed_search(keys: &[&[u8]]) -> Option<packed::Searcher> {
    packed::Config::new()
        .match_kind(packed::MatchKind::LeftmostLongest)
        .builder()
        .extend(keys)
        .build()
}

fn automaton(keys: &[&[u8]]) -> AhoCorasick {
    let mut builder = AhoCorasick::builder();
    builder.match_kind(MatchKind::LeftmostLongest);
    // A table is fastest and, over keys of six bytes, small; beyond some hundred secrets the library knows best.
    const TABLE_KEYS_MAX: usize = 4096;
    if keys.len() <= TABLE_KEYS_MAX {
        builder.kind(Some(AhoCorasickKind::DFA));
    }
    builder
        .build(keys)
        .expect("short keys, fewer than two thousand million of them")
}

/// The places of a text where keys stand: each search's next one, of which the first is given.
pub(super) struct Places<'a> {
    search: &'a Search,
    text: &'a [u8],
    /// By search; the text's length when it finds no more.
    next: [usize; PACKED_MAX],
}

impl<'a> Places<'a> {
    fn new(search: &'a Search, text: &'a [u8]) -> Self {
        let mut places = Self {
            search,
            text,
            next: [text.len(); PACKED_MAX],
        };
        for number in 0..search.count() {
            places.advance(number, 0);
        }
        places
    }

    fn advance(&mut self, number: usize, from: usize) {
        self.next[number] = self
            .search
            .find(number, self.text, from)
            .unwrap_or(self.text.len());
    }
}

impl Iterator for Places<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let searches = self.search.count();
        let first = *self.next[..searches].iter().min()?;
        if first == self.text.len() {
            return None;
        }
        for number in 0..searches {
            if self.next[number] == first {
                self.advance(number, first + 1);
            }
        }
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finder(forms: &[&str]) -> Finder {
        Finder::new(&forms.iter().map(|form| form.as_bytes().to_vec()).collect())
    }

    #[test]
    fn the_longest_form_at_a_place_counts() {
        let finder = finder(&["secret", "secret-longer", "secret-longest"]);
        assert_eq!(
            finder.look(b"secret."),
            Found {
                len: 6,
                open: false
            }
        );
        assert_eq!(
            finder.look(b"secret-longer."),
            Found {
                len: 13,
                open: false
            }
        );
        assert_eq!(finder.look(b"secret-longe"), Found { len: 6, open: true });
        assert_eq!(finder.look(b"secret"), Found { len: 6, open: true });
        assert_eq!(
            finder.look(b"something"),
            Found {
                len: 0,
                open: false
            }
        );
    }

    #[test]
    fn the_end_of_a_text_is_open_where_a_form_may_begin() {
        let finder = finder(&["secret", "\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}"]);
        assert_eq!(finder.open_end(b"see sec"), Some(4));
        assert_eq!(finder.open_end(b"see secr-"), None);
        assert_eq!(finder.open_end(b"s"), Some(0));
        assert_eq!(finder.open_end(b"xx\0"), Some(2));
        assert_eq!(finder.open_end(b"AKI"), Some(0));
        assert_eq!(finder.open_end(b""), None);
    }

    #[test]
    fn many_forms_are_found_like_few() {
        let many: Vec<String> = (0..500)
            .map(|number| format!("{number:03}-secret"))
            .collect();
        let finder = finder(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(matches!(finder.search, Search::Automaton(_)));
        let text = b"there is 321-secret in it";
        assert_eq!(finder.places(text).collect::<Vec<_>>(), [9]);
        assert_eq!(
            finder.look(&text[9..]),
            Found {
                len: 10,
                open: false
            }
        );
    }

    #[test]
    fn several_searches_give_their_places_in_order() {
        let some: Vec<String> = (0..200)
            .map(|number| format!("{number:03}-secret"))
            .collect();
        let finder = finder(&some.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(finder.search.count() > 1);
        let text = b"199-secret 000-secret 150-secret 050-secret 999-secret AKIA";
        assert_eq!(finder.places(text).collect::<Vec<_>>(), [0, 11, 22, 33, 55]);
    }
}
