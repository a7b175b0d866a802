//! Several fields as one run of bytes that no other fields have. Received from sealing (where a value belongs) and the audit
//! chain (what an entry says); handed to a cipher or a hash.

/// The fields, each after its length in eight bytes (big-endian), all after their number in the same form.
///
/// Without the lengths, `["ab", "c"]` and `["a", "bc"]` would be the same bytes, and what is true of one would pass for the
/// other.
pub(crate) fn frame<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut framed = vec![0; 8];
    let mut count: u64 = 0;
    for field in fields {
        count += 1;
        framed.extend_from_slice(&length(field).to_be_bytes());
        framed.extend_from_slice(field);
    }
    framed[..8].copy_from_slice(&count.to_be_bytes());
    framed
}

fn length(field: &[u8]) -> u64 {
    u64::try_from(field.len()).expect("no machine has 2^64 bytes")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_field_comes_after_its_length() {
        let framed = frame([&b"ab"[..], b""]);
        let expected = [
            &[0, 0, 0, 0, 0, 0, 0, 2][..],
            &[0, 0, 0, 0, 0, 0, 0, 2],
            b"ab",
            &[0, 0, 0, 0, 0, 0, 0, 0],
        ];
        assert_eq!(framed, expected.concat());
    }

    #[test]
    fn other_fields_are_other_bytes() {
        let rows: [&[&str]; 8] = [
            &[],
            &[""],
            &["", ""],
            &["abc"],
            &["ab", "c"],
            &["a", "bc"],
            &["abc", ""],
            &["", "abc"],
        ];
        let framed: HashSet<Vec<u8>> = rows
            .iter()
            .map(|fields| frame(fields.iter().map(|field| field.as_bytes())))
            .collect();
        assert_eq!(framed.len(), rows.len());
    }
}
