//! Secrets out of events: every text that a user's files or commands had a hand in is masked. Ids, names of phases and
//! places stay, so that what is shown can be found.

use croft_proto::{ArtifactSummary, Build, BuildPhase, CacheSummary, EventKind, Report, Summary};

use crate::mask::Masker;

/// Masks the texts of `kind`.
pub(super) fn event(masker: &Masker, kind: &mut EventKind) {
    match kind {
        EventKind::BuildStarted { build: started, .. } => build(masker, started),
        EventKind::PhaseStarted { .. } | EventKind::CommandCompleted { .. } => {}
        EventKind::PhaseCompleted { phase } => hide_phase(masker, phase),
        EventKind::CommandStarted { command, .. } => text(masker, command),
        EventKind::Output { text: output, .. } => text(masker, output),
        EventKind::Notice { message, .. } => text(masker, message),
        EventKind::CacheRestored { cache } | EventKind::CacheSaved { cache } => {
            hide_cache(masker, cache)
        }
        EventKind::ReportReady { report: ready } => report(masker, ready),
        EventKind::Retrying { reason, .. } => text(masker, reason),
        EventKind::BuildCompleted {
            build: ended,
            summary: told,
        } => {
            build(masker, ended);
            summary(masker, told);
        }
    }
}

fn text(masker: &Masker, text: &mut String) {
    *text = masker.mask_text(text);
}

fn texts<'a>(masker: &Masker, texts: impl IntoIterator<Item = &'a mut String>) {
    texts.into_iter().for_each(|one| text(masker, one));
}

/// Masks the texts of `build`.
pub(super) fn build(masker: &Masker, build: &mut Build) {
    texts(masker, &mut build.source_version);
    texts(
        masker,
        build
            .exported_environment_variables
            .iter_mut()
            .map(|variable| &mut variable.value),
    );
    for phase in &mut build.phases {
        hide_phase(masker, phase);
    }
}

fn hide_phase(masker: &Masker, phase: &mut BuildPhase) {
    texts(
        masker,
        phase
            .contexts
            .iter_mut()
            .map(|context| &mut context.message),
    );
}

fn hide_cache(masker: &Masker, cache: &mut CacheSummary) {
    texts(masker, cache.key.iter_mut().chain(&mut cache.detail));
}

/// Masks the texts of `report`.
pub(super) fn report(masker: &Masker, report: &mut Report) {
    text(masker, &mut report.name);
    texts(masker, report.files.iter_mut().chain(&mut report.problems));
    for case in &mut report.test_cases {
        texts(
            masker,
            [&mut case.prefix, &mut case.test_suite_name, &mut case.name],
        );
        texts(masker, [&mut case.message, &mut case.test_raw_data_path]);
    }
}

/// Masks the texts of `summary`.
pub(super) fn summary(masker: &Masker, summary: &mut Summary) {
    if let Some(failed) = &mut summary.failed_command {
        text(masker, &mut failed.command);
        texts(masker, &mut failed.last_lines);
    }
    texts(masker, &mut summary.failure_message);
    for one in &mut summary.reports {
        report(masker, one);
    }
    for artifact in &mut summary.artifacts {
        hide_artifact(masker, artifact);
    }
    for cache in summary
        .cache_restored
        .iter_mut()
        .chain(&mut summary.cache_saved)
    {
        hide_cache(masker, cache);
    }
    texts(
        masker,
        summary
            .slowest_commands
            .iter_mut()
            .map(|slow| &mut slow.command),
    );
}

/// An artifact's name is expanded by the shell, so it can hold whatever a variable holds.
fn hide_artifact(masker: &Masker, artifact: &mut ArtifactSummary) {
    text(masker, &mut artifact.location);
}
