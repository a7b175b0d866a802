//! Words and operators to commands: which run after which, and what decides the exit status. Only as much grammar as the
//! rules ask about; `None` where it is not understood.

use std::ops::Range;

use super::lex::{Token, TokenKind, lex};

/// Compound commands inside each other.
const NESTING_MAX: usize = 32;

/// Commands that run one after another.
pub(super) type Block = Vec<Statement>;

/// Pipelines joined by `&&` and `||`.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    /// The pipelines, first to last.
    pub(super) pipelines: Vec<Pipeline>,
    /// Whether an `||` handles a failure.
    pub(super) has_or: bool,
    /// Whether it ends in `&`.
    pub(super) background: bool,
    /// Bytes in the text.
    pub(super) range: Range<usize>,
}

/// Commands joined by `|`.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    /// At least one.
    pub(super) commands: Vec<Command>,
}

/// One command.
#[derive(Clone, Debug)]
pub(super) enum Command {
    /// A program or builtin with its words.
    Simple(Simple),
    /// One of several blocks runs, or one runs several times: `if`, `case`, loops, `{}`, `()`.
    ///
    /// The blocks are without conditions.
    Compound(Vec<Block>),
    /// `name() { .. }`
    Function(String),
}

/// A program with its words.
#[derive(Clone, Debug)]
pub(super) struct Simple {
    /// Assignments, name, arguments; redirections left out.
    pub(super) words: Vec<Word>,
}

/// A word.
#[derive(Clone, Debug)]
pub(super) struct Word {
    /// As written.
    pub(super) text: String,
    /// Bytes in the text.
    pub(super) range: Range<usize>,
}

impl Simple {
    /// Without the assignments before the name.
    pub(super) fn command_words(&self) -> &[Word] {
        let assignments = self
            .words
            .iter()
            .take_while(|word| is_assignment(&word.text))
            .count();
        &self.words[assignments..]
    }

    /// The program's name as written; empty for bare assignments.
    pub(super) fn name(&self) -> &str {
        self.command_words().first().map_or("", |word| &word.text)
    }

    /// What follows the name.
    pub(super) fn arguments(&self) -> &[Word] {
        self.command_words().get(1..).unwrap_or_default()
    }
}

/// Whether a word is `name=value`, `name+=value` or `name[..]=value`.
pub(super) fn is_assignment(text: &str) -> bool {
    let Some((name, _)) = text.split_once('=') else {
        return false;
    };
    let name = name.strip_suffix('+').unwrap_or(name);
    let name = name.split('[').next().unwrap_or_default();
    let shaped = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    shaped && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
}

/// Every simple command of a block, those inside compound commands included.
pub(super) fn simples(block: &Block) -> Vec<&Simple> {
    let commands = block
        .iter()
        .flat_map(|statement| &statement.pipelines)
        .flat_map(|pipeline| &pipeline.commands);
    commands
        .flat_map(|command| match command {
            Command::Simple(simple) => vec![simple],
            Command::Compound(blocks) => blocks.iter().flat_map(simples).collect(),
            Command::Function(_) => Vec::new(),
        })
        .collect()
}

/// The commands of a text.
pub(super) fn parse(text: &str) -> Option<Block> {
    let mut parser = Parser {
        text,
        tokens: lex(text)?,
        at: 0,
        depth: 0,
    };
    let block = parser.block(&[])?;
    (parser.at == parser.tokens.len()).then_some(block)
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn kind(&self) -> Option<TokenKind> {
        self.tokens.get(self.at).map(|token| token.kind)
    }

    /// The word here; `None` for anything else.
    fn word(&self) -> Option<&str> {
        let token = self
            .tokens
            .get(self.at)
            .filter(|token| token.kind == TokenKind::Word)?;
        self.text.get(token.range.clone())
    }

    fn is_operator(&self, operator: &str) -> bool {
        matches!(self.kind(), Some(TokenKind::Operator(found)) if found == operator)
    }

    fn take_operator(&mut self, operator: &str) -> Option<()> {
        self.is_operator(operator).then(|| self.at += 1)
    }

    fn take_word(&mut self, word: &str) -> Option<()> {
        (self.word() == Some(word)).then(|| self.at += 1)
    }

    fn skip_newlines(&mut self) {
        while self.kind() == Some(TokenKind::Newline) {
            self.at += 1;
        }
    }

    fn ends(&self, ends: &[&str]) -> bool {
        match self.kind() {
            None => true,
            Some(TokenKind::Word) => self.word().is_some_and(|word| ends.contains(&word)),
            Some(TokenKind::Operator(operator)) => ends.contains(&operator),
            Some(TokenKind::Newline) => false,
        }
    }

    /// Statements up to one of the ends, which is left for the caller.
    fn block(&mut self, ends: &[&str]) -> Option<Block> {
        if self.depth > NESTING_MAX {
            return None;
        }
        self.depth += 1;
        let mut block = Vec::new();
        self.skip_newlines();
        while !self.ends(ends) {
            block.push(self.statement()?);
            while self.kind() == Some(TokenKind::Newline) || self.is_operator(";") {
                self.at += 1;
            }
        }
        self.depth -= 1;
        Some(block)
    }

    fn statement(&mut self) -> Option<Statement> {
        let start = self.tokens.get(self.at)?.range.start;
        let mut pipelines = vec![self.pipeline()?];
        let mut has_or = false;
        while self.is_operator("&&") || self.is_operator("||") {
            has_or |= self.is_operator("||");
            self.at += 1;
            self.skip_newlines();
            pipelines.push(self.pipeline()?);
        }
        let end = self.tokens.get(self.at.checked_sub(1)?)?.range.end;
        let background = self.take_operator("&").is_some();
        Some(Statement {
            pipelines,
            has_or,
            background,
            range: start..end,
        })
    }

    fn pipeline(&mut self) -> Option<Pipeline> {
        while self.take_word("!").is_some() || self.take_word("time").is_some() {}
        let mut commands = vec![self.command()?];
        while self.is_operator("|") || self.is_operator("|&") {
            self.at += 1;
            self.skip_newlines();
            commands.push(self.command()?);
        }
        Some(Pipeline { commands })
    }

    fn command(&mut self) -> Option<Command> {
        let command = match self.word() {
            Some("if") => self.conditional()?,
            Some("while" | "until") => self.repeated()?,
            Some("for" | "select") => self.counted()?,
            Some("case") => self.case()?,
            Some("{") => self.group("}")?,
            Some("function") => return self.function(),
            Some("[[") => return self.test(),
            Some("then" | "else" | "elif" | "fi" | "do" | "done" | "esac" | "}") => return None,
            Some(_) => return self.simple(),
            None if self.is_operator("(") => self.parenthesis()?,
            None => return self.simple(),
        };
        self.redirections()?;
        Some(command)
    }

    fn conditional(&mut self) -> Option<Command> {
        let mut blocks = Vec::new();
        self.at += 1;
        loop {
            self.block(&["then"])?;
            self.take_word("then")?;
            blocks.push(self.block(&["elif", "else", "fi"])?);
            if self.take_word("elif").is_none() {
                break;
            }
        }
        if self.take_word("else").is_some() {
            blocks.push(self.block(&["fi"])?);
        }
        self.take_word("fi")?;
        Some(Command::Compound(blocks))
    }

    fn repeated(&mut self) -> Option<Command> {
        self.at += 1;
        self.block(&["do"])?;
        self.body()
    }

    fn counted(&mut self) -> Option<Command> {
        self.at += 1;
        while self.word() != Some("do") {
            self.kind()?;
            self.at += 1;
        }
        self.body()
    }

    fn body(&mut self) -> Option<Command> {
        self.take_word("do")?;
        let block = self.block(&["done"])?;
        self.take_word("done")?;
        Some(Command::Compound(vec![block]))
    }

    fn case(&mut self) -> Option<Command> {
        self.at += 2;
        self.skip_newlines();
        self.take_word("in")?;
        let mut blocks = Vec::new();
        self.skip_newlines();
        while self.take_word("esac").is_none() {
            while !self.is_operator(")") {
                self.kind()?;
                self.at += 1;
            }
            self.at += 1;
            blocks.push(self.block(&[";;", ";&", ";;&", "esac"])?);
            if self.word() != Some("esac") {
                self.kind()?;
                self.at += 1;
            }
            self.skip_newlines();
        }
        Some(Command::Compound(blocks))
    }

    fn group(&mut self, end: &str) -> Option<Command> {
        self.at += 1;
        let block = self.block(&[end])?;
        self.kind()?;
        self.at += 1;
        Some(Command::Compound(vec![block]))
    }

    /// `( .. )`, or `(( .. ))` as a command named `((`.
    fn parenthesis(&mut self) -> Option<Command> {
        let start = self.tokens.get(self.at)?.range.clone();
        let arithmetic = self.tokens.get(self.at + 1).is_some_and(|next| {
            next.kind == TokenKind::Operator("(") && next.range.start == start.end
        });
        if !arithmetic {
            return self.group(")");
        }
        let mut level = 0_usize;
        loop {
            if self.is_operator("(") {
                level += 1;
            } else if self.is_operator(")") {
                level -= 1;
            }
            self.kind()?;
            self.at += 1;
            if level == 0 {
                break;
            }
        }
        let words = vec![Word {
            text: "((".to_owned(),
            range: start.start..start.end + 1,
        }];
        Some(Command::Compound(vec![vec![Statement::of(Simple {
            words,
        })]]))
    }

    fn function(&mut self) -> Option<Command> {
        self.at += 1;
        let name = self.word()?.trim_end_matches("()").to_owned();
        self.at += 1;
        if self.take_operator("(").is_some() {
            self.take_operator(")")?;
        }
        self.skip_newlines();
        self.command()?;
        Some(Command::Function(name))
    }

    /// `[[ .. ]]` as a command of one word: what is inside follows a grammar of its own.
    fn test(&mut self) -> Option<Command> {
        let range = self.tokens.get(self.at)?.range.clone();
        while self.word() != Some("]]") {
            self.kind()?;
            self.at += 1;
        }
        self.at += 1;
        self.redirections()?;
        Some(Command::Simple(Simple {
            words: vec![Word {
                text: "[[".to_owned(),
                range,
            }],
        }))
    }

    fn redirections(&mut self) -> Option<()> {
        while let Some(TokenKind::Operator(operator)) = self.kind() {
            if !operator.contains(['<', '>']) {
                break;
            }
            self.at += 1;
            self.word()?;
            self.at += 1;
        }
        Some(())
    }

    fn simple(&mut self) -> Option<Command> {
        let mut words = Vec::new();
        let start = self.at;
        loop {
            self.redirections()?;
            let Some(token) = self
                .tokens
                .get(self.at)
                .filter(|token| token.kind == TokenKind::Word)
            else {
                break;
            };
            words.push(Word {
                text: self.text.get(token.range.clone())?.to_owned(),
                range: token.range.clone(),
            });
            self.at += 1;
            if words.len() == 1 && self.is_operator("(") {
                return self.definition(&words);
            }
        }
        (self.at > start).then_some(Command::Simple(Simple { words }))
    }

    /// The rest of `name() ..`.
    fn definition(&mut self, words: &[Word]) -> Option<Command> {
        self.take_operator("(")?;
        self.take_operator(")")?;
        self.skip_newlines();
        self.command()?;
        Some(Command::Function(words.first()?.text.clone()))
    }
}

impl Statement {
    fn of(simple: Simple) -> Self {
        let range = simple.words.first().map_or(0..0, |word| word.range.clone());
        Self {
            pipelines: vec![Pipeline {
                commands: vec![Command::Simple(simple)],
            }],
            has_or: false,
            background: false,
            range,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, simples};

    fn names(text: &str) -> Option<Vec<String>> {
        let block = parse(text)?;
        Some(
            simples(&block)
                .iter()
                .map(|simple| simple.name().to_owned())
                .collect(),
        )
    }

    #[test]
    fn commands_are_found_wherever_they_stand() {
        for (text, expected) in [
            ("a b && c || d; e", vec!["a", "c", "d", "e"]),
            ("X=1 a | b", vec!["a", "b"]),
            (
                "if a; then b; elif c; then d; else e; fi",
                vec!["b", "d", "e"],
            ),
            ("for x in 1 2; do a $x; done > log", vec!["a"]),
            ("while read -r l\ndo\n  a\ndone < f", vec!["a"]),
            ("case $x in\n a|b) c ;;\n *) d\nesac", vec!["c", "d"]),
            ("( a; b ) && { c; }", vec!["a", "b", "c"]),
            ("f() { a; }\nf", vec!["f"]),
            ("[[ $a == b && -f c ]] && d", vec!["[[", "d"]),
            ("((x += 1))\na", vec!["((", "a"]),
            ("! a 2>&1", vec!["a"]),
        ] {
            assert_eq!(names(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_shell_is_not_understood() {
        for text in [
            "if a; then b",
            "a )",
            "done",
            "&& a",
            "case x",
            "f( a",
            "((a",
            "for x",
        ] {
            assert_eq!(names(text), None, "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        assert_eq!(names(&"( ".repeat(10_000)), None);
        assert_eq!(names(&"$(".repeat(10_000)), None);
        assert_eq!(names(&"\"$(".repeat(10_000)), None);
    }
}
