//! What a script finds in its environment. Pure: a command enters, names and values leave.

use croft_proto::deploy::{HostCommand, RevisionOrigin};

/// AWS's variables. Ids are those of the deployment that runs, also where its scripts are an earlier one's.
pub(super) fn variables(command: &HostCommand) -> Vec<(&'static str, String)> {
    let mut variables = vec![
        ("LIFECYCLE_EVENT", command.event.to_string()),
        ("DEPLOYMENT_ID", command.deployment_id.to_string()),
        ("APPLICATION_NAME", command.application_name.clone()),
        (
            "DEPLOYMENT_GROUP_NAME",
            command.deployment_group_name.clone(),
        ),
        ("DEPLOYMENT_GROUP_ID", command.deployment_group_id.clone()),
    ];
    match &command.revision.origin {
        RevisionOrigin::S3 {
            bucket,
            key,
            version,
            e_tag,
        } => variables.extend([
            ("BUNDLE_BUCKET", bucket.clone()),
            ("BUNDLE_KEY", key.clone()),
            ("BUNDLE_VERSION", version.clone().unwrap_or_default()),
            ("BUNDLE_ETAG", e_tag.clone().unwrap_or_default()),
        ]),
        RevisionOrigin::GitHub { commit_id, .. } => {
            variables.push(("BUNDLE_COMMIT", commit_id.clone()));
        }
        RevisionOrigin::Build { .. } | RevisionOrigin::Local { .. } => {}
    }
    variables
}
