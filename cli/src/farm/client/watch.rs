//! A build on a screen from afar: the same renderings as `croft run` has, fed from a server. Called by `submit` and `build`; hands
//! back the exit code.

use croft_exec::output::{Chunk, Sink};
use croft_proto::Event;

use super::call::Farm;
use super::follow::{Followed, follow};
use super::story::{Ended, Shown};
use crate::args::Show;
use crate::exit::Exit;
use crate::run;

/// Follows the build to its end, and ends as it does. A signal ends only the following.
pub(super) async fn watch(farm: &Farm, id: &str, show: Show) -> anyhow::Result<Exit> {
    let mut shown = Shown {
        sink: run::sink(show),
        is_person: matches!(show, Show::Auto | Show::Plain),
    };
    Ok(match follow(farm, id, &mut shown).await? {
        Followed::Ended(ended) => exit_of(&ended),
        Followed::Detached => {
            eprintln!(
                "croft: the build goes on. Follow it: croft build watch {id}; stop it: croft build stop {id}; its log: croft build logs {id}"
            );
            Exit::Interrupted
        }
    })
}

/// Prints what the build's commands print while it runs, and nothing else.
pub(super) async fn output_alone(farm: &Farm, id: &str) -> anyhow::Result<Exit> {
    let mut shown = Shown {
        sink: Box::new(OutputAlone(run::standard_output())),
        is_person: false,
    };
    Ok(match follow(farm, id, &mut shown).await? {
        Followed::Ended(_) => Exit::Succeeded,
        Followed::Detached => Exit::Interrupted,
    })
}

/// The same number as of a build on this machine.
fn exit_of(ended: &Ended) -> Exit {
    if ended.is_mistake() {
        return Exit::Usage;
    }
    Exit::of(ended.build.build_status)
}

struct OutputAlone(Box<dyn std::io::Write + Send>);

impl Sink for OutputAlone {
    fn event(&mut self, _event: &Event) {}

    fn output(&mut self, chunk: &Chunk<'_>) {
        // A reader that went away does not change the build.
        self.0.write_all(chunk.bytes).unwrap_or_default();
    }
}
