use super::*;
use crate::erl::chardata;
use crate::erl::function::{Machine, Raised};
use crate::erl::number;
use crate::erl::print::{self, Style};
use crate::erl::testing::evaluated;

/// Calls with what `erl` of OTP 25 printed for them, one a line: `call => value`, or `call => class: reason`.
const GOLDEN: &str = include_str!("golden.txt");

/// A machine that applies nothing, and pays up to a bound.
pub(crate) struct Bench {
    pub(crate) left: usize,
    pub(crate) printed: String,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench {
            left: 10_000_000,
            printed: String::new(),
        }
    }
}

impl Machine for Bench {
    fn apply(&mut self, _: &Term, _: Vec<Term>) -> Result<Term, Raised> {
        Err(Raised::badarg())
    }

    fn charge(&mut self, elements: usize) -> Result<(), Raised> {
        match self.left.checked_sub(elements) {
            Some(left) => self.left = left,
            None => return Err(Raised::Stopped("too much".to_owned())),
        }
        Ok(())
    }

    fn print(&mut self, text: &str) -> Result<(), Raised> {
        self.printed.push_str(text);
        Ok(())
    }
}

fn outcome(call: &str) -> String {
    let style = Style::pretty(1, 0).unicode();
    match evaluated(call) {
        Ok(value) => print::styled(&value, style),
        Err(Raised::Error { reason, .. }) => format!("error: {}", print::styled(&reason, style)),
        Err(Raised::Exit(reason)) => format!("exit: {}", print::styled(&reason, style)),
        Err(Raised::Throw(value)) => format!("throw: {}", print::styled(&value, style)),
        Err(Raised::Stopped(why)) => format!("stopped: {why}"),
    }
}

#[test]
fn every_call_answers_as_otp_25_does() {
    let mut wrong = Vec::new();
    for line in GOLDEN.lines() {
        let (call, expected) = line.split_once(" => ~ ").unwrap();
        let got = outcome(call);
        if got != expected {
            wrong.push(format!("{call}\n  erl: {expected}\n  own: {got}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn tables_are_in_the_order_that_find_wants() {
    for table in TABLES {
        let keys = |native: &Native| (native.name, native.arity);
        for pair in table.windows(2) {
            assert!(
                keys(&pair[0]) < keys(&pair[1]),
                "{} {}",
                pair[0].usage,
                pair[1].usage
            );
        }
    }
    for native in all() {
        let found = find(native.module, native.name, native.arity).unwrap();
        assert_eq!(found.usage, native.usage);
    }
}

#[test]
fn usage_and_doc_of_every_native_are_whole() {
    for native in all() {
        assert!(native.usage.contains(native.name), "{}", native.usage);
        assert!(
            native.doc.ends_with('.') || native.doc.ends_with(')'),
            "{}",
            native.usage
        );
        assert!(!native.doc.contains('\n'));
    }
}

#[test]
fn nothing_large_is_built_before_it_is_paid() {
    let calls = [
        "lists:seq(1, 100000000)",
        "lists:duplicate(1000000000000, a)",
        "binary:copy(<<\"abc\">>, 1000000000000)",
        "string:copies(\"abc\", 1000000000000)",
        "string:chars(32, 1000000000000)",
        "string:pad(\"a\", 1000000000000)",
        "string:left(\"a\", 1000000000000)",
        "io_lib:format(\"~1000000000000w\", [a])",
        "io_lib:format(\"~1000000000000c\", [65])",
        "io_lib:format(\"~.1000000000000f\", [1.0])",
        "erlang:integer_to_list(erlang:'bsl'(1, 10000000))",
        "erlang:'*'(erlang:'bsl'(1, 16000000), erlang:'bsl'(1, 16000000))",
    ];
    for call in calls {
        assert!(outcome(call).starts_with("stopped: "), "{call}");
    }
    assert_eq!(
        outcome("erlang:'bsl'(1, 10000000000)"),
        "error: system_limit"
    );
    assert_eq!(
        outcome("erlang:make_tuple(1000000000000, a)"),
        "error: badarg"
    );
}

#[test]
fn parts_that_are_shared_a_thousandfold_are_compared_and_not_walked_for_ever() {
    let nested = || (0..200).fold(Term::Nil, |part, _| Term::tuple([part.clone(), part]));
    let mut bench = Bench::new();
    let (a, b) = (nested(), nested());
    assert!(number::ordered(&a, &b, false, &mut bench).unwrap().is_eq());
    assert!(matches!(
        chardata::text(&Term::list([a.clone()]), &mut bench),
        Ok(None)
    ));
    let printed = find("io", "write", 1).unwrap();
    assert!(matches!(
        (printed.call)(&mut bench, &[a]),
        Err(Raised::Stopped(_))
    ));
}
