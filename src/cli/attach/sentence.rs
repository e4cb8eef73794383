//! Where sentences end: what a person types is sent when one is whole, and what is too long for one request is cut there.

/// The longest request, in bytes.
pub(super) const REQUEST_MAX: usize = 64 * 1024;
/// What a frame has around the text at most, in bytes.
const FRAME: usize = 128;

/// A sentence that no request can carry.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a sentence of {length} bytes, and {REQUEST_MAX} is the most: {beginning}…")]
pub(super) struct TooLong {
    length: usize,
    beginning: String,
}

/// Whether there is nothing but white space and comments.
pub(super) fn is_blank(text: &str) -> bool {
    let code = |line: &str| {
        line.split('%')
            .next()
            .is_some_and(|code| !code.trim().is_empty())
    };
    !text.lines().any(code)
}

/// How many sentences the text has; a last one without its end counts.
pub(super) fn count(text: &str) -> u64 {
    let mut rest = text;
    let mut whole = 0;
    while let Some(end) = sentence_end(rest) {
        rest = &rest[end..];
        whole += 1;
    }
    whole + u64::from(!is_blank(rest))
}

/// The text in as few requests as can carry it, each of whole sentences.
pub(super) fn requests(text: &str) -> Result<Vec<String>, TooLong> {
    let mut requests: Vec<String> = Vec::new();
    let mut room = 0;
    let mut rest = text;
    while !is_blank(rest) {
        let end = sentence_end(rest).unwrap_or(rest.len());
        let (sentence, after) = rest.split_at(end);
        rest = after;
        if sentence.len() > REQUEST_MAX {
            return Err(TooLong {
                length: sentence.len(),
                beginning: sentence.trim_start().chars().take(40).collect(),
            });
        }
        let weight = weight(sentence);
        match requests.last_mut().filter(|_| weight <= room) {
            Some(last) => last.push_str(sentence),
            None => {
                requests.push(sentence.into());
                room = REQUEST_MAX - FRAME;
            }
        }
        room = room.saturating_sub(weight);
    }
    Ok(requests)
}

/// What the text takes in a frame, where a server may bound the one or the other.
fn weight(text: &str) -> usize {
    serde_json::to_string(text).map_or(text.len(), |quoted| quoted.len() - 2)
}

/// The byte after the dot of the first sentence.
fn sentence_end(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().peekable();
    while let Some((index, c)) = chars.next() {
        match c {
            '%' => {
                chars.find(|(_, c)| *c == '\n')?;
            }
            '$' => {
                // `$.` and `$"` are characters, and so is `$\"`.
                if let Some((_, '\\')) = chars.next() {
                    chars.next();
                }
            }
            '"' | '\'' => loop {
                match chars.next()?.1 {
                    '\\' => {
                        chars.next();
                    }
                    end if end == c => break,
                    _ => {}
                }
            },
            '.' => {
                let ends = |&(_, next): &(usize, char)| next.is_whitespace() || next == '%';
                if chars.peek().is_none_or(ends) {
                    return Some(index + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::wire::Request;
    use super::*;

    #[test]
    fn sentences_are_counted_with_one_that_is_not_ended() {
        for (text, sentences) in [
            ("", 0),
            ("% x", 0),
            ("1.", 1),
            ("1. 2. % 3.", 2),
            ("1. 2", 2),
        ] {
            assert_eq!(count(text), sentences, "{text}");
        }
    }

    #[test]
    fn a_text_is_cut_only_where_it_must_be() {
        let one = "A = 1.\nB = 2. % two\n\n";
        assert_eq!(requests(one).unwrap(), ["A = 1.\nB = 2."]);
        assert_eq!(requests(" % nothing\n").unwrap(), [] as [&str; 0]);
        assert_eq!(requests("1. 2").unwrap(), ["1. 2"]);

        let sentence = format!("\"{}\".\n", "x\n".repeat(5_000));
        let text = sentence.repeat(20);
        let cut = requests(&text).unwrap();
        assert!(cut.len() > 1);
        for request in &cut {
            let (id, text, dry_run) = (1, request.as_str(), false);
            assert!(Request::Eval { id, text, dry_run }.encode().len() <= REQUEST_MAX);
            assert!(sentence_end(request).is_some());
        }
        assert_eq!(cut.concat() + "\n", text);
    }

    #[test]
    fn a_sentence_longer_than_a_request_is_named() {
        let longest = format!("\"{}\".", "x".repeat(REQUEST_MAX - 3));
        assert_eq!(requests(&longest).unwrap().len(), 1);
        let refused = requests(&format!("1. f(\"{longest}")).unwrap_err();
        assert!(refused.to_string().contains("f(\"\"xxx"), "{refused}");
    }
}
