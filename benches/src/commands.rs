//! A hundred commands of `true` against one: what each command costs on top, in both runtimes.

use std::time::Duration;

use crate::sample::{Verdict, in_turn, whole};
use crate::subject::{IMAGE, Subject};

const ROUNDS: usize = 9;
const COMMANDS: u32 = 101;
const MILLISECONDS_MAX: f64 = 5.0;

pub(crate) fn hundred(subject: &Subject) -> Result<Vec<Verdict>, String> {
    let one = subject.source("one", &["true"])?;
    let many = subject.source("many", &["true"; COMMANDS as usize])?;
    let mut verdicts = Vec::new();
    for (name, image) in [("sandbox", None), ("container", Some(IMAGE))] {
        let run = |source: &std::path::Path| {
            let mut command = subject.run(source);
            if let Some(image) = image {
                command.args(["--image", image, "--pull", "never"]);
            }
            whole(&mut command)
        };
        let (many, one) = in_turn(ROUNDS, || run(&many), || run(&one))?;
        let each = many.saturating_sub(one) / (COMMANDS - 1);
        verdicts.push(Verdict::limit(
            &format!("one command of true, {name}"),
            milliseconds(each),
            MILLISECONDS_MAX,
            "ms",
        ));
    }
    Ok(verdicts)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
