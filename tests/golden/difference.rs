//! Where the shell and Erlang's own are known to part, and why.
//!
//! A difference is the lines up to an empty one: `> ` was typed, `- ` is what a real Erlang shell prints, `+ ` what this
//! one prints, and `= ` says why. An `…` stands for whatever may be there.

use crate::transcript::{blocks, printed};

/// One thing that two shells do not say alike.
#[derive(Debug)]
pub struct Difference {
    /// Where it stands in the file.
    pub line: usize,
    /// The text of the paste.
    pub typed: String,
    /// What a real Erlang shell prints.
    pub theirs: String,
    /// What this shell prints.
    pub ours: String,
}

impl Difference {
    /// Reads a file of them.
    ///
    /// # Errors
    /// A sentence with the number of the line that is not understood.
    pub fn parse(text: &str) -> Result<Vec<Self>, String> {
        let blocks = blocks(text).into_iter();
        let blocks = blocks.filter(|block| !block[0].1.starts_with('#'));
        blocks.map(|block| Self::of(&block)).collect()
    }

    fn of(block: &[(usize, &str)]) -> Result<Self, String> {
        let line = block[0].0;
        let (mut asked, mut theirs, mut ours, mut why) = (vec![], vec![], vec![], vec![]);
        for (number, text) in block {
            let (mark, rest) = text.split_at_checked(1).unwrap_or((text, ""));
            let rest = printed(rest.strip_prefix(' ').unwrap_or(rest));
            match mark {
                ">" => asked.push(rest),
                "-" => theirs.push(rest),
                "+" => ours.push(rest),
                "=" => why.push(rest),
                _ => return Err(format!("line {number}: none of > - + =")),
            }
        }
        for (part, name) in [(&asked, ">"), (&theirs, "-"), (&ours, "+"), (&why, "=")] {
            if part.is_empty() {
                return Err(format!("line {line}: a difference without a {name}"));
            }
        }
        Ok(Self {
            line,
            typed: asked.join("\n"),
            theirs: theirs.join("\n"),
            ours: ours.join("\n"),
        })
    }
}

/// Whether a text is the one that was written down, in which an `…` stands for any text.
pub fn fits(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('…');
    let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}
