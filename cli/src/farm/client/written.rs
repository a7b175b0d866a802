//! Documents that people write, in YAML or JSON, one or several in a file, as they are or as tools print them. Received as a file's name;
//! handed on with the place of each, so that whatever is wrong with one is shown where it stands.

use std::io::Read as _;
use std::path::Path;

use croft_proto::shape::{Key, Mistake, Part, Shape, Strays, pointer};
use croft_spec::{Diagnostic, Sheet};
use serde_json::Value;

use crate::exit::Wrong;
use crate::output;

/// What tools print around documents.
pub(super) struct Around {
    /// Keys below which documents stand.
    pub(super) keys: &'static [&'static str],
    /// Those and others that are printed beside them.
    pub(super) shape: Shape,
}

/// Of a file with documents, and nothing else in it.
pub(super) const NEXT: Key = Key::told("nextToken");

/// One of a file's documents.
#[derive(Debug)]
pub(super) struct Written {
    /// Its JSON pointer in the file.
    at: String,
    pub(super) json: Value,
}

impl Written {
    /// Says of the document what is wrong with it.
    pub(super) fn wrong(&self, sheet: &mut Sheet<'_>, mistake: &Mistake) {
        let within = pointer(&self.json, &mistake.said);
        sheet.wrong(&format!("{}{within}", self.at), mistake);
    }
}

/// What `take` makes of a file. What is wrong is printed, and then nothing of the file is good.
pub(super) fn read<D>(
    file: &Path,
    take: impl FnOnce(&str, &[u8]) -> Result<D, Vec<Diagnostic>>,
) -> Result<D, Wrong> {
    let is_input = file == Path::new("-");
    let shown = match is_input {
        true => "standard input".to_string(),
        false => file.display().to_string(),
    };
    let mut bytes = Vec::new();
    let result = match is_input {
        true => std::io::stdin().read_to_end(&mut bytes).map(drop),
        false => std::fs::read(file).map(|read| bytes = read),
    };
    result.map_err(|error| Wrong(format!("{shown}: {error}")))?;
    take(&shown, &bytes).map_err(|found| {
        let color = output::style(&std::io::stderr()).color;
        let text = String::from_utf8_lossy(&bytes);
        eprint!("{}", croft_spec::render(&found, &text, color));
        let mistakes = match found.len() {
            1 => "a mistake".to_string(),
            count => format!("{count} mistakes"),
        };
        Wrong(format!("{shown} has {mistakes}; nothing of it is applied"))
    })
}

/// The file's documents, in its order; what is none is said to the sheet.
pub(super) fn documents(sheet: &mut Sheet<'_>, around: &Around) -> Vec<Written> {
    let mut found = Vec::new();
    let whole = sheet.value().clone();
    take_apart(whole, String::new(), around, sheet, &mut found);
    found
}

fn take_apart(
    value: Value,
    at: String,
    around: &Around,
    sheet: &mut Sheet<'_>,
    found: &mut Vec<Written>,
) {
    match value {
        Value::Array(list) => {
            for (number, value) in list.into_iter().enumerate() {
                take_apart(value, format!("{at}/{number}"), around, sheet, found);
            }
        }
        Value::Object(mut map) if around.keys.iter().any(|key| map.contains_key(*key)) => {
            for mistake in Strays::of(&Value::Object(map.clone()), &around.shape).unknown {
                let within = pointer(&Value::Object(map.clone()), &mistake.said);
                sheet.wrong(&format!("{at}{within}"), &mistake);
            }
            for key in around.keys {
                if let Some(inner) = map.remove(*key) {
                    take_apart(inner, format!("{at}/{key}"), around, sheet, found);
                }
            }
        }
        Value::Object(map) => found.push(Written {
            at,
            json: Value::Object(map),
        }),
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            sheet.wrong(&at, &mistake(format!("`{value}` is no document"), None));
        }
    }
}

/// Something that is wrong with a value.
pub(super) fn mistake(said: String, help: Option<String>) -> Mistake {
    Mistake {
        said,
        help,
        of: Part::Value,
    }
}
