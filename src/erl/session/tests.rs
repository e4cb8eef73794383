use super::*;
use crate::erl::testing::{LIMITS, Shell, each_shows, shows};

#[test]
fn a_session_can_move_between_threads() {
    fn is_send<T: Send>() {}
    is_send::<Session>();
}

#[test]
fn variables_stay_from_one_text_to_the_next() {
    let mut shell = Shell::default();
    assert_eq!(shell.shows("X = 1. Y = X + 1."), "1\n2");
    assert_eq!(shell.shows("X + Y."), "3");
    assert_eq!(
        shell.shows("X = 2."),
        "** exception error: no match of right hand side value 2"
    );
    assert_eq!(shell.shows("b()."), "X = 1\nY = 2\nok");
    assert_eq!(shell.shows("f(X). b()."), "ok\nY = 2\nok");
    assert_eq!(shell.shows("f(), Z = 3. b()."), "3\nZ = 3\nok");
}

#[test]
fn a_sentence_that_fails_leaves_nothing_bound_and_ends_the_text() {
    let mut shell = Shell::default();
    let shown = shell.shows("A = 1. B = 2, A = 3. C = 4.");
    assert_eq!(
        shown,
        "1\n** exception error: no match of right hand side value 3"
    );
    assert_eq!(shell.shows("b()."), "A = 1\nok");
}

#[test]
fn results_are_numbered_and_the_last_ones_kept() {
    let mut shell = Shell::default();
    assert_eq!(shell.shows("a. b. v(1). v(-2). v(-1)."), "a\nb\na\nb\nb");
    assert_eq!(shell.shows("v(100)."), "* 100: command not found");
    shell.shows(&"x. ".repeat(RESULTS_MAX));
    assert_eq!(shell.shows("v(1)."), "* 1: command not found");
    assert_eq!(shell.shows("v(20)."), "x");
}

#[test]
fn a_sentence_that_is_none_has_no_number() {
    let mut shell = Shell::default();
    let mut numbers = Vec::new();
    let find = crate::erl::lib::find;
    for text in ["1.", "1 + .", "2."] {
        let see =
            &mut |outcome: Outcome<'_>| numbers.push((outcome.text.to_string(), outcome.number));
        shell.session.run(text, &shell.host, find, LIMITS, see);
    }
    let text = |text: &str| text.to_string();
    assert_eq!(
        numbers,
        [
            (text("1."), Some(1)),
            (text("1 + ."), None),
            (text("2."), Some(2))
        ]
    );
}

#[test]
fn a_syntax_error_shows_its_line_with_a_caret() {
    each_shows(&[
        (
            "f(1, ).",
            "* 1:6: syntax error before: ')'\nf(1, ).\n     ^",
        ),
        (
            "2. 3 + . 4.",
            "2\n* 1:5: syntax error before: '.'\n3 + . 4.\n    ^",
        ),
        (
            "ä = 1,\n  ) .",
            "* 2:3: syntax error before: ')'\n  ) .\n  ^",
        ),
        (
            "1 + 2",
            "* 1:6: the expression does not end with a dot\n1 + 2\n     ^",
        ),
        (
            "foo(\"abc.",
            "* 1:5: unterminated string starting with \"abc.\"\nfoo(\"abc.\n    ^",
        ),
        ("X + 1.", "* 1:1: variable 'X' is unbound\nX + 1.\n^"),
    ]);
    let long = format!("{}) .", " ".repeat(5000));
    assert!(shows(&long).len() < 400);
}

#[test]
fn each_part_of_a_sentence_is_checked_when_its_turn_comes() {
    let mut shell = Shell::default();
    let shown = shell.shows("echo ! hi, Unbound.");
    assert!(
        shown.starts_with("* 1:12: variable 'Unbound' is unbound"),
        "{shown}"
    );
    assert_eq!(shell.shows("receive X -> X after 0 -> none end."), "hi");
}

#[test]
fn a_session_does_not_hold_more_than_its_bounds() {
    let mut shell = Shell::default();
    let many: Vec<String> = (0..=VARIABLES_MAX).map(|n| format!("V{n} = 1")).collect();
    let shown = shell.shows(&format!("{}.", many.join(", ")));
    assert_eq!(
        shown,
        "* a session has 1000 variables at most: f() forgets all, f(X) one"
    );
    assert_eq!(shell.session.variables().count(), 0);

    let limits = Limits {
        steps: 10_000_000,
        elements: 10_000_000,
        nesting: 1000,
    };
    let double = "D = fun D(0, L) -> L; D(N, L) -> D(N - 1, L ++ L) end, X = D(18, [1]), ok.";
    let shown = shell.shows_within(double, limits);
    assert_eq!(
        shown,
        "* the variables would hold more than 200000 elements: f() forgets all, f(X) one"
    );
    let shared = "T = fun T(0, X) -> X; T(N, X) -> T(N - 1, {X, X}) end, X = T(60, a), ok.";
    assert_eq!(shell.shows_within(shared, limits), "ok");
}

#[test]
fn what_a_session_holds_is_weighed_at_the_expense_of_the_text() {
    let mut shell = Shell::default();
    let limits = Limits {
        steps: 10_000_000,
        elements: 4_000_000,
        nesting: 400,
    };
    let double = "D = fun D(0, L) -> L; D(N, L) -> D(N - 1, L ++ L) end, X = D(15, [1]), ok.";
    assert_eq!(shell.shows_within(double, limits), "ok");
    let shown = shell.shows_within(&"hd(X). ".repeat(20_000), limits);
    assert_eq!(shown.lines().count(), 20_000);
    let shown = shell.shows_within(&"X, {X}. ".repeat(200), limits);
    assert!(
        shown.ends_with("* stopped: more than 4000000 elements were built or read"),
        "{shown}"
    );
}
