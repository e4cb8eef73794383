//! The language holds whatever is typed: what it prints it reads again, and an evaluation ends within its budget of time,
//! stack and memory.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

#[path = "language/terms.rs"]
mod terms;
#[path = "language/texts.rs"]
mod texts;
#[path = "golden/transcript.rs"]
#[allow(dead_code)]
mod transcript;
#[path = "golden/world.rs"]
mod world;

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use transcript::Transcript;
use world::World;
use yizhan::erl::eval::Limits;
use yizhan::erl::lib;
use yizhan::erl::order;
use yizhan::erl::print::{Style, pretty, styled, write};
use yizhan::erl::session::{Failure, Session};
use yizhan::erl::term::Term;

/// The stack that an evaluation is given.
const STACK: usize = 16 << 20;

/// What an evaluation of a random text may use.
const SMALL: Limits = Limits {
    steps: 20_000,
    elements: 50_000,
    nesting: 4000,
};

/// What an evaluation holds at most for each element of its limits, in bytes: a list of empty tuples takes the most while a
/// comprehension makes it.
const ELEMENT: u64 = 256;
/// What it holds beside: frames of its stack that are on the heap, and a text that is laid out before it is paid for.
const BESIDE: u64 = 24 << 20;

/// A shell of its own for each text.
#[derive(Default)]
struct Shell {
    world: World,
    session: Session,
}

impl Shell {
    /// Everything that is shown for a text.
    fn shows(&mut self, text: &str, limits: Limits) -> String {
        let world = &self.world;
        self.session
            .run(text, world, lib::find, limits, &mut |sentence| {
                let shown = match sentence.result {
                    Ok(value) => styled(&value, Style::shell(1).within(10_000)),
                    Err(failure) => failure.shown(),
                };
                world.show(&shown);
            });
        world.take_printed()
    }

    /// The value of a sentence.
    fn value(&mut self, text: &str) -> Result<Term, String> {
        let mut value = Err("nothing was typed".to_owned());
        let sink = &mut |sentence: yizhan::erl::session::Outcome<'_>| {
            value = sentence.result.map_err(|failure: Failure| failure.shown());
        };
        self.session.run(text, &self.world, lib::find, SMALL, sink);
        value
    }
}

/// Runs on a stack of the size that an evaluation has.
fn aside(run: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(STACK);
    if let Err(panic) = thread.spawn(run).unwrap().join() {
        std::panic::resume_unwind(panic);
    }
}

/// Tries a property on a stack of that size.
fn holds<S: Strategy>(
    cases: u32,
    strategy: impl FnOnce() -> S + Send + 'static,
    property: impl Fn(S::Value) -> TestCaseResult + Send + 'static,
) {
    aside(move || {
        let config = Config {
            cases,
            failure_persistence: None,
            ..Config::default()
        };
        TestRunner::new(config).run(&strategy(), property).unwrap();
    });
}

/// Evaluates a text and holds its memory against its limits.
fn shows_within(text: &str, limits: Limits) -> String {
    let mut shown = String::new();
    let held = held(|| shown = Shell::default().shows(text, limits));
    let bound = ELEMENT * limits.elements as u64 + BESIDE;
    assert!(held <= bound, "{held} bytes for {text}");
    shown
}

/// The most memory that is held at one time, in bytes.
fn held(run: impl FnOnce()) -> u64 {
    allocation_counter::measure(run).bytes_max
}

// ---- what is printed is read again ----

fn is_read_again(term: &Term, printed: &str) -> TestCaseResult {
    let read = Shell::default().value(&format!("{printed}."));
    let read = read.map_err(|why| TestCaseError::fail(format!("{printed}\n{why}")))?;
    prop_assert!(
        order::exact(term, &read).is_eq(),
        "{} read as {}",
        printed,
        write(&read)
    );
    Ok(())
}

#[test]
fn a_value_that_is_written_is_read_as_the_same_value() {
    holds(1500, terms::term, |term| {
        is_read_again(&term, &write(&term))
    });
}

#[test]
fn a_value_that_is_laid_out_is_read_as_the_same_value_at_any_width() {
    let placed = || (terms::term(), (1..60_usize, 1..140_usize));
    holds(1500, placed, |(term, (column, width))| {
        is_read_again(&term, &pretty(&term, column, width))?;
        is_read_again(&term, &styled(&term, Style::pretty(column, 80)))
    });
}

// ---- whatever is typed ----

fn is_refused_or_evaluated(text: String) -> TestCaseResult {
    let shown = shows_within(&text, SMALL);
    prop_assert!(shown.len() < 2 << 20, "{} bytes for {}", shown.len(), text);
    Ok(())
}

#[test]
fn any_text_is_refused_or_evaluated() {
    holds(1000, || "(?s).{0,200}", is_refused_or_evaluated);
}

#[test]
fn any_text_of_punctuation_is_refused_or_evaluated() {
    let text = "[-a-cX-Z0-9 .,;:(){}<>|#$'\"\\\\/=+*!?%\n_]{0,120}";
    holds(1000, move || text, is_refused_or_evaluated);
}

#[test]
fn any_sequence_of_words_is_refused_or_evaluated() {
    holds(1000, texts::words, is_refused_or_evaluated);
}

#[test]
fn what_people_type_is_refused_or_evaluated_with_any_damage() {
    let typed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/shell.txt");
    let golden = Transcript::parse(&fs::read_to_string(typed).unwrap()).unwrap();
    let exchanges = golden.sessions().flat_map(|session| &session.exchanges);
    let typed: Vec<String> = exchanges.map(|exchange| exchange.typed.clone()).collect();
    assert!(typed.len() > 1000);
    holds(2500, move || texts::damaged(typed), is_refused_or_evaluated);
}

#[test]
fn every_function_takes_any_arguments() {
    const VALUES: [&str; 24] = [
        "a",
        "[]",
        "0",
        "1",
        "-1",
        "3",
        "1 bsl 70",
        "-(1 bsl 70)",
        "1.5",
        "1.0e300",
        "\"hello, world\"",
        "\"a€ä\"",
        "<<\"hello\">>",
        "<<5:3>>",
        "<<255, 0>>",
        "{a, 1}",
        "[{a, 1}, b, {\"c\", d}]",
        "[1 | 2]",
        "[[1, [2]], <<3>>, \"x\"]",
        "#{a => 1, \"b\" => #{}}",
        "fun(X) -> X end",
        "fun(X, _) -> X end",
        "lists:seq(1, 2000)",
        "utf8",
    ];
    let arguments = || prop::collection::vec(prop::sample::select(&VALUES[..]), 4);
    holds(60, arguments, |arguments| {
        for native in lib::all() {
            let given = arguments.iter().cycle().take(native.arity);
            let given = given.copied().collect::<Vec<_>>().join(", ");
            let text = format!("catch {}:'{}'({given}).", native.module, native.name);
            is_refused_or_evaluated(text)?;
        }
        Ok(())
    });
}

// ---- what does not end by itself ----

#[test]
fn what_would_never_end_is_ended_with_a_sentence() {
    let limits = Limits {
        steps: 300_000,
        elements: 300_000,
        nesting: 4000,
    };
    let steps = "* stopped after 300000 steps";
    let elements = "* stopped: more than 300000 elements were built or read";
    let limit = "** exception error: a system limit has been reached";
    let cases = [
        ("L = fun L() -> L() end, L().", steps),
        ("L = fun L(N) -> L(N + 1) end, L(0).", steps),
        ("L = fun L() -> catch L(), L() end, L().", elements),
        (
            "L = fun L() -> try L() catch _:_ -> L() end end, L().",
            elements,
        ),
        ("L = fun L(N) -> 1 + L(N) end, L(0).", limit),
        ("L = fun L(A) -> L([x | A]) end, L([]).", steps),
        (
            "G = fun G(L) -> G([{X, X} || X <- L] ++ L) end, G([1]).",
            steps,
        ),
        (
            "[[[[X || _ <- L] || _ <- L] || _ <- L] || L <- [lists:seq(1, 9999)], X <- L].",
            steps,
        ),
        ("lists:seq(1, 100000000000).", elements),
        ("lists:duplicate(100000000000, a).", elements),
        ("lists:seq(1 bsl 70, 1 bsl 71).", elements),
        ("1 bsl 1000000000000.", limit),
        ("P = fun P(N) -> P(N * N) end, P(3).", elements),
        ("D = fun D(S) -> D(S ++ S) end, D(\"ab\").", elements),
        (
            "D = fun D(B) -> D(<<B/binary, B/binary>>) end, D(<<1>>).",
            elements,
        ),
        ("binary:copy(<<1>>, 1000000000000).", elements),
        ("<<0:100000000000>>.", limit),
        ("<<0:1000000000>>.", elements),
        ("string:copies(\"ab\", 1000000000000).", elements),
        ("io:format(\"~1000000000c\", [$x]).", elements),
        ("io:format(\"~1000000000s\", [x]).", elements),
        ("io:format(\"~.1000000000c\", [$x]).", elements),
        ("io:format(\"~1000000000n\").", elements),
        ("io_lib:format(\"~*s\", [1000000000, x]).", elements),
        ("string:pad(\"a\", 1000000000).", elements),
        ("erlang:make_tuple(10000000, a).", elements),
        ("L = fun L() -> io:format(\"x\"), L() end, L().", steps),
        (
            "L = fun L() -> self() ! x, L() end, L().",
            "* the mailbox is full",
        ),
        (
            "lists:foldl(fun(_, T) -> {T, T} end, a, lists:seq(1, 5000)).",
            limit,
        ),
        (
            "math:pow(10, 1000).",
            "** exception error: an error occurred when evaluating",
        ),
        (
            "T = fun T(0, X) -> X; T(N, X) -> T(N - 1, [X, X]) end, lists:flatten(T(40, a)).",
            elements,
        ),
        (
            "T = fun T(0, X) -> X; T(N, X) -> T(N - 1, {X, X}) end, erlang:phash2(T(40, a)).",
            elements,
        ),
        (
            "T = fun T(0, X) -> X; T(N, X) -> T(N - 1, {X, X}) end, io:format(\"~p\", [T(40, a)]).",
            elements,
        ),
        (
            "T = fun T(0, X) -> X; T(N, X) -> T(N - 1, [X, X]) end, iolist_size(T(40, 1)).",
            elements,
        ),
        ("list_to_integer(lists:duplicate(200000, $9)).", elements),
    ];
    aside(move || {
        let mut wrong = Vec::new();
        for (text, sentence) in cases {
            let shown = shows_within(text, limits);
            if !shown.trim_start_matches('x').starts_with(sentence) {
                wrong.push(format!("{text}\n{shown}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

// ---- memory ----

#[test]
fn an_evaluation_holds_no_more_than_its_elements_allow() {
    let limits = Limits {
        steps: 10_000_000,
        elements: 200_000,
        nesting: 4000,
    };
    let made = [
        "[]",
        "{}",
        "#{}",
        "{N}",
        "#{N => N}",
        "#{a => N, b => N}",
        "[N]",
        "<<N:64>>",
        "<<>>",
        "N bsl 100",
        "N * 1.5",
        "fun() -> N end",
        "fun lists:map/2",
        "integer_to_list(N)",
        "integer_to_binary(N)",
        "list_to_atom(integer_to_list(N))",
        "N > 1",
        "(catch error(N))",
        "(catch hd(N))",
        "io_lib:format(\"~p\", [N])",
        "{ok, \"text\"}",
        "maps:from_list([{N, N}])",
        "lists:sort([N, 1])",
        "string:lowercase(\"ABC\")",
        "self()",
        "maps:put(a, N, #{})",
        "maps:from_keys([N], a)",
        "#{K => N || K <- [a]}",
        "maps:map(fun(_, V) -> V end, #{a => N})",
        "maps:merge(#{}, #{a => N})",
        "#{a => #{b => N}}",
        "maps:groups_from_list(fun(X) -> X end, [N])",
        "#{N => {N, [N]}}",
        "maps:to_list(#{a => N})",
        "proplists:to_map([{a, N}])",
    ];
    let whole = [
        "[{} || _ <- lists:seq(1, N), _ <- [a, b, c, d, e, f, g, h]]",
        "<< <<X>> || X <- lists:seq(1, N) >>",
        "#{X => [] || X <- lists:seq(1, N)}",
        "lists:reverse(lists:seq(1, N))",
        "lists:sort(fun(A, B) -> A > B end, lists:seq(1, N))",
        "lists:usort(lists:seq(1, N))",
        "lists:flatten([[X] || X <- lists:seq(1, N)])",
        "lists:zip(lists:seq(1, N), lists:seq(1, N))",
        "lists:map(fun(_) -> {} end, lists:seq(1, N))",
        "lists:partition(fun(X) -> X > 9 end, lists:seq(1, N))",
        "lists:duplicate(N, {})",
        "lists:enumerate(lists:duplicate(N, a))",
        "lists:uniq(lists:seq(1, N))",
        "maps:from_list(lists:zip(lists:seq(1, N), lists:seq(1, N)))",
        "maps:from_keys(lists:seq(1, N), a)",
        "list_to_tuple(lists:seq(1, N))",
        "tuple_to_list(erlang:make_tuple(N, a))",
        "binary_to_list(binary:copy(<<1>>, N))",
        "binary:split(binary:copy(<<\"a,\">>, N), <<\",\">>, [global])",
        "binary:matches(binary:copy(<<\"a,\">>, N), <<\",\">>)",
        "string:split(string:copies(\"a,\", N), \",\", all)",
        "string:lexemes(string:copies(\"a,\", N), \",\")",
        "string:tokens(string:copies(\"a,\", N), \",\")",
        "string:uppercase(string:copies(\"a,\", N))",
        "string:to_graphemes(string:copies(\"a,\", N))",
        "string:reverse(string:copies(\"a,\", N))",
        "string:replace(string:copies(\"a,\", N), \",\", \"--\", all)",
        "unicode:characters_to_list(binary:copy(<<\"a\">>, N))",
        "io_lib:format(\"~p\", [lists:seq(1, N)])",
        "io_lib:format(\"~w\", [lists:seq(1, N)])",
        "io_lib:format(string:copies(\"a\", N), [])",
        "lists:concat(lists:seq(1, N))",
        "base64:encode(binary:copy(<<1>>, N))",
        "proplists:to_map([{X, X} || X <- lists:seq(1, N)])",
        "lists:seq(1, N) ++ [a]",
        "lists:seq(1, N) -- [a]",
        "integer_to_list(1 bsl N)",
        "{X, _} = {lists:seq(1, N), N}, [H | _] = X, H",
    ];
    aside(move || {
        let made =
            made.map(|made| format!("L = fun L(N, A) -> L(N + 1, [{made} | A]) end, L(1, [])."));
        let whole = whole.map(|whole| format!("L = fun L(N) -> {whole}, L(2 * N) end, L(1000)."));
        for text in made.iter().chain(&whole) {
            let mut shown = String::new();
            let held = held(|| shown = Shell::default().shows(text, limits));
            assert!(shown.starts_with("* stopped"), "{text}\n{shown}");
            assert!(
                held <= ELEMENT * limits.elements as u64,
                "{held} bytes for {text}"
            );
        }
    });
}

#[test]
fn a_text_that_is_mostly_indentation_is_bounded_too() {
    let limits = Limits {
        elements: 20_000,
        ..SMALL
    };
    let deep = "T = lists:foldl(fun(N, T) -> {name, N, T} end, x, lists:seq(1, 900)).";
    aside(move || {
        for printed in [
            "T",
            "io:format(\"~p\", [T])",
            "io_lib:format(\"~999p~p\", [T, [T, T]])",
        ] {
            shows_within(&format!("{deep} {printed}."), limits);
        }
    });
}

#[test]
fn ten_thousand_sentences_do_not_make_a_session_grow() {
    aside(|| {
        let mut shell = Shell::default();
        let mut sentences = |range: std::ops::Range<usize>| {
            for n in range {
                let text = match n % 6 {
                    0 => format!("X{} = lists:seq(1, {}).", n % 60, n % 50),
                    1 => format!("f(X{}).", n % 30),
                    2 => format!("{{{n}, \"{n}\", #{{}}, fun(Y) -> Y + {n} end}}."),
                    3 => format!("lists:seq(1, 1000), {n}."),
                    4 => format!("1 = {n}."),
                    _ => format!("foo({n}, ."),
                };
                shell.shows(&text, SMALL);
            }
        };
        sentences(0..1000);
        let grown = allocation_counter::measure(|| sentences(1000..10_000));
        assert!(
            grown.bytes_current < 64 << 10,
            "{} bytes",
            grown.bytes_current
        );
    });
}
