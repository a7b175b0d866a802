//! What a person sees: scripted builds drawn on a screen of text.

use super::*;
use crate::render::script;

/// A terminal that knows what the rendering uses: line ends, cursor up, erase below. Colours are dropped.
#[derive(Default)]
struct Screen {
    rows: Vec<String>,
    row: usize,
}

impl Screen {
    fn of(bytes: &[u8]) -> String {
        let mut screen = Self::default();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let mut rest = text.as_str();
        while let Some(character) = rest.chars().next() {
            rest = &rest[character.len_utf8()..];
            match character {
                '\n' => screen.row += 1,
                '\r' => {}
                '\u{1b}' => rest = screen.escape(rest),
                _ => screen.put(character),
            }
        }
        screen.rows.join("\n")
    }

    fn put(&mut self, character: char) {
        self.rows
            .resize(self.rows.len().max(self.row + 1), String::new());
        self.rows[self.row].push(character);
    }

    fn escape<'a>(&mut self, rest: &'a str) -> &'a str {
        let end = rest
            .find(|character: char| character.is_ascii_alphabetic())
            .unwrap();
        match (&rest[1..end], &rest[end..=end]) {
            (rows, "A") => self.row -= rows.parse::<usize>().unwrap(),
            ("", "J") => self.rows.truncate(self.row),
            ("?7", "l" | "h") | (_, "m") => {}
            other => panic!("the screen does not know {other:?}"),
        }
        &rest[end + 1..]
    }
}

fn played(script: &script::Script, style: Style, finish: bool) -> Vec<u8> {
    let mut written = Vec::new();
    let mut terminal = Terminal::new(&mut written, style, || Size {
        columns: 60,
        rows: 24,
    });
    script.play(&mut terminal);
    if finish {
        terminal.finish();
    }
    drop(terminal);
    written
}

#[test]
fn a_person_sees_what_came_of_every_build() {
    for (name, script) in script::all() {
        let screen = Screen::of(&played(&script, Style { color: true }, true));
        insta::assert_snapshot!(format!("terminal_{name}"), screen);
    }
}

#[test]
fn a_person_sees_what_runs() {
    let screen = Screen::of(&played(&script::running(), Style { color: true }, false));
    insta::assert_snapshot!("terminal_running", screen);
}

#[test]
fn what_runs_is_gone_when_the_rendering_ends() {
    let screen = Screen::of(&played(&script::running(), Style { color: true }, true));
    assert!(!screen.contains('●'), "{screen}");
}

#[test]
fn colours_are_used_only_where_they_are_asked_for() {
    let coloured = |color| {
        let text = String::from_utf8(played(&script::running(), Style { color }, true)).unwrap();
        text.split("\u{1b}[").skip(1).any(|part| {
            part.trim_start_matches(|c: char| c.is_ascii_digit())
                .starts_with('m')
        })
    };
    assert!(coloured(true));
    assert!(!coloured(false));
}

#[test]
fn much_output_is_drawn_ten_times_a_second() {
    let mut script = script::running();
    let drawn = |script: &script::Script| {
        let text = played(script, Style { color: false }, false);
        text.windows(4)
            .filter(|window| window == b"\x1b[?7")
            .count()
            / 2
    };
    let before = drawn(&script);
    for number in 0..1000 {
        script.wait(1).print(format!("line {number}\n"));
    }
    assert_eq!(drawn(&script) - before, 10);
}
