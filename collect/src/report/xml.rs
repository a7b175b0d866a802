//! XML as a stream of elements and texts. Receives a file's bytes, hands a format's visitor each element as it begins and
//! ends; says at last whether the file was whole, or what stopped the reading and where. What came before stays read.
//!
//! Entities are the five of XML and numbers; a document's own declarations are not looked at, so none can grow.

use std::io::BufRead;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::bounded::{Bounded, TOKEN_BYTES_MAX};
use super::text::{Encoding, unescape};

/// How deep elements nest. Suites nest as deep as a team's folders do; the parser remembers each open name.
pub(crate) const DEPTH_MAX: usize = 256;

/// How long the parser's buffer may grow: contents and frame of one token. More means that the parser and `Bounded`
/// disagree on where a token ends, which only damaged files bring about.
const BUFFER_BYTES_MAX: usize = 3 * TOKEN_BYTES_MAX;

/// One element's beginning.
#[derive(Debug)]
pub(crate) struct Element<'e> {
    /// Without any namespace prefix.
    pub(crate) name: &'e str,
    tag: &'e BytesStart<'e>,
    encoding: Encoding,
}

impl Element<'_> {
    /// The value of the attribute of that name, its entities replaced; the first if it occurs twice.
    pub(crate) fn attribute(&self, name: &str) -> Option<String> {
        let mut attributes = self.tag.html_attributes();
        let found = attributes
            .with_checks(false)
            .flatten()
            .find(|attribute| attribute.key.local_name().as_ref() == name.as_bytes())?;
        Some(unescape(&self.encoding.decode(&found.value)).into_owned())
    }
}

/// What a format does with its elements.
pub(crate) trait Visit {
    /// An element begins.
    fn begin(&mut self, element: &Element<'_>);
    /// Text inside the innermost element that is open; a long one comes in pieces.
    fn text(&mut self, text: &str);
    /// The innermost element that is open ends.
    fn end(&mut self);
}

/// How a file was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ending {
    /// The name of the first element; absent when there is none.
    pub(crate) root: Option<String>,
    /// What kept the file from being read to its end, and where; absent when it was.
    pub(crate) problem: Option<String>,
}

/// Hands every element of `input` to `visitor`. Elements still open at a premature end are ended.
pub(crate) fn visit(input: impl BufRead, visitor: &mut dyn Visit) -> Ending {
    let mut reader = Reader::from_reader(Bounded::new(input));
    let config = reader.config_mut();
    config.allow_dangling_amp = true;
    config.check_comments = false;
    let mut pass = Pass {
        visitor,
        encoding: Encoding::Utf8,
        depth: 0,
        line: 1,
        root: None,
    };
    let problem = pass.run(&mut reader);
    for _ in 0..pass.depth {
        pass.visitor.end();
    }
    Ending {
        root: pass.root,
        problem,
    }
}

/// One reading of one file.
struct Pass<'v> {
    visitor: &'v mut dyn Visit,
    encoding: Encoding,
    depth: usize,
    line: u64,
    root: Option<String>,
}

impl Pass<'_> {
    fn run<R: BufRead>(&mut self, reader: &mut Reader<R>) -> Option<String> {
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            let event = match reader.read_event_into(&mut buffer) {
                Ok(Event::Eof) => break,
                Ok(event) => event,
                Err(error) => return Some(self.problem(&error)),
            };
            if let Err(problem) = self.event(&event) {
                return Some(problem);
            }
            drop(event);
            if buffer.len() > BUFFER_BYTES_MAX {
                return Some(format!(
                    "a token in it is too long, near line {}",
                    self.line
                ));
            }
            let breaks = buffer.iter().filter(|byte| **byte == b'\n').count();
            self.line += u64::try_from(breaks).unwrap_or_default();
        }
        (self.depth > 0).then(|| {
            format!(
                "it ends after line {} with {} elements still open: cut short?",
                self.line, self.depth
            )
        })
    }

    fn event(&mut self, event: &Event<'_>) -> Result<(), String> {
        match event {
            Event::Start(tag) => self.begin(tag)?,
            Event::Empty(tag) => {
                self.begin(tag)?;
                self.end();
            }
            Event::End(_) => self.end(),
            Event::Text(text) => self.visitor.text(&self.encoding.decode(text)),
            Event::CData(text) => self.visitor.text(&self.encoding.decode(text)),
            Event::GeneralRef(name) => {
                let whole = format!("&{};", self.encoding.decode(name));
                self.visitor.text(&unescape(&whole));
            }
            Event::Decl(declaration) => {
                if let Some(Ok(name)) = declaration.encoding() {
                    self.encoding = Encoding::named(&name);
                }
            }
            Event::Comment(_) | Event::PI(_) | Event::DocType(_) | Event::Eof => {}
        }
        Ok(())
    }

    fn begin(&mut self, tag: &BytesStart<'_>) -> Result<(), String> {
        if self.depth == DEPTH_MAX {
            return Err(format!(
                "its elements nest more than {DEPTH_MAX} deep, near line {}",
                self.line
            ));
        }
        self.depth += 1;
        let name = self.encoding.decode(tag.local_name().into_inner());
        if self.root.is_none() {
            self.root = Some(name.to_string());
        }
        self.visitor.begin(&Element {
            name: &name,
            tag,
            encoding: self.encoding,
        });
        Ok(())
    }

    fn end(&mut self) {
        if self.depth > 0 {
            self.depth -= 1;
            self.visitor.end();
        }
    }

    fn problem(&self, error: &quick_xml::Error) -> String {
        format!("it is damaged near line {}: {error}", self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Story(Vec<String>);

    impl Visit for Story {
        fn begin(&mut self, element: &Element<'_>) {
            let value = element
                .attribute("v")
                .map(|value| format!("={value}"))
                .unwrap_or_default();
            self.0.push(format!("<{}{value}", element.name));
        }

        fn text(&mut self, text: &str) {
            self.0.push(text.to_owned());
        }

        fn end(&mut self) {
            self.0.push(">".to_owned());
        }
    }

    fn story(text: &[u8]) -> (String, Ending) {
        let mut story = Story::default();
        let ending = visit(text, &mut story);
        (story.0.join(""), ending)
    }

    #[test]
    fn well_formed_files_are_read_whole() {
        for (text, expected) in [
            ("<a/>", "<a>"),
            (
                "\u{feff}<?xml version=\"1.0\"?>\n<!DOCTYPE a SYSTEM 'x.dtd'><a>t</a>",
                "\n<at>",
            ),
            ("<a v='1 &lt; &#50;'>x &amp; y</a>", "<a=1 < 2x & y>"),
            ("<a><![CDATA[<b> & ]]></a>", "<a<b> & >"),
            ("<n:a xmlns:n='u' n:v='1'/>", "<a=1>"),
            ("<a/><b/>", "<a><b>"),
            ("<a v=1 w/>", "<a=1>"),
            ("<a v='1' v='2'/>", "<a=1>"),
            ("<a>&unknown; & alone</a>", "<a&unknown; & alone>"),
            ("<!DOCTYPE a [<!ENTITY e 'xx'>]><a>&e;</a>", "<a&e;>"),
        ] {
            let (told, ending) = story(text.as_bytes());
            assert_eq!(told, expected, "{text}");
            assert_eq!(ending.problem, None, "{text}");
        }
    }

    #[test]
    fn a_declared_encoding_is_used() {
        let (told, _) = story(b"<?xml version='1.0' encoding='ISO-8859-1'?><a v='\xe4'>\xfc</a>");
        assert_eq!(told, "<a=\u{e4}\u{fc}>");
        let (told, ending) = story(b"<a v='\xe4'>\xfc</a>");
        assert_eq!(told, "<a=\u{fffd}\u{fffd}>");
        assert_eq!(ending.problem, None);
    }

    #[test]
    fn what_came_before_the_damage_stays_read() {
        for (text, expected, problem) in [
            (
                "<a>\n<b>x</b>\n<b>y",
                "<a\n<bx>\n<by>>",
                "it ends after line 3 with 2 elements still open",
            ),
            ("<a>\n<b", "<a\n>", "it is damaged near line 2"),
            ("<a><b></a>", "<a<b>>", "it is damaged near line 1"),
            ("<a/></b>", "<a>", "it is damaged near line 1"),
            ("<a><![CDATA[x", "<a>", "it is damaged near line 1"),
        ] {
            let (told, ending) = story(text.as_bytes());
            assert_eq!(told, expected, "{text}");
            assert!(
                ending.problem.as_ref().unwrap().starts_with(problem),
                "{text}: {ending:?}"
            );
        }
    }

    #[test]
    fn elements_that_nest_too_deep_end_the_reading() {
        let (told, ending) = story("<a>".repeat(DEPTH_MAX + 1).as_bytes());
        assert_eq!(told.matches('<').count(), DEPTH_MAX);
        assert_eq!(told.matches('>').count(), DEPTH_MAX);
        assert!(ending.problem.unwrap().contains("nest more than"));
    }
}
