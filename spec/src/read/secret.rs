//! `secret-id[:json-key[:version-stage[:version-id]]]`, where the id may be an ARN with colons of its own.

use super::reader::Reader;
use crate::buildspec::SecretReference;
use crate::code::Code;
use crate::lines::Span;

/// Fields of `arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME`.
const ARN_FIELDS: usize = 7;

impl Reader<'_, '_> {
    pub(super) fn secret(&mut self, text: &str, span: Span) -> Option<SecretReference> {
        match reference(text) {
            Ok(reference) => Some(reference),
            Err(why) => {
                let help = "write `secret-id:json-key:version-stage:version-id`; all but the id may be left out or empty";
                self.add(
                    Code::BadSecretReference,
                    span,
                    format!("`{text}` cannot be read: {why}"),
                    help,
                );
                None
            }
        }
    }
}

fn reference(text: &str) -> Result<SecretReference, &'static str> {
    let (secret_id, rest) = split_id(text)?;
    let parts: Vec<&str> = rest.map_or_else(Vec::new, |rest| rest.split(':').collect());
    if parts.len() > 3 {
        return Err("there are more than four parts");
    }
    let part = |index: usize| {
        parts
            .get(index)
            .filter(|part| !part.is_empty())
            .map(|part| (*part).to_owned())
    };
    let (version_stage, version_id) = (part(1), part(2));
    if version_stage.is_some() && version_id.is_some() {
        return Err("a version stage and a version id exclude each other");
    }
    Ok(SecretReference {
        secret_id: secret_id.to_owned(),
        json_key: part(0),
        version_stage,
        version_id,
    })
}

/// The id, and what follows its colon.
fn split_id(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    if !text.starts_with("arn:") {
        return match text.split_once(':') {
            Some(("", _)) => Err("the secret's name is missing"),
            Some((id, rest)) => Ok((id, Some(rest))),
            None => Ok((text, None)),
        };
    }
    let fields: Vec<&str> = text.splitn(ARN_FIELDS + 1, ':').collect();
    let [_, _, "secretsmanager", _, _, "secret", name, ..] = fields.as_slice() else {
        return Err(
            "the ARN is not one of a secret, `arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME`",
        );
    };
    if name.is_empty() {
        return Err("the secret's name is missing");
    }
    let rest = fields.get(ARN_FIELDS).copied();
    let id = rest.map_or(text.len(), |rest| text.len() - rest.len() - 1);
    Ok((&text[..id], rest))
}

#[cfg(test)]
mod tests {
    use super::reference;
    use crate::buildspec::SecretReference;

    fn made(
        id: &str,
        key: Option<&str>,
        stage: Option<&str>,
        version: Option<&str>,
    ) -> SecretReference {
        let owned = |part: Option<&str>| part.map(str::to_owned);
        SecretReference {
            secret_id: id.to_owned(),
            json_key: owned(key),
            version_stage: owned(stage),
            version_id: owned(version),
        }
    }

    #[test]
    fn every_form_of_a_reference_is_read() {
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db/prod-AbCdEf";
        for (text, expected) in [
            ("db", made("db", None, None, None)),
            ("db:password", made("db", Some("password"), None, None)),
            (
                "db:password:AWSPREVIOUS",
                made("db", Some("password"), Some("AWSPREVIOUS"), None),
            ),
            ("db:::0123", made("db", None, None, Some("0123"))),
            ("db::", made("db", None, None, None)),
            ("db/prod:key::", made("db/prod", Some("key"), None, None)),
            (arn, made(arn, None, None, None)),
            (&format!("{arn}:user"), made(arn, Some("user"), None, None)),
            (
                &format!("{arn}:user::77"),
                made(arn, Some("user"), None, Some("77")),
            ),
        ] {
            assert_eq!(reference(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn broken_references_are_refused() {
        for text in [
            ":key",
            "db:key:stage:id",
            "db:a:b::c",
            "arn:aws:secretsmanager:eu-west-1",
            "arn:aws:ssm:eu-west-1:123456789012:secret:x",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:",
        ] {
            assert!(reference(text).is_err(), "{text}");
        }
    }
}
