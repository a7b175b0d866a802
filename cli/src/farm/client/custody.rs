//! `croft token` and `croft audit`: who may do what, and who did.

use reqwest::Method;
use serde_json::{Value, json};

use super::call::{Call, Farm};
use super::rows::{AuditRow, TokenRow, text};
use super::{block_on, farm, pages};
use crate::args::{Format, Global};
use crate::exit::Exit;
use crate::farm::words::{AuditWords, TokenCommand, TokenWords};
use crate::output;

pub(crate) fn token(global: &Global, words: &TokenWords) -> anyhow::Result<Exit> {
    let farm = farm(global, &words.connect)?;
    block_on(act(&farm, &words.command))
}

async fn act(farm: &Farm, command: &TokenCommand) -> anyhow::Result<Exit> {
    match command {
        TokenCommand::Create {
            name,
            role,
            projects,
            expires_in_days,
            output,
        } => {
            let mut body = json!({"name": name, "role": role.name(), "projects": projects});
            if let Some(days) = expires_in_days {
                body["expiresInDays"] = json!(days);
            }
            // A second one would be a token that nobody knows of.
            let call = Call::new(Method::POST, &["v1", "tokens"]).only_unsent();
            let made: Value = farm.json(&call.json(&body)).await?;
            show_made(made, output.output)?;
        }
        TokenCommand::List(output) => {
            let found = pages::all(farm, &["v1", "tokens"], &[], "tokens", pages::ROWS_MAX).await?;
            let rows: Vec<TokenRow> = found.into_iter().map(TokenRow).collect();
            output::rows(&rows, output.output)?;
        }
        TokenCommand::Revoke { id } => {
            let call = Call::new(Method::DELETE, &["v1", "tokens", id]);
            farm.bytes(&call).await?;
            output::text(&format!("{id} is no good any more\n"))?;
        }
    }
    Ok(Exit::Succeeded)
}

/// The token, and nothing else, goes to standard output.
fn show_made(made: Value, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Table | Format::Wide => {
            eprintln!("croft: made {}; it is shown this once", text(&made, "/id"));
            output::text(&format!("{}\n", text(&made, "/token")))
        }
        Format::Json | Format::Yaml | Format::Name | Format::Ndjson => {
            output::one(&TokenRow(made), format)
        }
    }
}

pub(crate) fn audit(global: &Global, words: &AuditWords) -> anyhow::Result<Exit> {
    let farm = farm(global, &words.connect)?;
    let format = words.output.output;
    block_on(async {
        if words.verify {
            let call = Call::get(&["v1", "audit"]).query("verify", "true");
            let answer: Value = farm.json(&call).await?;
            return show_verdict(&answer, format);
        }
        let found = pages::all(&farm, &["v1", "audit"], &[], "entries", words.limit).await?;
        let rows: Vec<AuditRow> = found.into_iter().map(AuditRow).collect();
        output::rows(&rows, format)?;
        Ok(Exit::Succeeded)
    })
}

/// A record that was tampered with is a failure of the farm's: exit code 2.
fn show_verdict(answer: &Value, format: Format) -> anyhow::Result<Exit> {
    let is_whole = answer["verified"] == Value::Bool(true);
    match format {
        Format::Table | Format::Wide | Format::Name => {
            let said = if is_whole {
                format!(
                    "{} entries, every one as it was written\n",
                    text(answer, "/entries")
                )
            } else {
                let reason = text(answer, "/detail");
                format!("the record is not as it was written: {reason}\n")
            };
            output::text(&said)?;
        }
        Format::Json | Format::Yaml | Format::Ndjson => output::value(answer, format)?,
    }
    Ok(if is_whole {
        Exit::Succeeded
    } else {
        Exit::Infrastructure
    })
}
