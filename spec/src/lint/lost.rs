//! What ends with the command it stands in: options, functions, aliases, jobs, `exit`. Each command is a script of its
//! own; only the directory and variables carry over.

use super::scene::Scene;
use super::script::{Block, Command, Simple, simples};
use crate::code::Code;
use crate::findings::Findings;
use crate::lines::Span;

/// All rules that look at commands one after another.
pub(super) fn check(scenes: &[Scene<'_>], findings: &mut Findings<'_>) {
    let mut defined: Vec<(String, u32)> = Vec::new();
    for (index, scene) in scenes.iter().enumerate() {
        let Some(block) = &scene.block else { continue };
        let commands = simples(block);
        let more = index + 1 < scenes.len();
        options(&commands, scene, more, findings);
        exits(block, scene, more, findings);
        jobs(block, &commands, scene, findings);
        uses(&commands, scene, &defined, findings);
        let line = findings.place(scene.site.span.start).line;
        defined.extend(definitions(block).into_iter().map(|name| (name, line)));
    }
}

/// A command of nothing but `set` or `shopt`.
fn options(commands: &[&Simple], scene: &Scene<'_>, more: bool, findings: &mut Findings<'_>) {
    let only = commands
        .iter()
        .all(|simple| ["set", "shopt"].contains(&simple.name()) && !simple.arguments().is_empty());
    let options = commands
        .iter()
        .flat_map(|simple| simple.arguments())
        .all(|word| !word.text.contains('$'));
    if more && only && options && !commands.is_empty() {
        let message = format!(
            "`{}` ends with this command and changes nothing for the next",
            scene.site.text.trim()
        );
        let help = "put it first in each block that needs it, with the block's commands below it after `- |`";
        findings.add(Code::LostOption, scene.site.span, message, help);
    }
}

/// `exit 0` on one line, with commands after it.
fn exits(block: &Block, scene: &Scene<'_>, more: bool, findings: &mut Findings<'_>) {
    let commands = simples(block);
    let exit = commands.last().filter(|last| {
        last.name() == "exit"
            && last
                .arguments()
                .first()
                .is_some_and(|word| word.text == "0")
    });
    if let Some(word) = exit.and_then(|exit| exit.words.first())
        && more
        && !scene.site.text.trim().contains('\n')
    {
        let message = "`exit 0` ends this command only; the next command still runs";
        let help = "put everything that should be skipped into this command, below `- |`";
        findings.add(
            Code::ExitDoesNotStop,
            scene.span(&word.range),
            message,
            help,
        );
    }
}

/// Waiting for a job without starting one.
fn jobs(block: &Block, commands: &[&Simple], scene: &Scene<'_>, findings: &mut Findings<'_>) {
    if starts_job(block) {
        return;
    }
    for simple in commands
        .iter()
        .filter(|simple| ["wait", "fg", "disown"].contains(&simple.name()))
    {
        let Some(word) = simple.command_words().first() else {
            continue;
        };
        let message = format!(
            "`{}` knows only processes of its own command, and this one starts none",
            word.text
        );
        let help = "start the process and wait for it in one command, below `- |`";
        findings.add(Code::LostJob, scene.span(&word.range), message, help);
    }
}

fn starts_job(block: &Block) -> bool {
    block.iter().any(|statement| {
        let inside = statement
            .pipelines
            .iter()
            .flat_map(|pipeline| &pipeline.commands);
        statement.background
            || inside.into_iter().any(|command| match command {
                Command::Compound(blocks) => blocks.iter().any(starts_job),
                // What a function starts is started where it is called.
                Command::Function(_) => true,
                Command::Simple(_) => false,
            })
    })
}

/// Using a function or alias of an earlier command.
fn uses(
    commands: &[&Simple],
    scene: &Scene<'_>,
    defined: &[(String, u32)],
    findings: &mut Findings<'_>,
) {
    let own = scene.block.as_ref().map(definitions).unwrap_or_default();
    for simple in commands {
        let Some(word) = simple
            .command_words()
            .first()
            .filter(|word| !own.contains(&word.text))
        else {
            continue;
        };
        if let Some((name, line)) = defined.iter().find(|(name, _)| *name == word.text) {
            let message =
                format!("`{name}` is defined by the command on line {line} and ends with it");
            let help = "define and use it in one command, or put it into a script that both call";
            findings.add(Code::LostFunction, scene.span(&word.range), message, help);
        }
    }
}

/// The functions and aliases a block defines.
fn definitions(block: &Block) -> Vec<String> {
    let commands = block
        .iter()
        .flat_map(|statement| &statement.pipelines)
        .flat_map(|pipeline| &pipeline.commands);
    commands
        .flat_map(|command| match command {
            Command::Function(name) => vec![name.clone()],
            Command::Compound(blocks) => blocks.iter().flat_map(definitions).collect(),
            Command::Simple(simple) if simple.name() == "alias" => simple
                .arguments()
                .iter()
                .filter_map(|word| word.text.split_once('='))
                .map(|(name, _)| name.to_owned())
                .collect(),
            Command::Simple(_) => Vec::new(),
        })
        .collect()
}

/// A ` #` that YAML takes for a comment although a quote is still open before it.
pub(super) fn check_comment(scene: &Scene<'_>, findings: &mut Findings<'_>) {
    let site = scene.site;
    let line = findings.lines.line_of(site.span.end);
    let after = findings.slice(Span::new(site.span.end, findings.lines.span(line).end));
    let cut = site.plain && after.trim_start().starts_with('#') && after.starts_with([' ', '\t']);
    let open = |quote: char| site.text.matches(quote).count() % 2 == 1;
    if cut && (open('"') || open('\'')) && scene.block.is_none() {
        let start = site.span.end + after.len() - after.trim_start().len();
        let message =
            "YAML reads a comment from this `#` on, although a quote is still open before it";
        let help = "put the whole command in quotes, or below `- |`";
        findings.add(
            Code::CommentInCommand,
            Span::new(start, start + after.trim_start().len()),
            message,
            help,
        );
    }
}
