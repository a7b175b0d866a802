//! Which bytes to ask for so that many small parts cost few requests. Received from `lane` and `tier`; pure.

use std::ops::Range;

use bytes::Bytes;
use object_store::{Error, Result};

use super::answer::{Short, generic};

/// Sorted, separate ranges that cover the wanted ones; those less than `gap_bytes` apart become one. Empty ones vanish.
pub(crate) fn merged(wanted: &[Range<u64>], gap_bytes: u64) -> Vec<Range<u64>> {
    let mut sorted: Vec<Range<u64>> = wanted
        .iter()
        .filter(|range| !range.is_empty())
        .cloned()
        .collect();
    sorted.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(gap_bytes) => {
                last.end = last.end.max(range.end);
            }
            _ => merged.push(range),
        }
    }
    merged
}

/// How many different bytes the ranges cover.
pub(crate) fn covered_bytes(wanted: &[Range<u64>]) -> u64 {
    let merged = merged(wanted, 0);
    merged.iter().map(|range| range.end - range.start).sum()
}

/// The wanted parts out of what was read: `read` holds one buffer for each of `merged`, possibly short at the object's end.
///
/// A part that the object's end cuts is short; one that begins behind it is an error.
pub(crate) fn cut(
    wanted: &[Range<u64>],
    merged: &[Range<u64>],
    read: &[Bytes],
) -> Result<Vec<Bytes>> {
    wanted
        .iter()
        .map(|part| {
            if part.is_empty() {
                return Ok(Bytes::new());
            }
            let index = merged
                .partition_point(|range| range.start <= part.start)
                .saturating_sub(1);
            match (merged.get(index), read.get(index)) {
                (Some(range), Some(bytes)) => slice(part, range.start, bytes),
                _ => Err(generic(Short { size_bytes: 0 })),
            }
        })
        .collect()
}

/// The part of bytes that begin at `offset`.
fn slice(part: &Range<u64>, offset: u64, bytes: &Bytes) -> Result<Bytes> {
    let length = bytes.len() as u64;
    let from = part.start.saturating_sub(offset);
    let to = part.end.saturating_sub(offset).min(length);
    let indices = (usize::try_from(from), usize::try_from(to));
    match indices {
        (Ok(from), Ok(to)) if from < to => Ok(bytes.slice(from..to)),
        _ => Err(short(offset + length)),
    }
}

fn short(size_bytes: u64) -> Error {
    generic(Short { size_bytes })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn near_ranges_become_one_and_far_ones_stay_apart() {
        assert_eq!(merged(&[10..20, 0..5, 25..30], 5), vec![0..30]);
        assert_eq!(merged(&[10..20, 0..5], 4), vec![0..5, 10..20]);
        assert_eq!(merged(&[0..10, 2..4, 10..11], 0), vec![0..11]);
        assert_eq!(merged(&[3..3, 7..7], 9), Vec::<Range<u64>>::new());
        assert_eq!(covered_bytes(&[0..10, 5..15, 20..21]), 16);
    }

    #[test]
    fn parts_come_in_the_order_asked_for_and_overlap() {
        let wanted = [6..8, 0..2, 1..7, 4..4];
        let read = [Bytes::from_static(b"01234567")];
        let parts = cut(&wanted, &merged(&wanted, 4), &read).unwrap();
        assert_eq!(parts, ["67", "01", "123456", ""]);
    }

    #[test]
    fn a_part_behind_the_end_is_an_error_and_one_across_it_is_short() {
        let merged = merged(&[0..4, 4..8], 0);
        let read = [Bytes::from_static(b"0123")];
        assert_eq!(cut(&[2..8, 0..1], &merged, &read).unwrap(), ["23", "0"]);
        let behind = cut(&[0..1, 4..8], &merged, &read).unwrap_err();
        assert_eq!(
            crate::backend::answer::damage(&behind).unwrap(),
            "it ends after 4 bytes, before a part that should be in it"
        );
    }

    proptest! {
        #[test]
        fn whatever_is_asked_of_whatever_object_is_right_or_an_error(
            size in 0_u64..60,
            gap in 0_u64..20,
            wanted in vec((0_u64..80, 0_u64..30), 0..12),
        ) {
            let object: Bytes = (0..60).take(usize::try_from(size).unwrap()).collect();
            let wanted: Vec<Range<u64>> = wanted.iter().map(|(from, more)| *from..from + more).collect();
            let asked = merged(&wanted, gap);
            // As stores answer: short at the end. Behind it they refuse, or have nothing.
            let read: Vec<Bytes> = asked
                .iter()
                .map(|range| {
                    let (from, to) = (range.start.min(size), range.end.min(size));
                    object.slice(usize::try_from(from).unwrap()..usize::try_from(to).unwrap())
                })
                .collect();
            let behind = wanted.iter().any(|part| !part.is_empty() && part.start >= size);
            match cut(&wanted, &asked, &read) {
                Err(_) => prop_assert!(behind),
                Ok(parts) => {
                    prop_assert!(!behind);
                    for (part, range) in parts.iter().zip(&wanted) {
                        let expected: Bytes = (0..60).take(usize::try_from(size).unwrap())
                            .filter(|at| range.contains(&u64::from(*at)))
                            .collect();
                        prop_assert_eq!(part, &expected);
                    }
                }
            }
        }
    }
}
