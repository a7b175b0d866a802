use croft_proto::deploy::{DeploymentId, LifecycleEvent};

use super::*;
use crate::testing::{Site, clock, id};

const LIMIT: Duration = Duration::from_secs(2);

fn spooling(spool: &Arc<Spool>, number: u8) -> Spooling {
    let command = Site::new().command(number, LifecycleEvent::ApplicationStart);
    spool.watch(&command, clock())
}

fn print(spooling: &Spooling, text: &str) {
    let stream = Stream::Stdout;
    spooling.said(&Said::Line { stream, text });
}

fn script(spooling: &Spooling, location: &str) {
    let from = DeploymentId::drawn([0; 9]);
    spooling.said(&Said::Script {
        location,
        from: &from,
    });
}

fn texts(output: &HostOutput) -> Vec<&str> {
    output.lines.iter().map(|line| line.text.as_str()).collect()
}

#[test]
fn lines_are_taken_in_their_order_and_count_their_bytes() {
    let spool = Arc::new(Spool::default());
    let spooling = spooling(&spool, 1);
    script(&spooling, "a.sh");
    print(&spooling, "one");
    print(&spooling, "");
    script(&spooling, "b.sh");
    let (stream, text) = (Stream::Stderr, "three");
    spooling.said(&Said::Line { stream, text });
    spooling.said(&Said::Note("over"));
    let first = spool.take().unwrap();
    assert_eq!(texts(&first.output), ["one", "", "three", "over"]);
    let scripts: Vec<_> = (first.output.lines.iter())
        .map(|line| line.script.as_deref())
        .collect();
    assert_eq!(scripts, [Some("a.sh"), None, Some("b.sh"), None]);
    assert_eq!(first.output.lines[3].stream, OutputStream::Agent);
    assert_eq!((first.output.from, first.output.bytes()), (0, 16));
    assert_eq!(first.output.begun_ms, clock().millis());
    assert!(spool.take().is_none());
    print(&spooling, "four");
    let second = spool.take().unwrap();
    assert_eq!((second.output.from, second.output.left_out), (16, 0));
    assert_eq!(second.output.lines[0].script.as_deref(), Some("b.sh"));
}

#[test]
fn what_is_too_much_goes_from_the_oldest_on_and_is_told() {
    let spool = Arc::new(Spool::default());
    let (loud, quiet) = (spooling(&spool, 1), spooling(&spool, 2));
    print(&quiet, "q");
    let mut printed = 0;
    for number in 0..20_000 {
        let text = format!("{number:0100}");
        printed += text.len() as u64 + 1;
        print(&loud, &text);
        let waiting = spool.lock();
        let kept: usize = waiting.of.values().map(|event| event.bytes).sum();
        assert_eq!(kept, waiting.bytes);
        assert!(kept <= WAITING_BYTES_MAX, "{kept}");
    }
    let (mut next, mut left_out, mut pieces) = (None, 0, 0);
    while let Some(Piece { output, .. }) = spool.take() {
        let json = serde_json::to_vec(&output).unwrap();
        assert!(json.len() <= OUTPUT_BYTES_MAX, "{}", json.len());
        if output.deployment_id == id(2) {
            assert_eq!((texts(&output), output.left_out), (vec!["q"], 0));
            continue;
        }
        left_out += output.left_out;
        // All that was left out is before the first piece.
        assert_eq!(output.from, next.unwrap_or(left_out));
        next = Some(output.from + output.bytes());
        pieces += 1;
    }
    assert!(left_out > 0 && pieces > 1, "{left_out} {pieces}");
    assert_eq!(next, Some(printed), "the last is there");
    let waiting = spool.lock();
    assert_eq!(waiting.bytes, 0);
}

#[test]
fn the_longest_line_fits_a_piece_whatever_is_in_it() {
    let spool = Arc::new(Spool::default());
    let spooling = spooling(&spool, 1);
    script(&spooling, &"\u{1}".repeat(10_000));
    print(&spooling, &"\u{1}".repeat(100_000));
    let piece = spool.take().unwrap();
    let json = serde_json::to_vec(&piece.output).unwrap();
    assert!(json.len() <= OUTPUT_BYTES_MAX, "{}", json.len());
    assert_eq!(piece.output.lines[0].text.len(), TEXT_BYTES_MAX);
}

#[test]
fn what_the_farm_does_not_take_is_told_with_the_next_piece() {
    let spool = Arc::new(Spool::default());
    let spooling = spooling(&spool, 1);
    print(&spooling, "one");
    spool.left_out(&spool.take().unwrap());
    print(&spooling, "two");
    let piece = spool.take().unwrap();
    assert_eq!((piece.output.from, piece.output.left_out), (4, 4));
    // That the host says so is lost with it, and said again.
    spool.left_out(&piece);
    print(&spooling, "three");
    let piece = spool.take().unwrap();
    assert_eq!((piece.output.from, piece.output.left_out), (8, 8));
}

#[test]
fn bytes_are_counted_through_all_events_of_a_deployment() {
    let spool = Arc::new(Spool::default());
    let first = spooling(&spool, 1);
    print(&first, "one");
    spool.sent(&spool.take().unwrap());
    print(&first, "lost");
    let lost = spool.take().unwrap();
    drop(first);
    // The event is over, and nobody is left to say so.
    spool.left_out(&lost);
    let command = Site::new().command(1, LifecycleEvent::ValidateService);
    let later = Timestamp::from_millis(clock().millis() + 1);
    let second = spool.watch(&command, later);
    print(&second, "two");
    let piece = spool.take().unwrap().output;
    assert_eq!((piece.from, piece.left_out), (9, 0));
    assert_eq!(piece.begun_ms, clock().millis());
    // Another deployment has its own.
    let other = spooling(&spool, 2);
    print(&other, "x");
    assert_eq!(spool.take().unwrap().output.from, 0);
}

#[test]
fn events_take_turns() {
    let spool = Arc::new(Spool::default());
    let all = [1, 2, 3].map(|number| spooling(&spool, number));
    let took = || {
        let pieces = std::iter::from_fn(|| spool.take());
        let of: Vec<_> = pieces.map(|piece| piece.output.deployment_id).collect();
        of
    };
    all.iter().for_each(|one| print(one, "x"));
    assert_eq!(took(), [1, 2, 3].map(id));
    for one in [&all[2], &all[0]] {
        print(one, "x");
    }
    assert_eq!(took(), [1, 3].map(id), "the one after the last is next");
    all.iter().for_each(|one| print(one, "x"));
    spool.take().unwrap();
    print(&all[0], "more");
    assert_eq!(took(), [2, 3, 1].map(id), "nobody is passed over");
}

#[tokio::test(start_paused = true)]
async fn an_event_waits_for_its_last_lines_but_not_for_ever() {
    let spool = Arc::new(Spool::default());
    let spooling = spooling(&spool, 1);
    // Nothing was printed: nothing is waited for.
    spooling.handed_over(LIMIT).await;
    print(&spooling, "last");
    let begun = tokio::time::Instant::now();
    spooling.handed_over(LIMIT).await;
    assert_eq!(begun.elapsed(), LIMIT);
    let sending = async {
        spool.hurried().await;
        let piece = spool.take().unwrap();
        spool.sent(&piece);
    };
    tokio::join!(spooling.handed_over(LIMIT), sending);
    assert_eq!(begun.elapsed(), LIMIT);
    drop(spooling);
    assert!(spool.lock().of.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_not_handed_over_stays_until_it_is_or_is_pushed_out() {
    let spool = Arc::new(Spool::default());
    let first = spooling(&spool, 1);
    print(&first, "late");
    drop(first);
    spool.filled().await;
    let piece = spool.take().unwrap();
    assert_eq!(spool.lock().of.len(), 1);
    spool.sent(&piece);
    assert!(spool.lock().of.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_event_that_ends_too_soon_says_how_much_has_been_printed() {
    let spool = Arc::new(Spool::default());
    let spooling = spooling(&spool, 1);
    print(&spooling, "one");
    let piece = spool.take().unwrap();
    spool.sent(&piece);
    assert_eq!(spooling.unsent(), None);
    print(&spooling, "two");
    print(&spooling, "three");
    spooling.handed_over(LIMIT).await;
    let until = PrintedUntil {
        begun_ms: clock().millis(),
        bytes: 14,
    };
    assert_eq!(spooling.unsent(), Some(until));
    // On its way is not there yet, and what the farm would not have never is.
    let piece = spool.take().unwrap();
    assert_eq!(spooling.unsent(), Some(until));
    spool.left_out(&piece);
    assert_eq!(spooling.unsent(), Some(until));
}
