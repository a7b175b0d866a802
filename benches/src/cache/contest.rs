//! Tools that take turns. Received from the rows; hands medians to `report`.

use std::time::Duration;

use super::child::milliseconds;

/// One run of one tool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    /// From the start of its process to the end.
    pub(crate) whole_ms: f64,
    /// Of that, the call itself; only Croft tells.
    pub(crate) inside_ms: Option<f64>,
    /// Bytes the store grew by.
    pub(crate) stored_bytes: Option<u64>,
}

impl Took {
    pub(crate) fn time(time: Duration) -> Self {
        Self {
            whole_ms: milliseconds(time),
            inside_ms: None,
            stored_bytes: None,
        }
    }
}

/// What every tool took.
#[derive(Debug, Default)]
pub(crate) struct Contest {
    pub(crate) players: Vec<Player>,
    /// Who could not go on, and why.
    pub(crate) failures: Vec<String>,
}

/// One tool's runs.
#[derive(Debug)]
pub(crate) struct Player {
    pub(crate) name: &'static str,
    pub(crate) runs: Vec<Took>,
}

impl Player {
    pub(crate) fn whole_ms(&self) -> Option<f64> {
        median(self.runs.iter().map(|took| took.whole_ms))
    }

    pub(crate) fn inside_ms(&self) -> Option<f64> {
        median(self.runs.iter().filter_map(|took| took.inside_ms))
    }

    pub(crate) fn stored_bytes(&self) -> Option<u64> {
        let mut bytes: Vec<u64> = self
            .runs
            .iter()
            .filter_map(|took| took.stored_bytes)
            .collect();
        bytes.sort_unstable();
        bytes.get(bytes.len() / 2).copied()
    }

    /// Milliseconds of the fastest and the slowest run.
    pub(crate) fn range_ms(&self) -> (f64, f64) {
        let times = self.runs.iter().map(|took| took.whole_ms);
        times.fold((f64::INFINITY, 0.0), |(least, most), ms| {
            (f64::min(least, ms), f64::max(most, ms))
        })
    }
}

impl Contest {
    /// Every tool once a round, each round beginning with another one. One that fails is out.
    pub(crate) fn in_turn<P: Copy>(
        rounds: usize,
        players: &[(&'static str, P)],
        mut run: impl FnMut(P, usize) -> Result<Took, String>,
    ) -> Self {
        let mut contest = Self::default();
        contest
            .players
            .extend(players.iter().map(|(name, _)| Player {
                name,
                runs: Vec::new(),
            }));
        let mut out = vec![false; players.len()];
        for round in 0..rounds {
            for turn in 0..players.len() {
                let number = (turn + round) % players.len();
                if out[number] {
                    continue;
                }
                let (name, player) = players[number];
                match run(player, round) {
                    Ok(took) => contest.players[number].runs.push(took),
                    Err(reason) => {
                        out[number] = true;
                        contest.failures.push(format!("{name}: {reason}"));
                    }
                }
            }
        }
        contest.players.retain(|player| !player.runs.is_empty());
        contest
    }

    /// Adds another contest's runs to each player's own.
    pub(crate) fn join(&mut self, other: Self) {
        self.failures.extend(other.failures);
        for player in other.players {
            match self
                .players
                .iter_mut()
                .find(|known| known.name == player.name)
            {
                Some(known) => known.runs.extend(player.runs),
                None => self.players.push(player),
            }
        }
    }

    pub(crate) fn player(&self, name: &str) -> Option<&Player> {
        self.players.iter().find(|player| player.name == name)
    }

    /// The fastest of those named.
    pub(crate) fn best_of(&self, names: &[&str]) -> Option<&Player> {
        let named = self
            .players
            .iter()
            .filter(|player| names.contains(&player.name));
        named.min_by(|a, b| {
            let [a, b] = [a, b].map(|player| player.whole_ms().unwrap_or(f64::INFINITY));
            a.total_cmp(&b)
        })
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_begins_with_another_tool_and_a_failed_one_is_out() {
        let mut turns = Vec::new();
        let contest = Contest::in_turn(2, &[("a", 1), ("b", 2), ("c", 3)], |player, round| {
            turns.push((round, player));
            if player == 3 {
                return Err("it cannot".into());
            }
            Ok(Took::time(Duration::from_millis(player)))
        });
        assert_eq!(turns, [(0, 1), (0, 2), (0, 3), (1, 2), (1, 1)]);
        assert_eq!(contest.failures, ["c: it cannot"]);
        assert!(contest.player("c").is_none());
        assert_eq!(contest.best_of(&["a", "b"]).unwrap().name, "a");
    }

    #[test]
    fn the_middle_of_the_runs_counts() {
        assert_eq!(median([9.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median(std::iter::empty()), None);
    }
}
