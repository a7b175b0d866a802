//! Protobuf's wire format, as much of it as telling fields apart needs. Received from the parent, which knows what the
//! numbers mean. It never reads past its bytes and never goes down by itself, so that what it takes is bounded by what it
//! is given.
//!
//! **Source.** <https://protobuf.dev/programming-guides/encoding/>.

/// Why bytes are no protobuf of the kind they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(in super::super) struct Malformed(pub(super) &'static str);

/// A field's value, as far as it is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A message, a text or bytes.
    Bytes(&'a [u8]),
    /// A number.
    Number,
}

impl<'a> Value<'a> {
    /// The bytes of a message or a text.
    pub(super) fn message(self) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number => Err(Malformed("a number stands where a message should")),
        }
    }
}

/// The fields of an encoded message, in order. After an error there are no more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn field(&mut self) -> Result<(u64, Value<'a>), Malformed> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => {
                self.varint()?;
                Value::Number
            }
            1 => self.number(8)?,
            2 => {
                let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
                Value::Bytes(self.bytes(length)?)
            }
            5 => self.number(4)?,
            // Groups are older than every message that is read here.
            _ => return Err(Malformed("a field is of an unknown kind")),
        };
        match tag >> 3 {
            0 => Err(Malformed("a field has the number 0")),
            number => Ok((number, value)),
        }
    }

    fn number(&mut self, length: usize) -> Result<Value<'a>, Malformed> {
        self.bytes(length).map(|_| Value::Number)
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(CUT)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.bytes(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed("a number is too long"))
    }
}

const CUT: Malformed = Malformed("it ends in the middle of a field");

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        Some(self.field().inspect_err(|_| self.0 = &[]))
    }
}

#[cfg(test)]
pub(in super::super) mod tests {
    use super::*;

    fn encode(mut number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
            number >>= 7;
        }
        bytes.push(u8::try_from(number).unwrap());
        bytes
    }

    /// An encoded field that holds a message, a text or bytes.
    pub(in super::super::super) fn message(number: u64, bytes: &[u8]) -> Vec<u8> {
        [&encode(number << 3 | 2), &encode(bytes.len() as u64), bytes].concat()
    }

    /// An encoded field that holds a number.
    pub(in super::super::super) fn varint(number: u64, value: u64) -> Vec<u8> {
        [encode(number << 3), encode(value)].concat()
    }

    #[test]
    fn fields_of_every_kind_are_told_apart() {
        let bytes = [
            &message(2, b"text"),
            &varint(4, u64::MAX),
            &[0x09, 0, 0, 0, 0, 0, 0, 0, 0][..],
            &[0x15, 0, 0, 0, 0],
            &message(300, b""),
        ]
        .concat();
        let fields: Result<Vec<_>, _> = Fields::of(&bytes).collect();
        let expected = [
            (2, Value::Bytes(b"text")),
            (4, Value::Number),
            (1, Value::Number),
            (2, Value::Number),
            (300, Value::Bytes(b"")),
        ];
        assert_eq!(fields.unwrap(), expected);
    }

    #[test]
    fn every_beginning_of_a_field_is_refused_and_ends_it() {
        let whole = [message(2, &[7; 200]), vec![0x09, 1, 2, 3, 4, 5, 6, 7, 8]].concat();
        for end in (1..whole.len()).filter(|end| *end != whole.len() - 9) {
            let mut fields = Fields::of(&whole[..end]);
            assert!(fields.any(|field| field.is_err()), "{end}");
            assert_eq!(fields.next(), None);
        }
    }

    #[test]
    fn odd_fields_are_refused() {
        for odd in [
            &[0x00, 0x00][..],
            &[0x0b],
            &[0x0c],
            &[0x0e],
            &[0x0f],
            &[0xff; 11],
            &[
                0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
            ],
        ] {
            assert!(Fields::of(odd).any(|field| field.is_err()), "{odd:?}");
        }
    }
}
