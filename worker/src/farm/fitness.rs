//! Whether this machine is fit to run builds: a disk that is full, or several builds in a row that failed by the machine's fault, keep
//! it from taking more until that is over.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::attempt::Went;

/// So many builds in a row that the machine failed, and it takes no more for a while.
pub(crate) const FAULTS_MAX: u32 = 3;
/// For so long; then one build shows whether it is well again.
const REST: Duration = Duration::from_secs(300);

/// How the machine did.
#[derive(Debug, Default)]
pub(crate) struct Fitness {
    faults: u32,
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
    /// A build has ended, by the machine's fault or not.
    pub(crate) fn ended(&mut self, went: Went, now: Instant) {
        match went {
            Went::Well => *self = Self::default(),
            Went::Fault => {
                self.faults += 1;
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

    #[tokio::test(start_paused = true)]
    async fn three_faults_in_a_row_rest_the_machine_and_one_success_forgives_them() {
        let home = Path::new("/");
        let mut fitness = Fitness::default();
        let now = Instant::now();
        fitness.ended(Went::Fault, now);
        fitness.ended(Went::Fault, now);
        fitness.ended(Went::Well, now);
        fitness.ended(Went::Fault, now);
        fitness.ended(Went::Fault, now);
        assert_eq!(fitness.look(now, home, 0), None);
        fitness.ended(Went::Fault, now);
        let sick = Some(Unfit::Sick { faults: 3 });
        assert_eq!(fitness.look(now, home, 0), sick);
        assert_eq!(fitness.look(now + REST, home, 0), None);
        fitness.ended(Went::Fault, now + REST);
        assert_eq!(
            fitness.look(now + REST, home, 0),
            Some(Unfit::Sick { faults: 4 })
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_farm_did_not_answer_neither_rests_the_machine_nor_forgives_it() {
        let (home, now) = (Path::new("/"), Instant::now());
        let mut fitness = Fitness::default();
        for _ in 0..FAULTS_MAX {
            fitness.ended(Went::Unserved, now);
        }
        assert_eq!((fitness.faults(), fitness.look(now, home, 0)), (0, None));
        for went in [Went::Fault, Went::Fault, Went::Unserved, Went::Fault] {
            assert_eq!(fitness.look(now, home, 0), None);
            fitness.ended(went, now);
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
