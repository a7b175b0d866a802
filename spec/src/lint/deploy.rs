//! Deployments in `post_build`, which also runs after a failed `build`.

use super::scene::Scene;
use super::script::{Simple, simples};
use crate::buildspec::{Buildspec, OnFailure};
use crate::code::Code;
use crate::findings::Findings;

/// How a script asks whether the build went well.
const GUARD: &str = "CODEBUILD_BUILD_SUCCEEDING";

/// Words that begin a command which changes something outside of the build.
const DEPLOYS: &[&[&str]] = &[
    &["docker", "push"],
    &["podman", "push"],
    &["aws", "s3", "sync"],
    &["aws", "ecs", "update-service"],
    &["aws", "ecs", "deploy"],
    &["aws", "cloudformation", "deploy"],
    &["aws", "cloudformation", "create-stack"],
    &["aws", "cloudformation", "update-stack"],
    &["aws", "lambda", "update-function-code"],
    &["aws", "deploy", "create-deployment"],
    &["aws", "deploy", "push"],
    &["aws", "elasticbeanstalk", "update-environment"],
    &["kubectl", "apply"],
    &["kubectl", "set"],
    &["kubectl", "rollout"],
    &["helm", "upgrade"],
    &["helm", "install"],
    &["terraform", "apply"],
    &["pulumi", "up"],
    &["cdk", "deploy"],
    &["sam", "deploy"],
    &["serverless", "deploy"],
    &["sls", "deploy"],
    &["eb", "deploy"],
    &["copilot", "deploy"],
    &["firebase", "deploy"],
    &["npm", "publish"],
    &["yarn", "publish"],
    &["pnpm", "publish"],
    &["cargo", "publish"],
    &["twine", "upload"],
    &["mvn", "deploy"],
    &["git", "push"],
    &["gh", "release"],
];

/// Programs that run what follows them.
const WRAPPERS: &[&str] = &["sudo", "npx", "exec", "command", "nohup", "env"];

/// Warns of the first deployment that nothing keeps from running after a failed build.
pub(super) fn check(scenes: &[&Scene<'_>], spec: &Buildspec, findings: &mut Findings<'_>) {
    if spec.phases.build.on_failure == OnFailure::Abort {
        return;
    }
    for scene in scenes {
        // A guard in an earlier command may have ended the phase; one in this command is close enough to be trusted.
        if scene.site.text.contains(GUARD) {
            return;
        }
        let commands = scene.block.as_ref().map(simples).unwrap_or_default();
        if let Some((simple, words)) = commands
            .into_iter()
            .find_map(|simple| Some((simple, deployment(simple)?)))
        {
            let range = simple
                .words
                .first()
                .map_or(0..0, |word| word.range.start..end(simple));
            let message = format!(
                "`{words}` also runs after a failed build: `post_build` follows `build` either way"
            );
            let help = "begin `post_build` with `test \"$CODEBUILD_BUILD_SUCCEEDING\" = 1`, or set `on-failure: ABORT` in `build`";
            findings.add(Code::UnguardedDeploy, scene.span(&range), message, help);
            return;
        }
    }
}

fn end(simple: &Simple) -> usize {
    simple.words.last().map_or(0, |word| word.range.end)
}

/// The words that make it a deployment.
fn deployment(simple: &Simple) -> Option<String> {
    let words: Vec<&str> = simple
        .command_words()
        .iter()
        .map(|word| word.text.as_str())
        .collect();
    let wrapped = words
        .iter()
        .take_while(|word| WRAPPERS.contains(word))
        .count();
    let (name, rest) = words.get(wrapped..)?.split_first()?;
    // Options may stand between the program and its subcommand: `docker --config x push`.
    let said: Vec<&str> = std::iter::once(*name)
        .chain(rest.iter().copied().filter(|word| !word.starts_with('-')))
        .collect();
    let known = DEPLOYS.iter().find(|deploy| said.starts_with(deploy));
    let upload = said.starts_with(&["aws", "s3", "cp"])
        && said
            .last()
            .is_some_and(|last| last.trim_matches(['"', '\'']).starts_with("s3://"));
    known
        .map(|deploy| deploy.join(" "))
        .or_else(|| upload.then(|| "aws s3 cp".to_owned()))
}
