//! What a valid buildspec may still do other than was meant. Receives a draft, adds warnings to the file's findings.
//!
//! Nothing here is sure: a warning that is often wrong teaches people to ignore all of them, so each rule looks for one
//! well-known trap and stays silent when it cannot follow the shell text.

use croft_proto::PhaseType;

use crate::buildspec::Shell;
use crate::code::Code;
use crate::findings::Findings;
use crate::read::Draft;

/// Shell text to words and operators.
mod lex;
/// Words and operators to commands.
mod script;
/// A command of the file, understood.
mod scene;
/// Failures nobody would notice.
mod hidden;
/// Bash features under `sh`.
mod bashism;
/// What ends with the command it stands in.
mod lost;
/// Deployments after a failed build.
mod deploy;
/// Variables that are not what they look like.
mod variables;

use scene::Scene;

/// Adds every warning about what the draft's commands do.
pub(crate) fn check(draft: &Draft, findings: &mut Findings<'_>) {
    if let Some(span) = draft.batch {
        let message = "`batch` is used by batch builds only; this build runs `phases` once";
        findings.add(
            Code::BatchIgnored,
            span,
            message,
            "nothing to do if the file also serves batch builds",
        );
    }
    variables::check(draft, findings);
    let scenes: Vec<Scene<'_>> = draft
        .sites
        .iter()
        .map(|site| Scene::of(site, findings))
        .collect();
    for scene in &scenes {
        hidden::check(scene, findings);
        if draft.spec.env.shell == Shell::Sh {
            bashism::check(scene, findings);
        }
        lost::check_comment(scene, findings);
    }
    lost::check(&scenes, findings);
    let after: Vec<&Scene<'_>> = scenes
        .iter()
        .filter(|scene| scene.site.phase == PhaseType::PostBuild)
        .collect();
    deploy::check(&after, &draft.spec, findings);
}
