//! A golden file: sessions at a shell, what was typed and what the shell printed to it.
//!
//! A session is the lines up to an empty one, and begins with nothing bound. Lines with `> ` before them were typed,
//! those that stand together in one paste; the lines below are the answer, as it was printed. Lines with `# ` between
//! sessions are for the reader.

use std::fmt;

/// Stands for an empty line of an answer, since a real one ends the session.
const EMPTY: &str = "␤";

/// A golden file, which is written as it was read.
#[derive(Debug)]
pub struct Transcript {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Remark(Vec<String>),
    Session(Session),
}

/// What happens in one shell, from its start.
#[derive(Debug)]
pub struct Session {
    /// The pastes and their answers, in their order.
    pub exchanges: Vec<Exchange>,
}

/// A paste and its answer.
#[derive(Debug)]
pub struct Exchange {
    /// Where it stands in the file.
    pub line: usize,
    /// The text of the paste.
    pub typed: String,
    /// Everything that is printed until the shell waits again.
    pub printed: String,
}

impl Transcript {
    /// Reads a file.
    ///
    /// # Errors
    /// A sentence with the number of the line that is not understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        for block in blocks(text) {
            let (line, first) = block[0];
            parts.push(if first.starts_with('#') {
                Part::Remark(block.iter().map(|(_, text)| (*text).to_owned()).collect())
            } else if typed(first).is_some() {
                Part::Session(Session::parse(&block))
            } else {
                return Err(format!("line {line}: an answer to nothing"));
            });
        }
        Ok(Self { parts })
    }

    /// Every session, in the order of the file.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.parts.iter().filter_map(|part| match part {
            Part::Session(session) => Some(session),
            Part::Remark(_) => None,
        })
    }

    /// The same, to write new answers.
    pub fn sessions_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.parts.iter_mut().filter_map(|part| match part {
            Part::Session(session) => Some(session),
            Part::Remark(_) => None,
        })
    }
}

impl Session {
    /// The pastes without their answers.
    pub fn pastes(&self) -> Vec<String> {
        let typed = self.exchanges.iter().map(|exchange| &exchange.typed);
        typed.cloned().collect()
    }

    fn parse(block: &[(usize, &str)]) -> Self {
        let mut exchanges: Vec<Exchange> = Vec::new();
        let mut typing = false;
        for (line, text) in block {
            match (typed(text), exchanges.last_mut()) {
                (Some(text), Some(exchange)) if typing => {
                    exchange.typed.push('\n');
                    exchange.typed.push_str(text);
                }
                (Some(text), _) => exchanges.push(Exchange {
                    line: *line,
                    typed: text.to_owned(),
                    printed: String::new(),
                }),
                (None, Some(exchange)) => {
                    if !typing {
                        exchange.printed.push('\n');
                    }
                    exchange.printed.push_str(printed(text));
                }
                (None, None) => {}
            }
            typing = typed(text).is_some();
        }
        Self { exchanges }
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            match part {
                Part::Remark(lines) => lines.iter().try_for_each(|line| writeln!(f, "{line}"))?,
                Part::Session(session) => write!(f, "{session}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for exchange in &self.exchanges {
            for line in exchange.typed.split('\n') {
                writeln!(f, "{}", format!("> {line}").trim_end())?;
            }
            if exchange.printed.is_empty() {
                continue;
            }
            for line in exchange.printed.split('\n') {
                writeln!(f, "{}", if line.is_empty() { EMPTY } else { line })?;
            }
        }
        Ok(())
    }
}

/// The lines of each block, with their numbers; empty lines part the blocks.
pub fn blocks(text: &str) -> Vec<Vec<(usize, &str)>> {
    let lines: Vec<_> = (1..).zip(text.lines()).collect();
    let blocks = lines.split(|(_, line)| line.is_empty());
    let blocks = blocks.filter(|block| !block.is_empty());
    blocks.map(<[_]>::to_vec).collect()
}

/// The text of a line that was typed.
fn typed(line: &str) -> Option<&str> {
    line.strip_prefix("> ").or((line == ">").then_some(""))
}

/// The text of a line that was printed.
pub fn printed(line: &str) -> &str {
    if line == EMPTY { "" } else { line }
}
