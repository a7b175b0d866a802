//! Characters kept whole: an unfinished one at the end of a chunk waits for the next. Sits between the masker and those who
//! read output as text; bytes that are no UTF-8 pass as they are.

/// The unfinished character at a stream's end, at most three bytes.
#[derive(Debug, Default)]
pub(super) struct Unfinished(Vec<u8>);

impl Unfinished {
    /// Splits `bytes` before an unfinished character at their end and keeps that; what was kept before is put in front,
    /// by way of `joined`.
    pub(super) fn complete<'a>(&mut self, bytes: &'a [u8], joined: &'a mut Vec<u8>) -> &'a [u8] {
        let whole = if self.0.is_empty() {
            bytes
        } else {
            joined.clear();
            joined.append(&mut self.0);
            joined.extend_from_slice(bytes);
            joined
        };
        let (complete, rest) = whole.split_at(whole.len() - unfinished_len(whole));
        self.0.extend_from_slice(rest);
        complete
    }

    /// What was kept, as it is.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// How many bytes at the end begin a character that is not whole.
fn unfinished_len(bytes: &[u8]) -> usize {
    (1..=bytes.len().min(3))
        .find(|&len| begins_longer(&bytes[bytes.len() - len..]))
        .unwrap_or(0)
}

/// True when `start` is the beginning of a longer character.
fn begins_longer(start: &[u8]) -> bool {
    let len = match start[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return false,
    };
    start.len() < len && start[1..].iter().all(|byte| matches!(byte, 0x80..=0xbf))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cut_anywhere_comes_in_whole_characters() {
        let text = "aé€😀z€";
        for cut in 0..=text.len() {
            let (first, second) = text.as_bytes().split_at(cut);
            let mut unfinished = Unfinished::default();
            let (mut joined, mut also_joined) = (Vec::new(), Vec::new());
            let first = unfinished.complete(first, &mut joined);
            let second = unfinished.complete(second, &mut also_joined);
            assert_eq!(
                [
                    std::str::from_utf8(first).unwrap(),
                    std::str::from_utf8(second).unwrap()
                ]
                .concat(),
                text
            );
            assert!(unfinished.is_empty());
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_not_held() {
        for bytes in [
            b"\xff".as_slice(),
            b"a\x80\x80",
            b"\xc1",
            b"\xe2a",
            b"\xf5\x80",
        ] {
            assert_eq!(unfinished_len(bytes), 0, "{bytes:?}");
        }
        assert_eq!(unfinished_len(b"a\xf0\x9f\x98"), 3);
    }
}
