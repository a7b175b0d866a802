//! Failures nobody would notice: a shell goes on after a failed line, and only the last one decides.

use super::scene::Scene;
use super::script::{Block, Command, Simple, Statement};
use crate::code::Code;
use crate::findings::Findings;

/// Programs and builtins that do not fail, or whose failure does not matter to a build.
const HARMLESS: &[&str] = &[
    "", "echo", "printf", "export", "readonly", "local", "declare", "set", "unset", "shift", ":",
    "true", "false", "exit", "return", "break", "continue", "trap", "alias", "sleep", "umask", "[",
    "test", "[[", "((", "pwd", "date", "env", "printenv", "ls", "mkdir", "rm", "shopt", "whoami",
    "id", "uname", "wait", "kill", "read",
];

/// What may follow `&&` so that a failure before it is a decision rather than an accident.
const JUMPS: &[&str] = &["exit", "return", "break", "continue"];

pub(super) fn check(scene: &Scene<'_>, findings: &mut Findings<'_>) {
    let Some(block) = &scene.block else { return };
    let mut hidden = Vec::new();
    collect(block, true, &mut hidden);
    if let Some(first) = hidden.first() {
        let text = scene.site.text.get(first.range.clone()).unwrap_or_default();
        let line = text.lines().next().unwrap_or_default();
        let message = format!(
            "if `{}` fails, the command goes on and may still succeed",
            shortened(line)
        );
        let help = "put `set -e` first in the block, or join the commands with `&&`";
        findings.add(Code::HiddenFailure, scene.span(&first.range), message, help);
    }
    pipes(block, scene, findings);
}

fn shortened(line: &str) -> String {
    const CHARS_MAX: usize = 40;
    match line.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}...", line[..end].trim_end()),
        None => line.trim_end().to_owned(),
    }
}

/// Whether a statement has switched on that a failure stops the shell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stops {
    Yes,
    No,
}

/// Collects the statements whose failure is lost; `last` says whether the block's end decides the command's status.
fn collect<'b>(block: &'b Block, last: bool, hidden: &mut Vec<&'b Statement>) -> Stops {
    for (index, statement) in block.iter().enumerate() {
        let decides = last && index + 1 == block.len();
        if sets_errexit(statement) {
            return Stops::Yes;
        }
        if statement.has_or || statement.background {
            continue;
        }
        for command in statement
            .pipelines
            .iter()
            .filter_map(|pipeline| pipeline.commands.last())
        {
            if let Command::Compound(blocks) = command {
                for inner in blocks {
                    if collect(inner, decides, hidden) == Stops::Yes {
                        return Stops::Yes;
                    }
                }
            }
        }
        if !decides && may_fail(statement) {
            hidden.push(statement);
        }
    }
    Stops::No
}

fn may_fail(statement: &Statement) -> bool {
    let simples: Vec<&Simple> = statement
        .pipelines
        .iter()
        .filter_map(|pipeline| last_simple(&pipeline.commands))
        .collect();
    let decision = simples
        .first()
        .is_some_and(|first| ["[", "test", "[["].contains(&first.name()));
    let jump = simples
        .last()
        .is_some_and(|last| JUMPS.contains(&last.name()));
    !decision && !jump && simples.iter().any(|simple| is_failable(simple))
}

fn last_simple(commands: &[Command]) -> Option<&Simple> {
    match commands.last()? {
        Command::Simple(simple) => Some(simple),
        Command::Compound(_) | Command::Function(_) => None,
    }
}

fn is_failable(simple: &Simple) -> bool {
    let assigns_output =
        simple.name().is_empty() && simple.words.iter().any(|word| word.text.contains("$("));
    assigns_output || !HARMLESS.contains(&simple.name())
}

/// `set -e`, `set -eu`, `set -o errexit`, or a trap that sees every failure.
fn sets_errexit(statement: &Statement) -> bool {
    let simples = statement
        .pipelines
        .iter()
        .filter_map(|pipeline| last_simple(&pipeline.commands));
    simples.into_iter().any(|simple| {
        let words: Vec<&str> = simple
            .arguments()
            .iter()
            .map(|word| word.text.as_str())
            .collect();
        let short = words
            .iter()
            .any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains('e'));
        match simple.name() {
            "set" => short || words.contains(&"errexit"),
            "trap" => words.contains(&"ERR"),
            _ => false,
        }
    })
}

/// `build | tee log` succeeds whatever `build` did.
fn pipes(block: &Block, scene: &Scene<'_>, findings: &mut Findings<'_>) {
    if scene.site.text.contains("pipefail") || scene.site.text.contains("PIPESTATUS") {
        return;
    }
    for statement in block {
        for pipeline in &statement.pipelines {
            let (Some(Command::Simple(first)), Some(Command::Simple(last))) =
                (pipeline.commands.first(), pipeline.commands.last())
            else {
                continue;
            };
            if pipeline.commands.len() > 1 && last.name() == "tee" && is_failable(first) {
                let message = format!(
                    "`tee` decides whether this succeeds, and a failure of `{}` is lost",
                    first.name()
                );
                let help = "use `shell: bash` and put `set -o pipefail` first in this command, or write to a file and `cat` it";
                findings.add(
                    Code::PipeHidesFailure,
                    scene.span(&statement.range),
                    message,
                    help,
                );
            }
        }
        for command in statement
            .pipelines
            .iter()
            .flat_map(|pipeline| &pipeline.commands)
        {
            if let Command::Compound(blocks) = command {
                blocks
                    .iter()
                    .for_each(|inner| pipes(inner, scene, findings));
            }
        }
    }
}
