//! Documents that people write, in YAML or JSON, one or several in a file, as they are or as tools print them. Received as a file's name;
//! handed on with the place of each, so that whatever is wrong with one is shown where it stands.

use std::collections::HashSet;
use std::io::Read as _;
use std::path::Path;

use croft_proto::shape::{Key, Mistake, Part, Shape, Strays, Written as Shaped, pointer};
use croft_spec::{Diagnostic, Sheet};
use serde_json::Value;

use super::problem::{Place, Problem};
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
    pub(super) at: String,
    pub(super) json: Value,
}

impl Written {
    /// Says of the document what is wrong with it.
    pub(super) fn wrong(&self, sheet: &mut Sheet<'_>, mistake: &Mistake) {
        let within = pointer(&self.json, &mistake.said);
        sheet.wrong(&format!("{}{within}", self.at), mistake);
    }
}

/// Says which keys of a document stand without a value, and tells the others of what is wrong with it.
pub(super) fn say<W: Shaped>(one: &Written, wrong: Vec<Mistake>, sheet: &mut Sheet<'_>) {
    let empty = Strays::of(&one.json, &W::SHAPE).empty;
    // What is said of a value that is not there is said once.
    let is_of_nothing = |mistake: &Mistake| {
        let path = |mistake: &Mistake| mistake.said.split(": ").next().map(str::to_string);
        empty.iter().any(|empty| path(empty) == path(mistake))
    };
    let others = wrong.into_iter().filter(|mistake| !is_of_nothing(mistake));
    for mistake in others.chain(empty.iter().cloned()) {
        one.wrong(sheet, &mistake);
    }
}

/// A file as it was read, to show where in it something is.
#[derive(Debug)]
pub(super) struct Source {
    shown: String,
    bytes: Vec<u8>,
}

impl Source {
    /// That file, or standard input.
    pub(super) fn read(file: &Path) -> Result<Self, Wrong> {
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
        result.map_err(|error| Wrong(format!("{shown}: {}", crate::files::why(&error))))?;
        Ok(Self { shown, bytes })
    }

    /// What `take` makes of it. What is wrong is printed, and then nothing of the file is good.
    pub(super) fn take<D>(
        &self,
        take: impl FnOnce(&str, &[u8]) -> Result<D, Vec<Diagnostic>>,
    ) -> Result<D, Wrong> {
        take(&self.shown, &self.bytes).map_err(|found| {
            self.print(&found);
            let (shown, mistakes) = (&self.shown, counted(found.len()));
            Wrong(format!("{shown} has {mistakes}; nothing of it is applied"))
        })
    }

    /// Why the farm refuses the document at that JSON pointer of the file: what it says of parts of it is printed where these stand. None when it
    /// says it of none.
    pub(super) fn refused(&self, at: &str, problem: &Problem) -> Option<Wrong> {
        let found = self.places(at, &problem.places);
        if found.is_empty() {
            return None;
        }
        self.print(&found);
        Some(Wrong(format!(
            "the farm refuses what {} says, for {}",
            self.shown,
            counted(found.len())
        )))
    }

    /// What the farm says of the document at that JSON pointer of the file: where it names no part of it, of the whole.
    pub(super) fn places_of(&self, at: &str, problem: &Problem) -> Vec<Diagnostic> {
        match problem.places.is_empty() {
            true => self.places(at, &[Place::of_all(problem.to_string())]),
            false => self.places(at, &problem.places),
        }
    }

    /// Prints what the farm would refuse of the file, of which nothing is applied yet.
    pub(super) fn refused_whole(&self, mut found: Vec<Diagnostic>) -> Wrong {
        found.sort_by_key(|found| (found.start, found.end));
        self.print(&found);
        let (shown, mistakes) = (&self.shown, counted(found.len()));
        Wrong(format!(
            "the farm refuses what {shown} says, for {mistakes}; nothing of it is applied"
        ))
    }

    fn places(&self, at: &str, places: &[Place]) -> Vec<Diagnostic> {
        // It was read before.
        let Ok(mut sheet) = Sheet::read(&self.shown, &self.bytes) else {
            return Vec::new();
        };
        for place in places {
            let pointer = format!("{at}{}", place.pointer());
            let mistake = Mistake::of_value(place.detail.clone());
            match place.within {
                Some(at) => sheet.wrong_within(&pointer, at.line, at.column, &mistake),
                None => sheet.wrong(&pointer, &mistake),
            }
        }
        sheet.finish()
    }

    fn print(&self, found: &[Diagnostic]) {
        let color = output::style(&std::io::stderr()).color;
        let text = String::from_utf8_lossy(&self.bytes);
        eprint!("{}", croft_spec::render(found, &text, color));
    }
}

fn counted(mistakes: usize) -> String {
    match mistakes {
        1 => "a mistake".to_string(),
        count => format!("{count} mistakes"),
    }
}

/// Says which documents have a name that one before them has: the last would be all that is left.
pub(super) fn refuse_twice(
    sheet: &mut Sheet<'_>,
    named: impl Iterator<Item = (String, String, &'static str)>,
) {
    let mut seen: HashSet<(&'static str, String)> = HashSet::new();
    for (name, at, key) in named {
        if !seen.insert((key, name.clone())) {
            let said = format!("{key}: `{name}` stands in the file already, above");
            let help = "keep one of the two, or give this one another name";
            sheet.wrong(&format!("{at}/{key}"), &mistake(said, Some(help.into())));
        }
    }
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
            let whole = Value::Object(map.clone());
            for mistake in Strays::of(&whole, &around.shape).into_mistakes() {
                let within = pointer(&whole, &mistake.said);
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
            let shown = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_string);
            let said =
                format!("`{shown}` is no document: one is a map of keys, such as `name: web`");
            let help = shown
                .contains(':')
                .then(|| "a key needs a space after its `:`".into());
            sheet.wrong(&at, &mistake(said, help));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_farm_refuses_is_shown_where_it_stands_in_the_file() {
        let text = "- applicationName: shop\n- applicationName: shop\n  deploymentGroupName: prod\n  deploymentConfigName: nope\n";
        let source = Source {
            shown: "shop.yml".into(),
            bytes: text.into(),
        };
        let body = r##"{"detail": "no such configuration", "invalidParams":
            [{"pointer": "#/deploymentConfigName", "detail": "there is no deployment configuration `nope`"}]}"##;
        let problem = Problem::read(404, body.as_bytes(), None, "a test");
        let found = source.places("/1", &problem.places);
        let told = |found: &Diagnostic| format!("{} {}", found.place, found.message);
        let told: Vec<String> = found.iter().map(told).collect();
        assert_eq!(
            told,
            ["shop.yml:4:25 there is no deployment configuration `nope`"]
        );
        let body = r##"{"detail": "no query", "invalidParams": [{"pointer": "#/deploymentConfigName",
            "detail": "unexpected", "within": {"line": 1, "column": 3}}]}"##;
        let problem = Problem::read(400, body.as_bytes(), None, "a test");
        let found = source.places("/1", &problem.places);
        assert_eq!(found[0].place.to_string(), "shop.yml:4:27");
        let none = Problem::read(404, b"{}", None, "a test");
        assert!(source.refused("/1", &none).is_none());
    }
}
