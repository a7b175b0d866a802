//! `croft secret`: values that builds may have and nobody sees. A value comes from a file or standard input, never from the command
//! line, where every process of the machine could read it.

use std::io::{IsTerminal as _, Read as _};
use std::path::Path;

use croft_proto::farm::SecretKind;
use reqwest::Method;
use serde_json::json;

use super::call::{Call, Farm};
use super::rows::SecretRow;
use super::{block_on, farm, pages};
use crate::args::Global;
use crate::exit::{Exit, Wrong};
use crate::farm::words::{KindWord, SecretCommand, SecretWords};
use crate::output;

/// Bytes of a value: AWS's limit of a secret.
const VALUE_BYTES_MAX: u64 = 65_536;

pub(crate) fn secret(global: &Global, words: &SecretWords) -> anyhow::Result<Exit> {
    let farm = farm(global, &words.connect)?;
    block_on(act(&farm, &words.command))
}

async fn act(farm: &Farm, command: &SecretCommand) -> anyhow::Result<Exit> {
    match command {
        SecretCommand::Set {
            name,
            value_file,
            kind,
            projects,
        } => {
            let kind = match kind {
                KindWord::SecretsManager => SecretKind::SecretsManager,
                KindWord::ParameterStore => SecretKind::ParameterStore,
            };
            let value = value(name, value_file)?;
            let body = json!({"value": value, "kind": kind, "projects": projects});
            let call = Call::new(Method::PUT, &["v1", "secrets", checked(name)?]);
            farm.bytes(&call.json(&body)).await?;
            output::text(&format!("{name} is set\n"))?;
        }
        SecretCommand::List(output) => {
            let found =
                pages::all(farm, &["v1", "secrets"], &[], "secrets", pages::ROWS_MAX).await?;
            let rows: Vec<SecretRow> = found.into_iter().map(SecretRow).collect();
            output::rows(&rows, output.output)?;
        }
        SecretCommand::Rm { name } => {
            let call = Call::new(Method::DELETE, &["v1", "secrets", checked(name)?]);
            farm.bytes(&call).await?;
            output::text(&format!("{name} is removed\n"))?;
        }
    }
    Ok(Exit::Succeeded)
}

/// A name that an address can hold.
fn checked(name: &str) -> Result<&str, Wrong> {
    if name.is_empty() || name == "." || name == ".." {
        return Err(Wrong(format!("{name:?} is no name for a secret")));
    }
    Ok(name)
}

fn value(name: &str, file: &Path) -> Result<String, Wrong> {
    let is_input = file == Path::new("-");
    if is_input && std::io::stdin().is_terminal() {
        return Err(Wrong(format!(
            "a value that is typed would stand on the screen: croft secret set {name} --value-file FILE, or pipe it in"
        )));
    }
    let shown = if is_input {
        "standard input".to_string()
    } else {
        file.display().to_string()
    };
    let wrong = |reason: String| Wrong(format!("{shown}: {reason}"));
    let mut bytes = Vec::new();
    let read = if is_input {
        let input = std::io::stdin().lock();
        input.take(VALUE_BYTES_MAX + 2).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file)
            .and_then(|file| file.take(VALUE_BYTES_MAX + 2).read_to_end(&mut bytes))
    };
    read.map_err(|error| wrong(error.to_string()))?;
    text_of(bytes).map_err(wrong)
}

/// The value without the line end that editors and `echo` add.
fn text_of(bytes: Vec<u8>) -> Result<String, String> {
    let Ok(mut text) = String::from_utf8(bytes) else {
        return Err("a value is text in UTF-8; encode other bytes, such as with base64".into());
    };
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.trim().is_empty() {
        return Err("there is no value in it".into());
    }
    if text.len() as u64 > VALUE_BYTES_MAX {
        return Err(format!("a value has at most {VALUE_BYTES_MAX} bytes"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_none_of_the_values() {
        for (given, value) in [
            ("pw", "pw"),
            ("pw\n", "pw"),
            ("pw\r\n", "pw"),
            ("pw\n\n", "pw\n"),
            (" pw ", " pw "),
            ("a\nb\n", "a\nb"),
        ] {
            assert_eq!(text_of(given.into()).unwrap(), value, "{given:?}");
        }
        for empty in ["", "\n", " \n"] {
            assert_eq!(
                text_of(empty.into()).unwrap_err(),
                "there is no value in it"
            );
        }
        text_of(vec![0xff]).unwrap_err();
        text_of(vec![b'a'; 65_537]).unwrap_err();
        text_of(vec![b'a'; 65_536]).unwrap();
    }

    #[test]
    fn names_that_would_be_another_address_are_refused() {
        checked("/app/db").unwrap();
        for name in ["", ".", ".."] {
            checked(name).unwrap_err();
        }
    }
}
