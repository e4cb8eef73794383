//! That the shell prints what a real Erlang shell prints: both are held to the same golden file.
//!
//! `YIZHAN_ERL` names the command of a real Erlang, and `YIZHAN_GOLDEN_UPDATE=1` writes its answers into the files.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

#[path = "golden/difference.rs"]
mod difference;
#[path = "golden/erl.rs"]
mod erl;
#[path = "golden/transcript.rs"]
mod transcript;
#[path = "golden/world.rs"]
mod world;

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use difference::{Difference, fits};
use erl::Erl;
use transcript::Transcript;
use world::World;
use yizhan::erl::eval::Limits;
use yizhan::erl::lib;
use yizhan::erl::print::{Style, styled};
use yizhan::erl::session::Session;

// ---- this shell ----

/// Plays the pastes in a fresh session, and gives what each one prints, without the end of its last line.
fn ours(pastes: &[String]) -> Vec<String> {
    let world = World::default();
    let mut session = Session::default();
    let play = |paste: &String| {
        session.run(paste, &world, lib::find, LIMITS, &mut |sentence| {
            let shown = match sentence.result {
                Ok(value) => styled(&value, Style::whole(0)),
                Err(failure) => failure.shown(),
            };
            world.show(&shown);
        });
        let printed = world.take_printed();
        printed.strip_suffix('\n').unwrap_or(&printed).to_string()
    };
    pastes.iter().map(play).collect()
}

const LIMITS: Limits = Limits {
    steps: 10_000_000,
    elements: 10_000_000,
    nesting: 200,
};

#[test]
fn the_shell_prints_what_the_golden_file_says() {
    let golden = golden();
    let mut report = Report::default();
    for session in golden.sessions() {
        let answers = ours(&session.pastes());
        for (exchange, answer) in session.exchanges.iter().zip(&answers) {
            let (printed, answer) = (without_places(&exchange.printed), without_excerpt(answer));
            report.compare(SHELL, exchange.line, &exchange.typed, &printed, &answer);
        }
    }
    report.end();
}

#[test]
fn the_shell_differs_where_it_is_said_and_as_it_is_said() {
    let mut report = Report::default();
    for difference in differences() {
        let answer = ours(std::slice::from_ref(&difference.typed)).remove(0);
        if !fits(&difference.ours, &answer) {
            let (line, typed) = (difference.line, &difference.typed);
            report.compare(DIFFERENCES, line, typed, &difference.ours, &answer);
        }
        let theirs = without_places(&difference.theirs);
        if fits(&theirs, &without_excerpt(&answer)) {
            report.alike(DIFFERENCES, difference.line);
        }
    }
    report.end();
}

/// Erlang says which lines of its own sources an error passed through.
fn without_places(printed: &str) -> String {
    let mut lines = Vec::new();
    for line in printed.split('\n') {
        let place = line.rfind(" (").filter(|start| {
            let place = &line[*start..];
            place.contains(".erl, line ") && place.ends_with(')')
        });
        let frame = line.trim_start();
        let frame = frame.starts_with("in function ") || frame.starts_with("in call from ");
        match place {
            Some(_) if frame => {}
            Some(start) => lines.push(&line[..start]),
            // The place of what was typed is empty, but the space before it is there.
            None if line.starts_with(' ') && line.ends_with(") ") => lines.push(line.trim_end()),
            None => lines.push(line),
        }
    }
    lines.join("\n")
}

/// Below the sentence about a syntax error stand the line and a caret, which a real Erlang of this release does not show.
fn without_excerpt(answer: &str) -> String {
    let mut lines: Vec<&str> = answer.split('\n').collect();
    let caret = lines.last().is_some_and(|line| line.trim() == "^");
    if caret && lines.len() >= 3 && lines[lines.len() - 3].starts_with("* ") {
        lines.truncate(lines.len() - 2);
    }
    lines.join("\n")
}

// ---- a real one ----

#[test]
fn a_real_erlang_shell_prints_what_the_golden_file_says() {
    let Some(erl) = real_erlang() else {
        return;
    };
    let mut golden = golden();
    let sessions: Vec<_> = golden.sessions().map(|session| session.pastes()).collect();
    let answers = erl.play(&sessions);
    if updating() {
        for (session, answers) in golden.sessions_mut().zip(answers) {
            for (exchange, answer) in session.exchanges.iter_mut().zip(answers) {
                exchange.printed = answer;
            }
        }
        fs::write(path(SHELL), golden.to_string()).unwrap();
        // An answer that reads as something typed cannot be written down.
        let read = Transcript::parse(&golden.to_string()).unwrap();
        assert_eq!(read.to_string(), golden.to_string());
        assert_eq!(read.sessions().count(), sessions.len());
        return;
    }
    let mut report = Report::default();
    for (session, answers) in golden.sessions().zip(&answers) {
        for (exchange, answer) in session.exchanges.iter().zip(answers) {
            report.compare(
                SHELL,
                exchange.line,
                &exchange.typed,
                &exchange.printed,
                answer,
            );
        }
    }
    report.end();
}

#[test]
fn a_real_erlang_shell_differs_as_it_is_said() {
    let Some(erl) = real_erlang() else {
        return;
    };
    let differences = differences();
    let typed = differences
        .iter()
        .map(|difference| vec![difference.typed.clone()]);
    let answers = erl.play(&typed.collect::<Vec<_>>());
    let mut report = Report::default();
    for (difference, answer) in differences.iter().zip(&answers) {
        if !fits(&difference.theirs, &answer[0]) {
            let (line, typed) = (difference.line, &difference.typed);
            report.compare(DIFFERENCES, line, typed, &difference.theirs, &answer[0]);
        }
    }
    report.end();
}

/// The one to compare with, which `.ci/run` must have found.
fn real_erlang() -> Option<Erl> {
    match Erl::find() {
        Ok(erl) => Some(erl),
        Err(why) if env::var_os("CI").is_some_and(|ci| !ci.is_empty()) => panic!("{why}"),
        Err(why) => {
            println!("skipped: {why} (.ci/run fetches one)");
            None
        }
    }
}

fn updating() -> bool {
    env::var_os("YIZHAN_GOLDEN_UPDATE").is_some_and(|value| value == "1")
}

// ---- the files ----

const SHELL: &str = "shell.txt";
const DIFFERENCES: &str = "differences.txt";

#[test]
fn the_golden_file_is_large_and_written_as_it_is_read() {
    let text = fs::read_to_string(path(SHELL)).unwrap();
    let golden = golden();
    assert_eq!(golden.to_string(), text);
    let exchanges = golden.sessions().flat_map(|session| &session.exchanges);
    let exchanges = exchanges.count();
    assert!(exchanges >= 1400, "only {exchanges}");
}

#[test]
fn places_and_excerpts_are_taken_away_and_nothing_else() {
    let printed = "\
** exception error: no function clause matching lists:zip([2],[]) (lists.erl, line 419)
     in function  lists:zip/2 (lists.erl, line 419)
     in function  hd/1
        called as f(1)";
    let kept = "\
** exception error: no function clause matching lists:zip([2],[])
     in function  hd/1
        called as f(1)";
    assert_eq!(without_places(printed), kept);
    let error = "1\n* 1:5: syntax error before: '.'";
    assert_eq!(without_excerpt(&format!("{error}\nfoo(.\n    ^")), error);
    assert_eq!(without_excerpt("^"), "^");
}

#[test]
fn an_ellipsis_stands_for_any_text() {
    for (pattern, text, is) in [
        ("<0.…0>", "<0.84.0>", true),
        ("a…b…c", "a1b2bc", true),
        ("…", "", true),
        ("ab", "ab", true),
        ("ab", "abc", false),
        ("a…bc", "abd", false),
        ("a…a", "a", false),
    ] {
        assert_eq!(fits(pattern, text), is, "{pattern} {text}");
    }
}

fn golden() -> Transcript {
    Transcript::parse(&fs::read_to_string(path(SHELL)).unwrap()).unwrap()
}

fn differences() -> Vec<Difference> {
    Difference::parse(&fs::read_to_string(path(DIFFERENCES)).unwrap()).unwrap()
}

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(file)
}

// ---- the report ----

/// Every answer that is not the one of the file.
#[derive(Default)]
struct Report {
    compared: usize,
    differing: usize,
    text: String,
}

impl Report {
    /// Notes an answer, with the lines that only one of the two has.
    fn compare(&mut self, file: &str, line: usize, typed: &str, expected: &str, answer: &str) {
        self.compared += 1;
        if expected == answer {
            return;
        }
        self.differing += 1;
        let expected: Vec<&str> = expected.split('\n').collect();
        let answer: Vec<&str> = answer.split('\n').collect();
        let alike = |(a, b): &(&&str, &&str)| a == b;
        let head = expected.iter().zip(&answer).take_while(alike).count();
        let (expected_rest, answer_rest) = (&expected[head..], &answer[head..]);
        let backwards = expected_rest.iter().rev().zip(answer_rest.iter().rev());
        let tail = backwards.take_while(alike).count();
        let ends = (expected_rest.len() - tail, answer_rest.len() - tail);
        let mut put = |mark: &str, lines: &[&str]| {
            for line in lines {
                let _ = writeln!(self.text, "{mark} {line}");
            }
        };
        put("", &[&format!("\ntests/golden/{file}:{line}")]);
        put(">", &typed.split('\n').collect::<Vec<_>>());
        put(" ", &expected[..head]);
        put("-", &expected_rest[..ends.0]);
        put("+", &answer_rest[..ends.1]);
        put(" ", &expected_rest[ends.0..]);
    }

    /// Notes what both print alike: it belongs to the other file.
    fn alike(&mut self, file: &str, line: usize) {
        self.compared += 1;
        self.differing += 1;
        let _ = writeln!(self.text, "\ntests/golden/{file}:{line}\n= no difference");
    }

    fn end(self) {
        assert!(
            self.differing == 0,
            "{} of {} answers differ (- the file, + the shell):\n{}",
            self.differing,
            self.compared,
            self.text
        );
    }
}
