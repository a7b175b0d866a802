//! Running a phase's commands: one after the other through the runner, with state carried from each to the next.
//! Receives lists of commands from the engine, hands back how each list ended; tells the writer on the way.

use std::io;
use std::sync::Arc;

use croft_exec::output::Writer;
use croft_proto::{CommandSummary, EventKind, FailedCommand, PhaseType, Status, Timestamp};
use croft_runner::protocol::{Run, State};
use croft_spec::{Command, Shell, Version};
use tokio::time::{Duration, Instant, sleep_until, timeout};

use crate::environment::Environment;
use crate::interrupt::{Finally, Interrupts, TERM_GRACE};
use crate::pump::Pump;
use crate::runtime::{Ended, Link};

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;
/// How long a killed command may take to be gone; one that hangs in the kernel must not hang the build.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// Lines of output that a failed command is shown with.
const LAST_LINES_MAX: usize = 20;

/// How a list of commands ended.
#[derive(Debug)]
pub(crate) enum ListEnd {
    /// Every one succeeded.
    Succeeded,
    /// One failed; the rest were skipped.
    Failed(FailedCommand),
    /// The build was stopped or ran out of time.
    Interrupted(Status),
    /// The runner is gone: the place was taken away from outside.
    Lost(io::Error),
}

/// What limits a command.
pub(crate) enum Limit<'l> {
    /// The build's stop and time limit.
    Build(&'l mut Interrupts),
    /// The grace of an interruption.
    Finally(&'l mut Finally),
}

/// The commands of one build: where they run and what they share.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) link: Link,
    pub(crate) pump: Pump,
    pub(crate) writer: Arc<Writer>,
    pub(crate) clock: fn() -> Timestamp,
    pub(crate) confine: bool,
    pub(crate) version: Version,
    pub(crate) shell: Shell,
    /// What every command starts with in version 0.1, and the first one in 0.2.
    pub(crate) source_directory: Vec<u8>,
    /// The working directory of the next command.
    pub(crate) directory: Vec<u8>,
    pub(crate) environment: Environment,
    /// In the order in which they ran.
    pub(crate) summaries: Vec<CommandSummary>,
}

/// Which list of which phase.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListOf<'p> {
    pub(crate) phase: PhaseType,
    pub(crate) finally: bool,
    pub(crate) user: Option<&'p str>,
}

impl Session {
    /// Runs the list in order until one fails.
    pub(crate) async fn run_list(
        &mut self,
        of: ListOf<'_>,
        list: &[Command],
        mut limit: Limit<'_>,
    ) -> ListEnd {
        let count = number(list.len());
        for (index, command) in list.iter().enumerate() {
            if let Some(status) = limit.reached() {
                return ListEnd::Interrupted(status);
            }
            let started = (self.clock)();
            self.writer.emit(EventKind::CommandStarted {
                phase: of.phase,
                index: number(index + 1),
                count,
                finally: of.finally,
                command: command.text.clone(),
                place: command.place.clone(),
            });
            let ended = match self
                .execute(of.user, command.text.as_bytes(), &mut limit)
                .await
            {
                Ok(ended) => ended,
                Err(error) => return ListEnd::Lost(error),
            };
            self.pump.catch_up().await;
            if let Some(reason) = &ended.refusal {
                self.writer.output(format!("croft: {reason}\n").as_bytes());
            }
            let duration_ms = (self.clock)().millis_since(started);
            let summary = CommandSummary {
                phase: of.phase,
                command: command.text.clone(),
                duration_ms,
            };
            self.summaries.push(summary);
            // Taken before the event, which closes the command's output.
            let last_lines = self.writer.last_lines(LAST_LINES_MAX);
            self.writer.emit(EventKind::CommandCompleted {
                phase: of.phase,
                index: number(index + 1),
                exit_status: ended.status,
                duration_ms,
            });
            if let Some(status) = ended.interrupted {
                return ListEnd::Interrupted(status);
            }
            if ended.status != 0 {
                return ListEnd::Failed(FailedCommand {
                    phase: of.phase,
                    command: command.text.clone(),
                    exit_status: ended.status,
                    place: command.place.clone(),
                    last_lines,
                });
            }
        }
        ListEnd::Succeeded
    }

    /// Runs a script of Croft's own with the build's state, keeping none of it: its exit status, or the interruption that
    /// cut it short.
    ///
    /// # Errors
    /// When the runner is gone.
    pub(crate) async fn run_quietly(
        &mut self,
        script: &[u8],
        limit: &mut Limit<'_>,
    ) -> io::Result<Result<i32, Status>> {
        let kept = (self.directory.clone(), self.environment.clone());
        let ended = self.execute(None, script, limit).await;
        self.pump.catch_up().await;
        (self.directory, self.environment) = kept;
        let ended = ended?;
        Ok(ended.interrupted.map_or(Ok(ended.status), Err))
    }

    async fn execute(
        &mut self,
        user: Option<&str>,
        script: &[u8],
        limit: &mut Limit<'_>,
    ) -> io::Result<CommandEnd> {
        let carried = matches!(self.version, Version::V0_2);
        let run = Run {
            script: script.to_vec(),
            shell: match self.shell {
                Shell::Sh => b"sh".to_vec(),
                Shell::Bash => b"bash".to_vec(),
            },
            user: user.map(str::to_string),
            directory: if carried {
                self.directory.clone()
            } else {
                self.source_directory.clone()
            },
            environment: self.environment.variables().to_vec(),
            confine: self.confine,
        };
        self.link.run(run).await?;
        let (ended, interrupted) = wait(&mut self.link, limit).await?;
        let (status, refusal) = match ended {
            Ended::Exited { status, state } => {
                if let (
                    true,
                    Some(State {
                        directory,
                        environment,
                    }),
                ) = (carried, state)
                {
                    self.directory = directory;
                    self.environment.replace(environment);
                }
                (status, None)
            }
            Ended::Refused { status, reason } => (status, Some(reason)),
        };
        Ok(CommandEnd {
            status,
            refusal,
            interrupted,
        })
    }
}

struct CommandEnd {
    status: i32,
    refusal: Option<String>,
    interrupted: Option<Status>,
}

impl Limit<'_> {
    /// The interruption because of which nothing more may be started.
    pub(crate) fn reached(&mut self) -> Option<Status> {
        match self {
            Self::Build(interrupts) => interrupts.happened(),
            Self::Finally(finally) => finally.ended(),
        }
    }
}

/// Waits for the command's end; what limits it tells it to end, then kills it.
async fn wait(link: &mut Link, limit: &mut Limit<'_>) -> io::Result<(Ended, Option<Status>)> {
    let (ended, mut signals) = link.split();
    tokio::pin!(ended);
    let status = match limit {
        Limit::Build(interrupts) => {
            let status = tokio::select! {
                biased;
                ended = &mut ended => return Ok((ended?, None)),
                status = interrupts.any() => status,
            };
            signals.send(SIGTERM).await?;
            let patience = sleep_until(Instant::now() + TERM_GRACE);
            tokio::select! {
                ended = &mut ended => return Ok((ended?, Some(status))),
                () = patience => (),
                () = interrupts.now() => (),
            }
            status
        }
        Limit::Finally(finally) => {
            tokio::select! {
                biased;
                ended = &mut ended => return Ok((ended?, None)),
                status = finally.over() => status,
            }
        }
    };
    signals.send(SIGKILL).await?;
    match timeout(KILL_PATIENCE, ended).await {
        Ok(ended) => Ok((ended?, Some(status))),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!(
                "it was killed and is still there {} seconds later",
                KILL_PATIENCE.as_secs()
            ),
        )),
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixStream;
    use tokio::sync::watch;

    use super::*;
    use crate::interrupt::Stop;

    #[tokio::test(start_paused = true)]
    async fn a_killed_command_that_never_ends_does_not_hang_the_build() {
        let (_ask, stop) = watch::channel(Stop::Now);
        let mut interrupts = Interrupts::new(stop, Duration::from_secs(3600));
        let mut finally = interrupts.of_finally(Some(Status::Stopped));
        // Its other end takes what it is told and says nothing.
        let (here, _there) = UnixStream::pair().unwrap();
        let mut link = Link::new(here);
        for mut limit in [Limit::Build(&mut interrupts), Limit::Finally(&mut finally)] {
            let begun = Instant::now();
            let error = wait(&mut link, &mut limit).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert_eq!(begun.elapsed().as_secs(), KILL_PATIENCE.as_secs());
        }
    }
}
