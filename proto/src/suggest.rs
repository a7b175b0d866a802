//! "Did you mean": the known word nearest to an unknown one, and known words as people list them. Asked by everybody who reads what people
//! write.

/// The nearest of the known words, when it is near enough to be meant: case, `_` and `-` do not count, and one edit in
/// three letters is forgiven, three at most.
#[must_use]
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    /// Longer words than any key has are no misspelling, and would cost time.
    const WORD_CHARS_MAX: usize = 64;
    let word = normal(word);
    if word.len() > WORD_CHARS_MAX {
        return None;
    }
    let within = |candidate: usize| (word.len().max(candidate) / 3).clamp(1, 3);
    known
        .iter()
        // Every letter of difference in length is an edit, and most unknown words end here.
        .filter(|known| known.len().abs_diff(word.len()) <= within(known.len()))
        .map(|known| (normal(known), *known))
        .filter_map(|(letters, known)| {
            let edits = distance(&word, &letters);
            (edits <= within(letters.len())).then_some((edits, known))
        })
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, known)| known)
}

/// Words as people list them: `a`, `b` and `c`. Empty for none.
#[must_use]
pub fn listed(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

fn normal(word: &str) -> Vec<char> {
    word.chars()
        .map(|letter| {
            if letter == '_' {
                '-'
            } else {
                letter.to_ascii_lowercase()
            }
        })
        .collect()
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (row, left) in a.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, right) in b.iter().enumerate() {
            let replaced = last[column] + usize::from(left != right);
            let mut best = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            let swapped = row > 0 && column > 0 && *left == b[column - 1] && a[row - 1] == *right;
            if swapped {
                best = best.min(before_last[column - 1] + 1);
            }
            current.push(best);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const KEYS: &[&str] = &[
        "commands",
        "finally",
        "on-failure",
        "run-as",
        "files",
        "env",
    ];

    #[test]
    fn misspelt_words_find_their_meaning() {
        for (word, meant) in [
            ("command", "commands"),
            ("comands", "commands"),
            ("COMMANDS", "commands"),
            ("on_failure", "on-failure"),
            ("onfailure", "on-failure"),
            ("finaly", "finally"),
            ("fiels", "files"),
            ("runas", "run-as"),
            ("evn", "env"),
        ] {
            assert_eq!(nearest(word, KEYS), Some(meant), "{word}");
        }
    }

    #[test]
    fn other_words_are_left_alone() {
        for word in [
            "",
            "script",
            "timeout",
            "x",
            "environment",
            &"commands".repeat(40),
        ] {
            assert_eq!(nearest(word, KEYS), None, "{word}");
        }
    }
}
