//! What a search looks for.

use std::cell::RefCell;

use memchr::memmem::Finder;

/// A text that is looked for in others, in upper or lower case. Of letters beyond ASCII too, as Unicode pairs them one by
/// one.
#[derive(Clone, Debug)]
pub struct Needle {
    finder: Finder<'static>,
    is_ascii: bool,
    lowered: RefCell<String>,
}

impl Needle {
    /// Looks for this text.
    pub fn new(text: &str) -> Needle {
        let lowered: String = text.chars().flat_map(char::to_lowercase).collect();
        Needle {
            finder: Finder::new(&lowered).into_owned(),
            is_ascii: text.is_ascii(),
            lowered: RefCell::default(),
        }
    }

    /// Whether it is in a text.
    pub fn is_in(&self, text: &str) -> bool {
        let mut lowered = self.lowered.borrow_mut();
        lowered.clear();
        if self.is_ascii {
            lowered.push_str(text);
            lowered.make_ascii_lowercase();
        } else {
            lowered.extend(text.chars().flat_map(char::to_lowercase));
        }
        self.finder.find(lowered.as_bytes()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_in_either_case() {
        for (text, needle, found) in [
            ("See you at NOON", "noon", true),
            ("See you at noon", "At Noon", true),
            ("See you at noon", "at  noon", false),
            ("Grüße aus KÖLN", "köln", true),
            ("Grüße aus Köln", "GRÜ", true),
            ("驿站的消息", "消息", true),
            ("驿站的消息", "信息", false),
            ("", "x", false),
            ("anything", "", true),
        ] {
            assert_eq!(Needle::new(needle).is_in(text), found, "{needle} in {text}");
        }
    }
}
