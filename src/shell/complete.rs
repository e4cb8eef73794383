//! What the word at the cursor may become: modules, functions, variables.

use std::collections::BTreeSet;

use super::call::help::{self, Entry};
use super::table;

/// Candidates that are told at most.
const CANDIDATES_MAX: usize = 200;

/// What a word may become.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// Where the word begins, in UTF-16 units, as browsers count.
    pub from: usize,
    /// What it may become, in order: `kick/1` is a function and its arity, `yizhan:` a module.
    pub candidates: Vec<String>,
}

/// Completes the text left of the cursor, in a session with these variables.
pub fn complete(text: &str, variables: &[String]) -> Completion {
    let word = last_word(text);
    let start = text.len() - word.len();
    let at = |byte: usize| text[..byte].encode_utf16().count();
    let entries = help::entries();
    let (from, candidates): (usize, BTreeSet<String>) = match word.rsplit_once(':') {
        Some((module, prefix)) => {
            let module = last_word_of_names(module);
            let own = entries.iter().filter(|entry| entry.module == module);
            let found = own.filter(|entry| entry.name.starts_with(prefix));
            (at(text.len() - prefix.len()), found.map(title).collect())
        }
        None if word.starts_with(|c: char| c.is_uppercase() || c == '_') => {
            let found = variables.iter().filter(|name| name.starts_with(word));
            (at(start), found.cloned().collect())
        }
        None => {
            let modules = entries.iter().map(|entry| entry.module);
            let modules = modules.filter(|module| *module != table::COMMANDS);
            let modules = modules.map(|module| format!("{module}:"));
            let bare = entries
                .iter()
                .filter(|entry| matches!(entry.module, table::COMMANDS | "erlang"))
                .map(title);
            let all = modules.chain(bare);
            (
                at(start),
                all.filter(|name| name.starts_with(word)).collect(),
            )
        }
    };
    let candidates = match word.is_empty() {
        true => Vec::new(),
        false => candidates.into_iter().take(CANDIDATES_MAX).collect(),
    };
    Completion { from, candidates }
}

fn title(entry: &Entry) -> String {
    format!("{}/{}", entry.name, entry.arity)
}

/// The name or call that the text ends with.
fn last_word(text: &str) -> &str {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '@' | ':');
    let start = text.rfind(|c| !is_part(c));
    let start = start.map_or(0, |at| {
        at + text[at..].chars().next().map_or(1, char::len_utf8)
    });
    &text[start..]
}

fn last_word_of_names(module: &str) -> &str {
    module.rsplit(':').next().unwrap_or(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(text: &str) -> (usize, Vec<String>) {
        let variables = ["Uid".to_string(), "Under".to_string(), "X".to_string()];
        let Completion { from, candidates } = complete(text, &variables);
        (from, candidates)
    }

    #[test]
    fn modules_functions_and_variables_are_found() {
        assert_eq!(candidates("1, yiz"), (3, vec!["yizhan:".to_string()]));
        let (from, kicks) = candidates("X = yizhan:kic");
        assert_eq!(from, 11);
        assert_eq!(kicks, ["kick/1", "kick/2"]);
        assert_eq!(candidates("f(U").1, ["Uid", "Under"]);
        assert!(candidates("hel").1.contains(&"help/0".to_string()));
        assert_eq!(candidates("").1, [] as [String; 0]);
        assert_eq!(candidates("nothing:like_it").1, [] as [String; 0]);
    }

    #[test]
    fn places_are_counted_as_browsers_count() {
        assert_eq!(candidates("\"𝄞é\", yiz").0, 7);
    }
}
