//! What happens in a deployment and what its hosts print, in one order: they come in two streams, and what a script printed last may come after
//! the word that its event is over, or its first line before the word that it began. Fed with both and with time; hands out what may be
//! shown. Neither is held for long, so nothing is lost when the other one stays away.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::output::Line;
use super::story::Told;

/// An event's end is shown once its host has printed nothing for so long: both streams come from one server, which has had the lines first.
const QUIET: Duration = Duration::from_millis(400);
/// And after so long in any case.
const HELD_MAX: Duration = Duration::from_secs(2);

/// Something to show.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shown {
    Told(Told),
    Printed(Line),
}

/// A host, and one of its events.
type Event = (String, String);

/// What has come and is not shown.
#[derive(Debug, Default)]
pub(super) struct Order {
    told: VecDeque<(Instant, Told)>,
    /// By host.
    printed: HashMap<String, VecDeque<(Instant, Line)>>,
    /// When a host printed last.
    heard: HashMap<String, Instant>,
    /// Events that are known to have begun.
    begun: HashSet<Event>,
}

impl Order {
    pub(super) fn told(&mut self, told: Vec<Told>, now: Instant) {
        self.told.extend(told.into_iter().map(|told| (now, told)));
    }

    pub(super) fn printed(&mut self, line: Line, now: Instant) {
        self.heard.insert(line.host.clone(), now);
        let of_host = self.printed.entry(line.host.clone()).or_default();
        of_host.push_back((now, line));
    }

    /// What may be shown now, in order.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Shown> {
        self.take(Some(now))
    }

    /// All that is left, in order.
    pub(super) fn rest(&mut self) -> Vec<Shown> {
        self.take(None)
    }

    /// At no moment nothing is waited for.
    fn take(&mut self, now: Option<Instant>) -> Vec<Shown> {
        let mut shown = Vec::new();
        loop {
            self.lines(now, &mut shown);
            let Some((since, next)) = self.told.front() else {
                break;
            };
            if now.is_some_and(|now| self.is_early(*since, next, now)) {
                break;
            }
            let Some((_, told)) = self.told.pop_front() else {
                break;
            };
            self.begun.extend(event_of(&told));
            shown.push(Shown::Told(told));
        }
        if now.is_none() {
            // Of events that nobody has told of.
            let mut hosts: Vec<_> = self.printed.drain().collect();
            hosts.sort_by(|(one, _), (other, _)| one.cmp(other));
            let lines = hosts.into_iter().flat_map(|(_, lines)| lines);
            shown.extend(lines.map(|(_, line)| Shown::Printed(line)));
        }
        shown
    }

    /// Whether it is the end of an event of which more may be printed.
    fn is_early(&self, since: Instant, told: &Told, now: Instant) -> bool {
        let (Some(host), true) = (&told.host, is_end(told)) else {
            return false;
        };
        let heard = self.heard.get(host).map_or(since, |at| since.max(*at));
        now.duration_since(heard) < QUIET && now.duration_since(since) < HELD_MAX
    }

    /// Lines of events that have begun, and those that have waited for that.
    fn lines(&mut self, now: Option<Instant>, shown: &mut Vec<Shown>) {
        // One that is over before it was told that it began: what it printed comes before that.
        let ends = self.told.front().filter(|(_, told)| is_end(told));
        let ends = ends.and_then(|(_, told)| event_of(told));
        let mut hosts: Vec<&String> = self.printed.keys().collect();
        hosts.sort();
        let hosts: Vec<String> = hosts.into_iter().cloned().collect();
        for host in hosts {
            let Some(lines) = self.printed.get_mut(&host) else {
                continue;
            };
            while let Some((since, line)) = lines.front() {
                let event = (host.clone(), line.event.name().to_owned());
                let is_late = now.is_some_and(|now| now.duration_since(*since) >= HELD_MAX);
                if !is_late && !self.begun.contains(&event) && ends.as_ref() != Some(&event) {
                    break;
                }
                shown.extend(lines.pop_front().map(|(_, line)| Shown::Printed(line)));
            }
            if lines.is_empty() {
                self.printed.remove(&host);
            }
        }
    }
}

fn event_of(told: &Told) -> Option<Event> {
    Some((told.host.clone()?, told.event.clone()?))
}

/// Whether an event is said to be over.
fn is_end(told: &Told) -> bool {
    let status = told.status.as_deref().unwrap_or_default();
    told.event.is_some() && !matches!(status, "InProgress" | "Pending")
}

#[cfg(test)]
mod tests {
    use croft_proto::deploy::LifecycleEvent;

    use super::*;

    fn event(host: &str, event: &str, status: &str) -> Told {
        Told::event("d-A", host, event, status)
    }

    fn line(host: &str, event: LifecycleEvent, text: &str) -> Line {
        Line::of("d-A", host, event, text)
    }

    fn texts(shown: &[Shown]) -> Vec<String> {
        let text = |shown: &Shown| match shown {
            Shown::Told(told) => told.text.trim().to_owned(),
            Shown::Printed(line) => line.shown(),
        };
        shown.iter().map(text).collect()
    }

    const START: LifecycleEvent = LifecycleEvent::ApplicationStart;
    const VALIDATE: LifecycleEvent = LifecycleEvent::ValidateService;

    #[test]
    fn what_a_script_prints_stands_between_its_events_begin_and_end() {
        let (mut order, begin) = (Order::default(), Instant::now());
        let after = |ms: u64| begin + Duration::from_millis(ms);
        // Its first line is faster than the word that it began.
        order.printed(line("h1", START, "one"), begin);
        assert_eq!(order.due(begin), []);
        order.told(
            vec![event("h1", "ApplicationStart", "InProgress")],
            after(50),
        );
        assert_eq!(
            texts(&order.due(after(50))),
            [
                "h1: ApplicationStart InProgress",
                "h1 ApplicationStart | one"
            ]
        );
        // And its last one slower than the word that it is over. What comes next waits with it.
        let next = vec![
            event("h1", "ApplicationStart", "Succeeded"),
            event("h1", "ValidateService", "InProgress"),
        ];
        order.told(next, after(100));
        assert_eq!(order.due(after(120)), []);
        order.printed(line("h1", START, "last"), after(130));
        order.printed(line("h1", VALIDATE, "asks"), after(140));
        assert_eq!(
            texts(&order.due(after(300))),
            ["h1 ApplicationStart | last"]
        );
        assert_eq!(
            texts(&order.due(after(600))),
            [
                "h1: ApplicationStart Succeeded",
                "h1: ValidateService InProgress",
                "h1 ValidateService | asks",
            ]
        );
    }

    #[test]
    fn an_event_whose_begin_nobody_saw_has_its_lines_before_its_end() {
        let (mut order, begin) = (Order::default(), Instant::now());
        let after = |ms: u64| begin + Duration::from_millis(ms);
        order.printed(line("h1", START, "one"), begin);
        let both = vec![
            event("h2", "ApplicationStart", "InProgress"),
            event("h1", "ApplicationStart", "Failed"),
        ];
        order.told(both, after(10));
        assert_eq!(
            texts(&order.due(after(10))),
            [
                "h2: ApplicationStart InProgress",
                "h1 ApplicationStart | one"
            ]
        );
        assert_eq!(
            texts(&order.due(after(500))),
            ["h1: ApplicationStart Failed"]
        );
    }

    #[test]
    fn nothing_is_held_for_long_and_nothing_is_lost_at_the_end() {
        let (mut order, begin) = (Order::default(), Instant::now());
        let after = |ms: u64| begin + Duration::from_millis(ms);
        order.printed(line("h1", START, "one"), begin);
        assert_eq!(
            texts(&order.due(after(2_000))),
            ["h1 ApplicationStart | one"]
        );
        // A host that prints on and on, though its event is over.
        order.told(
            vec![event("h1", "ApplicationStart", "Succeeded")],
            after(2_000),
        );
        for ms in (2_000..4_100).step_by(100) {
            order.printed(line("h1", START, "more"), after(ms));
        }
        let ended = texts(&order.due(after(4_100)));
        assert_eq!(ended.last().unwrap(), "h1: ApplicationStart Succeeded");
        order.printed(line("h2", VALIDATE, "late"), after(4_200));
        order.told(
            vec![event("h1", "ValidateService", "Succeeded")],
            after(4_200),
        );
        assert_eq!(
            texts(&order.rest()),
            ["h1: ValidateService Succeeded", "h2 ValidateService | late"]
        );
    }
}
