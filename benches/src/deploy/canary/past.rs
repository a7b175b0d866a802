//! The hour before a trial: what each host would have counted, second by second, had it been asked as it is now and had each request failed by
//! itself. Written as a monitoring server imports it; the service counts on from where it ends.

use std::fmt::Write as _;

use super::service::{BAD_SHARE, REQUESTS_A_SECOND};

/// As long as a watch looks back, and what it reads before that.
const SECONDS: u32 = 3_700;

/// What a host has counted in the end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) requests: u64,
    pub(super) bad: u64,
}

/// That hour.
pub(super) struct Past {
    /// When it began, in seconds since 1970.
    pub(super) began: f64,
    /// By host.
    pub(super) counted: Vec<Counts>,
    /// Of all series, as `promtool tsdb create-blocks-from openmetrics` reads it.
    pub(super) text: String,
}

impl Past {
    /// One that ends at that moment, of hosts at those ports.
    pub(super) fn until(end: f64, ports: &[u16], chance: &mut Chance) -> Self {
        let began = end - f64::from(SECONDS);
        let each = u64::from(REQUESTS_A_SECOND) / ports.len() as u64;
        let (mut counted, mut good, mut failed) = (Vec::new(), String::new(), String::new());
        let mut up = String::new();
        for port in ports {
            let of = format!("instance=\"127.0.0.1:{port}\",job=\"shop\"");
            let mut counts = Counts::default();
            for second in 0..=SECONDS {
                let at = began + f64::from(second);
                counts.requests += each;
                let draws = (0..each).filter(|_| chance.unit() < BAD_SHARE.0);
                counts.bad += draws.count() as u64;
                let well = counts.requests - counts.bad;
                say(
                    &mut good,
                    "http_requests_total",
                    &format!("{of},code=\"200\""),
                    well,
                    at,
                );
                say(
                    &mut failed,
                    "http_requests_total",
                    &format!("{of},code=\"500\""),
                    counts.bad,
                    at,
                );
                say(&mut up, "up", &of, 1, at);
            }
            counted.push(counts);
        }
        let text =
            format!("# TYPE http_requests counter\n{good}{failed}# TYPE up gauge\n{up}# EOF\n");
        Self {
            began,
            counted,
            text,
        }
    }
}

fn say(text: &mut String, name: &str, labels: &str, value: u64, at: f64) {
    let wrote = writeln!(text, "{name}{{{labels}}} {value} {at:.3}");
    debug_assert!(wrote.is_ok(), "a text takes more text");
}

/// Draws that a seed gives again.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// **Source.** SplitMix64 (Steele, Lea, Flood 2014).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// Another stream of draws.
    pub(super) fn split(&mut self) -> Self {
        Self(self.next())
    }

    /// From 0, below 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
