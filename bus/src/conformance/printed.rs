//! Cases of what hosts print: in their order, marked, and without anybody who waits for who reads.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::join;
use futures_util::stream::BoxStream;

use super::{KEPT, build, settings};
use crate::{
    Bus, CHUNK_BYTES_MAX, Chunk, Deployment, FollowError, Heard, Host, Item, Mark, Place, PutError,
};

type Listening = BoxStream<'static, Result<Heard, FollowError>>;

fn deployment(text: &str) -> Deployment {
    text.parse().expect("a deployment of this suite")
}

fn host(text: &str) -> Host {
    text.parse().expect("a host of this suite")
}

async fn print(bus: &Arc<dyn Bus>, on: &str, by: &str, piece: impl Into<Bytes>) {
    let put = bus.print(&deployment(on), &host(by), piece.into()).await;
    put.expect("nothing is against it");
}

fn listen(bus: &Arc<dyn Bus>, on: &str) -> Listening {
    bus.listen(&deployment(on), None, None)
}

/// A piece's text with its mark, or `-` once all that there was is given.
async fn next(listening: &mut Listening) -> (String, Option<Mark>) {
    let heard = listening.next().await.expect("there is more");
    match heard.expect("it can be listened to") {
        Heard::CaughtUp => ("-".into(), None),
        Heard::Piece { mark, bytes } => (String::from_utf8_lossy(&bytes).into_owned(), Some(mark)),
    }
}

async fn next_of(listening: &mut Listening, count: usize) -> String {
    let mut pieces = Vec::new();
    for _ in 0..count {
        pieces.push(next(listening).await.0);
    }
    pieces.join(" ")
}

/// All up to where it has caught up.
async fn kept(mut listening: Listening) -> Vec<String> {
    let mut pieces = Vec::new();
    loop {
        match next(&mut listening).await {
            (_, None) => return pieces,
            (piece, Some(_)) => pieces.push(piece),
        }
    }
}

pub(super) async fn a_listener_gets_what_is_kept_then_what_comes(bus: Arc<dyn Bus>) {
    print(&bus, "d", "a", "a1").await;
    print(&bus, "d", "b", "b1").await;
    let mut early = listen(&bus, "d");
    assert_eq!(next_of(&mut early, 3).await, "a1 b1 -");
    print(&bus, "d", "a", "a2").await;
    assert_eq!(next_of(&mut early, 1).await, "a2");
    assert_eq!(kept(listen(&bus, "d")).await, ["a1", "b1", "a2"]);
}

pub(super) async fn a_listener_that_comes_first_waits(bus: Arc<dyn Bus>) {
    let mut listening = listen(&bus, "d");
    assert_eq!(next_of(&mut listening, 1).await, "-");
    let printing = async {
        tokio::task::yield_now().await;
        print(&bus, "d", "a", "a1").await;
    };
    let (heard, ()) = join(next_of(&mut listening, 1), printing).await;
    assert_eq!(heard, "a1");
}

pub(super) async fn a_listener_goes_on_after_what_it_has(bus: Arc<dyn Bus>) {
    for piece in ["1", "2", "3"] {
        print(&bus, "d", "a", piece).await;
    }
    let mut first = listen(&bus, "d");
    assert_eq!(next(&mut first).await.0, "1");
    let (second, mark) = next(&mut first).await;
    assert_eq!(second, "2");
    let again = mark.expect("a piece has one").to_string();
    let mark = again.parse::<Mark>().ok();
    let mut later = bus.listen(&deployment("d"), None, mark);
    assert_eq!(next_of(&mut later, 2).await, "3 -");
    print(&bus, "d", "b", "4").await;
    let (fourth, mark) = next(&mut later).await;
    assert_eq!(fourth, "4");
    let mut last = bus.listen(&deployment("d"), None, mark);
    assert_eq!(next_of(&mut last, 1).await, "-");
}

pub(super) async fn a_mark_of_another_memory_means_nothing(bus: Arc<dyn Bus>) {
    print(&bus, "d", "a", "1").await;
    let mark = Mark { epoch: 7, seq: 99 };
    let mut listening = bus.listen(&deployment("d"), None, Some(mark));
    assert_eq!(next_of(&mut listening, 2).await, "1 -");
    for text in ["", "7", "7.", ".7", "7.x", "7.1.2"] {
        assert!(text.parse::<Mark>().is_err(), "{text}");
    }
}

pub(super) async fn one_host_is_listened_to(bus: Arc<dyn Bus>) {
    print(&bus, "d", "a.1", "a1").await;
    print(&bus, "d", "*", "b1").await;
    let mut one = bus.listen(&deployment("d"), Some(&host("*")), None);
    assert_eq!(next_of(&mut one, 2).await, "b1 -");
    print(&bus, "d", "a.1", "a2").await;
    print(&bus, "d", "*", "b2").await;
    assert_eq!(next_of(&mut one, 1).await, "b2");
}

pub(super) async fn a_loud_host_pushes_out_only_its_own(bus: Arc<dyn Bus>) {
    print(&bus, "d", "quiet", "q").await;
    for number in 0..KEPT * 2 {
        print(&bus, "d", "loud", number.to_string()).await;
    }
    let kept = kept(listen(&bus, "d")).await;
    assert_eq!(kept.len(), KEPT + 1, "{kept:?}");
    assert_eq!(kept[..2], ["q".to_owned(), KEPT.to_string()]);
}

pub(super) async fn the_oldest_of_all_hosts_goes_first(bus: Arc<dyn Bus>) {
    let much = Bytes::from(vec![b'x'; CHUNK_BYTES_MAX]);
    let fit = settings().printed.bytes_max_in_all / CHUNK_BYTES_MAX;
    print(&bus, "d", "first", "1").await;
    for number in 0..fit {
        print(&bus, "other", &format!("h{number}"), much.clone()).await;
    }
    print(&bus, "d", "last", "2").await;
    assert_eq!(kept(listen(&bus, "d")).await, ["2"]);
}

pub(super) async fn a_listener_that_does_not_read_holds_up_nobody(bus: Arc<dyn Bus>) {
    let mut slow = listen(&bus, "d");
    assert_eq!(next_of(&mut slow, 1).await, "-");
    let count = KEPT * 10;
    // Nobody reads meanwhile.
    for number in 0..count {
        print(&bus, "d", "a", number.to_string()).await;
    }
    // What is kept is given, whatever was missed.
    let last = (count - 1).to_string();
    let mut given = 0;
    while next(&mut slow).await.0 != last {
        given += 1;
    }
    assert!(given + 1 < count, "{given}");
}

pub(super) async fn deployments_are_apart(bus: Arc<dyn Bus>) {
    let (mut one, mut other) = (listen(&bus, "d.1"), listen(&bus, "d.*"));
    print(&bus, "d.1", "a", "1").await;
    print(&bus, "d.*", "a", "2").await;
    for (listening, piece) in [(&mut one, "1"), (&mut other, "2")] {
        while next(listening).await.0 != piece {}
    }
}

pub(super) async fn builds_and_hosts_push_out_nothing_of_each_other(bus: Arc<dyn Bus>) {
    let much = Bytes::from(vec![b'x'; CHUNK_BYTES_MAX]);
    let put = async |on: &str, bytes: &Bytes| {
        let (first, bytes) = (0, bytes.clone());
        let put = bus.put(&build(on), 1, Chunk { first, bytes }).await;
        put.expect("nothing is against it");
    };
    put("b", &Bytes::from_static(b"kept")).await;
    print(&bus, "d", "a", "kept").await;
    let of_hosts = settings().printed.bytes_max_in_all / CHUNK_BYTES_MAX;
    for number in 0..of_hosts * 2 {
        print(&bus, "loud", &format!("h{number}"), much.clone()).await;
    }
    let followed = bus.follow(&build("b"), Place::START);
    let items: Vec<_> = followed
        .take(2)
        .filter_map(async |item| item.ok())
        .collect()
        .await;
    assert!(
        matches!(&items[1], Item::Chunk(chunk) if chunk.bytes == "kept"),
        "{items:?}"
    );
    // What hosts have printed since has pushed out the oldest of hosts.
    print(&bus, "d", "a", "kept").await;
    let of_builds = settings().output.bytes_max_in_all / CHUNK_BYTES_MAX;
    for number in 0..of_builds * 2 {
        put(&format!("b{number}"), &much).await;
    }
    assert_eq!(kept(listen(&bus, "d")).await, ["kept"]);
}

pub(super) async fn a_piece_has_a_largest_size(bus: Arc<dyn Bus>) {
    let piece = |size_bytes| Bytes::from(vec![b'x'; size_bytes]);
    let put = bus.print(&deployment("d"), &host("a"), piece(CHUNK_BYTES_MAX + 1));
    let error = put.await;
    assert!(matches!(error, Err(PutError::TooLarge { .. })), "{error:?}");
    print(&bus, "d", "a", piece(CHUNK_BYTES_MAX)).await;
    assert_eq!(kept(listen(&bus, "d")).await[0].len(), CHUNK_BYTES_MAX);
}
