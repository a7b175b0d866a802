//! `croft host`: the hosts that are deployed to.

use reqwest::Method;
use serde_json::{Value, json};

use super::super::call::{Call, Farm};
use super::super::rows::HostRow;
use super::super::{block_on, farm, pages};
use crate::args::Global;
use crate::exit::{Exit, Wrong};
use crate::farm::words::{HostCommand, HostWords};
use crate::output;

pub(crate) fn host(global: &Global, words: &HostWords) -> anyhow::Result<Exit> {
    let farm = farm(global, &words.connect)?;
    block_on(act(&farm, &words.command))
}

async fn act(farm: &Farm, command: &HostCommand) -> anyhow::Result<Exit> {
    match command {
        HostCommand::Invite {
            name,
            tags,
            zone,
            expires,
        } => {
            let mut body = json!({"host": name, "tags": read(tags)?});
            if let Some(zone) = zone {
                body["zone"] = json!(zone);
            }
            if let Some(minutes) = expires {
                body["expiresInMinutes"] = json!(minutes);
            }
            let call = Call::new(Method::POST, &["v1", "hosts", "invitations"]).json(&body);
            let answer: Value = farm.json(&call).await?;
            let token = answer["token"].as_str().unwrap_or_default();
            if answer["isEnrolled"] == true {
                eprintln!(
                    "croft: {name} belongs to the farm already: only that host itself, with the key it has, can use this invitation; before another machine can be {name}, `croft host revoke {name}`"
                );
            }
            output::text(&format!("{token}\n"))?;
        }
        HostCommand::List(output) => {
            let found = pages::all(farm, &["v1", "hosts"], &[], "hosts", pages::ROWS_MAX).await?;
            let rows: Vec<HostRow> = found.into_iter().map(HostRow).collect();
            output::rows(&rows, output.output)?;
        }
        HostCommand::Get { name, output } => {
            let mut answer: Value = farm.json(&Call::get(&["v1", "hosts", name])).await?;
            output::one(&HostRow(answer["host"].take()), output.output)?;
        }
        HostCommand::Revoke { name } => {
            farm.bytes(&Call::new(Method::DELETE, &["v1", "hosts", name]))
                .await?;
            output::text(&format!("{name} is none of the farm's any more\n"))?;
        }
        HostCommand::Tag { name, tags, output } => {
            let body = json!({"tags": read(tags)?});
            let call = Call::new(Method::PUT, &["v1", "hosts", name, "tags"]).json(&body);
            let mut answer: Value = farm.json(&call).await?;
            output::one(&HostRow(answer["host"].take()), output.output)?;
        }
    }
    Ok(Exit::Succeeded)
}

fn read(tags: &[String]) -> Result<Vec<Value>, Wrong> {
    let one = |tag: &String| {
        match tag.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(json!({"Key": key, "Value": value})),
            Some(_) => Err(Wrong(format!("`{tag}`: a tag is KEY=VALUE"))),
            // Half of a tag would be one that no group means.
            None => Err(Wrong(format!(
                "`{tag}`: a tag is KEY=VALUE; for one that says nothing write `{tag}=`"
            ))),
        }
    };
    tags.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_a_name_and_may_say_something() {
        let tags = ["role=web", "env=a=b", "spare="].map(str::to_string);
        let read_tags = read(&tags).unwrap();
        assert_eq!(read_tags[0], json!({"Key": "role", "Value": "web"}));
        assert_eq!(read_tags[1]["Value"], "a=b");
        assert_eq!(read_tags[2], json!({"Key": "spare", "Value": ""}));
        read(&["=x".to_string()]).unwrap_err();
        let wrong = read(&["role".to_string()]).unwrap_err().to_string();
        assert!(wrong.contains("`role=`"), "{wrong}");
    }
}
