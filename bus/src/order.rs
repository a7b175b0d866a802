//! What a follower of output is given for a record that came: pure, and the same for both buses.

use crate::message::Record;
use crate::{Chunk, Item, Place};

/// Where a follower is.
#[derive(Debug)]
pub(crate) struct Order {
    /// What it wants next.
    pub(crate) place: Place,
    began: Option<u32>,
}

impl Order {
    pub(crate) fn new(place: Place) -> Self {
        Self { place, began: None }
    }

    /// The items for a record: none when it is old.
    pub(crate) fn accept(&mut self, record: Record) -> Vec<Item> {
        let at = record.place();
        let Record {
            attempt,
            number,
            bytes,
        } = record;
        if attempt > self.place.attempt {
            self.place = Place { attempt, chunk: 0 };
        }
        if at < self.place {
            return Vec::new();
        }
        let mut items = Vec::with_capacity(1);
        if self.began.replace(attempt) != Some(attempt) {
            items.push(Item::Began { attempt });
        }
        if number > self.place.chunk {
            items.push(Item::Skipped { to: number });
        }
        self.place = at.next();
        items.push(bytes.map_or(Item::End, |bytes| {
            Item::Chunk(Chunk {
                first: number,
                bytes,
            })
        }));
        items
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn record(attempt: u32, number: u64) -> Record {
        let bytes = Some(Bytes::new());
        Record {
            attempt,
            number,
            bytes,
        }
    }

    /// In short: `b1` began, `s3` skipped to, `3` a chunk, `e` the end.
    fn shown(order: &mut Order, record: Record) -> String {
        let items = order.accept(record).into_iter().map(|item| match item {
            Item::Began { attempt } => format!("b{attempt}"),
            Item::Skipped { to } => format!("s{to}"),
            Item::Chunk(chunk) => chunk.first.to_string(),
            Item::End => "e".into(),
        });
        items.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_record_at_every_place() {
        let (attempt, chunk) = (2, 5);
        let table = [
            (record(1, 0), ""),
            (record(1, 9), ""),
            (record(2, 4), ""),
            (record(2, 5), "b2 5"),
            (record(2, 7), "b2 s7 7"),
            (record(3, 0), "b3 0"),
            (record(3, 2), "b3 s2 2"),
        ];
        for (record, wanted) in table {
            let mut order = Order::new(Place { attempt, chunk });
            assert_eq!(shown(&mut order, record.clone()), wanted, "{record:?}");
            // Repeated, it is old.
            assert_eq!(shown(&mut order, record), "");
        }
    }

    #[test]
    fn an_attempt_begins_once_and_the_end_is_numbered() {
        let mut order = Order::new(Place::START);
        assert_eq!(shown(&mut order, record(1, 0)), "b1 0");
        assert_eq!(shown(&mut order, record(1, 1)), "1");
        assert_eq!(shown(&mut order, record(2, 0)), "b2 0");
        assert_eq!(shown(&mut order, record(1, 2)), "");
        let end = Record {
            bytes: None,
            ..record(2, 2)
        };
        assert_eq!(shown(&mut order, end), "s2 e");
    }
}
