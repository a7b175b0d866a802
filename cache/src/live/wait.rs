//! How long a build waits for others before it does without a folder to mount. Every wait for a tree's folder is counted here,
//! so that none is without end: a build that cannot mount copies.

use std::thread;
use std::time::Duration;

use crate::Error;

/// Between two tries.
const STEP: Duration = Duration::from_millis(10);

/// Who is in the way.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whom {
    /// Somebody makes, removes or looks through the folder, who is done sooner than this build would have copied it.
    Maker,
    /// Somebody uses a folder that is to be made, or is just about to make it, too.
    User,
}

/// The tries that are left.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    maker_steps: u32,
    user_steps: u32,
    waited: Duration,
}

impl Patience {
    /// A build's: a minute for what is being made, which copying would take as well; a second for builds that begin at the
    /// same time, since one that runs may use the folder for hours.
    pub(super) const fn of_a_build() -> Self {
        Self::of_steps(6_000, 100)
    }

    pub(crate) const fn of_steps(maker_steps: u32, user_steps: u32) -> Self {
        Self {
            maker_steps,
            user_steps,
            waited: Duration::ZERO,
        }
    }

    /// Waits a step.
    ///
    /// # Errors
    /// [`Error::Busy`] when there were enough of them.
    pub(super) fn step(&mut self, whom: Whom) -> Result<(), Error> {
        let steps = match whom {
            Whom::Maker => &mut self.maker_steps,
            Whom::User => &mut self.user_steps,
        };
        let Some(left) = steps.checked_sub(1) else {
            return Err(Error::Busy {
                waited_ms: u64::try_from(self.waited.as_millis()).unwrap_or(u64::MAX),
            });
        };
        *steps = left;
        self.waited += STEP;
        thread::sleep(STEP);
        Ok(())
    }
}
