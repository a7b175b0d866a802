//! Whether this machine is fit to run builds: a disk that is full, or several builds in a row that failed by the machine's fault, keep
//! it from taking more until that is over.

use std::path::Path;
use std::time::Duration;

use croft_proto::farm::BuildId;
use tokio::time::Instant;

use super::attempt::Went;

/// So many builds in a row that the machine failed, and it takes no more for a while.
pub(crate) const FAULTS_MAX: u32 = 3;
/// So many of those that failed last are known again: more than come back to a worker while others fail on it.
const KNOWN_MAX: usize = 32;
/// For so long; then one build shows whether it is well again.
const REST: Duration = Duration::from_secs(300);

/// How the machine did.
#[derive(Debug, Default)]
pub(crate) struct Fitness {
    faults: u32,
    /// The builds among them, the last of them last.
    known: Vec<BuildId>,
    rests_until: Option<Instant>,
}

/// Why it takes no builds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    Sick { faults: u32 },
    Full { free_bytes: u64, min_bytes: u64 },
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sick { faults } => write!(
                f,
                "the last {faults} builds failed by this machine's fault: it takes no more for five minutes; `croft doctor` looks for what is wrong"
            ),
            Self::Full {
                free_bytes,
                min_bytes,
            } => write!(
                f,
                "{} MiB are free on the disk of Croft's state, and {} MiB are needed: make room",
                free_bytes >> 20,
                min_bytes >> 20
            ),
        }
    }
}

impl Fitness {
    /// An attempt has ended, by the machine's fault or not. A build that comes back counts once: it may be what fails. None is one of
    /// which nothing is known.
    pub(crate) fn ended(&mut self, build: Option<BuildId>, went: Went, now: Instant) {
        match went {
            Went::Well => *self = Self::default(),
            Went::Fault => {
                if !build.is_some_and(|build| self.known.contains(&build)) {
                    self.faults += 1;
                    self.known.extend(build);
                    let surplus = self.known.len().saturating_sub(KNOWN_MAX);
                    self.known.drain(..surplus);
                }
                if self.faults >= FAULTS_MAX {
                    self.rests_until = Some(now + REST);
                }
            }
            Went::Unserved => {}
        }
    }

    pub(crate) const fn faults(&self) -> u32 {
        self.faults
    }

    pub(crate) fn look(&self, now: Instant, home: &Path, min_bytes: u64) -> Option<Unfit> {
        if self.rests_until.is_some_and(|until| now < until) {
            return Some(Unfit::Sick {
                faults: self.faults,
            });
        }
        let free_bytes = free(home)?;
        (free_bytes < min_bytes).then_some(Unfit::Full {
            free_bytes,
            min_bytes,
        })
    }
}

/// None when the system does not say: then builds find out.
pub(crate) fn free(home: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(home).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(number: u8) -> Option<BuildId> {
        Some(BuildId::derived([number; 16]))
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_of_one_build_count_once_and_those_of_others_between_them_too() {
        let (home, now) = (Path::new("/"), Instant::now());
        let mut fitness = Fitness::default();
        for number in [1, 1, 1, 2, 1, 2] {
            fitness.ended(build(number), Went::Fault, now);
        }
        assert_eq!((fitness.faults(), fitness.look(now, home, 0)), (2, None));
        fitness.ended(build(3), Went::Fault, now);
        let sick = Some(Unfit::Sick { faults: 3 });
        assert_eq!(fitness.look(now, home, 0), sick);
        // The first after its rest shows that it is not well, whichever it is.
        fitness.ended(build(3), Went::Fault, now + REST);
        assert_eq!(fitness.look(now + REST, home, 0), sick);
        fitness.ended(build(1), Went::Well, now + REST);
        fitness.ended(build(1), Went::Fault, now + REST);
        assert_eq!(fitness.faults(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_of_failed_builds_is_bounded() {
        let (now, mut fitness) = (Instant::now(), Fitness::default());
        for number in 0..=u8::MAX {
            fitness.ended(build(number), Went::Fault, now);
        }
        fitness.ended(None, Went::Fault, now);
        assert_eq!((fitness.faults(), fitness.known.len()), (257, KNOWN_MAX));
    }

    #[tokio::test(start_paused = true)]
    async fn three_faults_in_a_row_rest_the_machine_and_one_success_forgives_them() {
        let home = Path::new("/");
        let mut fitness = Fitness::default();
        let now = Instant::now();
        fitness.ended(build(1), Went::Fault, now);
        fitness.ended(build(2), Went::Fault, now);
        fitness.ended(build(3), Went::Well, now);
        fitness.ended(build(4), Went::Fault, now);
        fitness.ended(build(5), Went::Fault, now);
        assert_eq!(fitness.look(now, home, 0), None);
        fitness.ended(build(6), Went::Fault, now);
        let sick = Some(Unfit::Sick { faults: 3 });
        assert_eq!(fitness.look(now, home, 0), sick);
        assert_eq!(fitness.look(now + REST, home, 0), None);
        fitness.ended(build(7), Went::Fault, now + REST);
        assert_eq!(
            fitness.look(now + REST, home, 0),
            Some(Unfit::Sick { faults: 4 })
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_farm_did_not_answer_neither_rests_the_machine_nor_forgives_it() {
        let (home, now) = (Path::new("/"), Instant::now());
        let mut fitness = Fitness::default();
        for number in 0..3 {
            fitness.ended(build(number), Went::Unserved, now);
        }
        assert_eq!((fitness.faults(), fitness.look(now, home, 0)), (0, None));
        let all = [Went::Fault, Went::Fault, Went::Unserved, Went::Fault];
        for (number, went) in (0..).zip(all) {
            assert_eq!(fitness.look(now, home, 0), None);
            fitness.ended(build(number), went, now);
        }
        let sick = Some(Unfit::Sick { faults: 3 });
        assert_eq!(fitness.look(now, home, 0), sick);
    }

    #[tokio::test]
    async fn a_full_disk_takes_no_builds() {
        let unfit = Fitness::default().look(Instant::now(), Path::new("/"), u64::MAX);
        assert!(matches!(unfit, Some(Unfit::Full { .. })));
    }
}
