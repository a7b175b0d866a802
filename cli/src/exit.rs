//! Exit codes: one number for each thing a script would want to tell apart.

use std::process::ExitCode;

use croft_proto::Status;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: it worked.
    Succeeded,
    /// 1: the user's build or deployment failed.
    BuildFailed,
    /// 2: Croft, the machine or the engine failed.
    Infrastructure,
    /// 3: the build or the deployment was stopped.
    Stopped,
    /// 4: the build ran out of time.
    TimedOut,
    /// 5: wrong words, or a file with mistakes.
    Usage,
    /// 7: the deployment did not go well and was taken back.
    RolledBack,
    /// 130: interrupted at once.
    Interrupted,
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Succeeded => 0,
            Self::BuildFailed => 1,
            Self::Infrastructure => 2,
            Self::Stopped => 3,
            Self::TimedOut => 4,
            Self::Usage => 5,
            Self::RolledBack => 7,
            Self::Interrupted => 130,
        }
    }

    /// The end of a program that ran a build.
    #[must_use]
    pub const fn of(status: Status) -> Self {
        match status {
            Status::Succeeded => Self::Succeeded,
            Status::Failed => Self::BuildFailed,
            Status::Fault | Status::InProgress => Self::Infrastructure,
            Status::TimedOut => Self::TimedOut,
            Status::Stopped => Self::Stopped,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// What the user typed or named cannot be used; the message says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Wrong(pub String);
