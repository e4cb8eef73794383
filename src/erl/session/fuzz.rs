//! Random texts against the whole language: whatever they are, each is evaluated or refused within its budget.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::erl::eval::Limits;
use crate::erl::lex;
use crate::erl::testing::Shell;

/// What an evaluation is given in production, and what it may then use of it.
const STACK: usize = 16 * 1024 * 1024;
const LIMITS: Limits = Limits {
    steps: 20_000,
    elements: 200_000,
    nesting: 4000,
};

const WORDS: [&str; 98] = [
    "a",
    "b",
    "X",
    "Y",
    "_",
    "1",
    "0",
    "-1",
    "2.5",
    "$c",
    "\"s\"",
    "'q'",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "<<",
    ">>",
    ",",
    ";",
    ":",
    "=",
    "|",
    "||",
    "<-",
    "<=",
    "->",
    "=>",
    ":=",
    "#",
    "#{",
    "!",
    "+",
    "-",
    "*",
    "/",
    "++",
    "--",
    "==",
    "=:=",
    "<",
    ">",
    "=<",
    "div",
    "rem",
    "band",
    "bsl",
    "bnot",
    "not",
    "and",
    "or",
    "andalso",
    "orelse",
    "begin",
    "end",
    "case",
    "of",
    "if",
    "receive",
    "after",
    "try",
    "catch",
    "when",
    "fun",
    "true",
    "false",
    "hd",
    "self()",
    "lists:map",
    "fun(X) -> X end",
    "[1,2|3]",
    "#{a=>1}",
    "<<1:4>>",
    "/utf8",
    ":8",
    "/binary",
    "f()",
    "b()",
    "v(1)",
    ".",
    ". ",
    "\n",
    "%c\n",
    "error(x)",
    "throw(y)",
    "1 bsl 99",
    "99999999999999999999",
    "16#ff",
    "after 0 -> ok",
    "X = 1",
    "[X || X <- Y]",
    "<<X>>",
    "F(1)",
    "fun F(N) -> F(N) end",
    "fun hd/1",
    "echo ! 1",
];

const PROGRAMS: [&str; 16] = [
    "F = fun Fac(0) -> 1; Fac(N) when N > 0 -> N * Fac(N - 1) end, F(20).",
    "F = fun F(N) -> F([N | N]) end, catch F(1). 1.",
    "[{X, Y} || X <- [1, 2, 3], Y <- \"abc\", X rem 2 =:= 1, Y =/= $b].",
    "<<A:8/little-signed, B:4, C/bitstring>> = <<200, 16#ab, \"xyz\"/utf16>>, {A, B, C}.",
    "case {ok, [1, 2 | 3]} of {ok, [H | T]} when H > 0; T =:= [] -> #{h => H, t => T}; _ -> no end.",
    "try hd([]) of X -> X catch error:R:S when R =:= badarg -> {R, S}; throw:_ -> t after ok end.",
    "self() ! {msg, 1}, receive {msg, N} when N > 1 -> N; M -> M after 100 -> none end.",
    "M = #{a => 1, \"k\" => #{}}, M2 = M#{a := 2, c => 3}, #{a := V} = M2, V.",
    "F = fun(G) -> G(G) end, F(F).",
    "X = 1 bsl 1000, Y = X * X div 3, -Y band 16#ffff bxor (bnot Y bsr 3).",
    "<< <<(X + 1):4>> || <<X:4>> <= <<\"hello\">>, X /= 6 >>.",
    "#{K => V || K := V <- #{1 => a, 2.0 => b}, K > 1}.",
    "catch (fun(A, A) -> same end)(1, 1.0), begin B = 1, B end, if B > 1 -> x; true -> y end.",
    "lists:map(fun(F) -> F(2) end, [fun(X) -> X * X end, fun hd/1]), v(-1), b(), f().",
    "\"pre\" ++ Rest = \"prefix\", [C || C <- Rest, C =/= $i] ++ (\"abc\" -- \"b\").",
    "D = fun D(0, T) -> T; D(N, T) -> D(N - 1, {T, T}) end, D(900, x) =:= D(900, x).",
];

/// Runs on a stack of the size that an evaluation has.
fn aside(run: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(STACK);
    let ended = thread.spawn(run).unwrap().join();
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

fn survives(text: &str) {
    lex::is_complete(text);
    let mut shell = Shell::default();
    let shown = shell.shows_within(text, LIMITS);
    assert!(shown.len() < 400_000, "{} bytes for {text}", shown.len());
}

fn holds_for(strategy: impl Strategy<Value = String> + Send + 'static) {
    aside(move || {
        let config = Config {
            cases: 400,
            failure_persistence: None,
            ..Config::default()
        };
        let mut runner = TestRunner::new(config);
        let run = runner.run(&strategy, |text| {
            survives(&text);
            Ok(())
        });
        run.unwrap();
    });
}

#[test]
fn any_text_is_refused_or_evaluated() {
    holds_for("(?s).{0,200}");
}

#[test]
fn any_text_of_punctuation_is_refused_or_evaluated() {
    holds_for("[-a-cX-Z0-9 .,;:(){}<>|#$'\"\\\\/=+*!?%\n_]{0,120}");
}

#[test]
fn any_sequence_of_words_is_refused_or_evaluated() {
    let words = prop::collection::vec(prop::sample::select(&WORDS[..]), 0..60);
    holds_for(words.prop_map(|words| format!("{}.", words.join(" "))));
}

#[test]
fn a_program_that_was_damaged_is_refused_or_evaluated() {
    let program = prop::sample::select(&PROGRAMS[..]);
    let edit = (
        any::<prop::sample::Index>(),
        0..3usize,
        prop::sample::select(&WORDS[..]),
    );
    let edits = prop::collection::vec(edit, 0..6);
    holds_for((program, edits).prop_map(|(program, edits)| {
        let mut chars: Vec<char> = program.chars().collect();
        for (place, removed, word) in edits {
            let place = place.index(chars.len() + 1);
            let end = (place + removed).min(chars.len());
            chars.splice(place..end, word.chars());
        }
        chars.into_iter().collect()
    }));
}

#[test]
fn every_program_here_is_one() {
    aside(|| {
        for program in PROGRAMS {
            let shown = Shell::default().shows_within(program, LIMITS);
            assert!(!shown.starts_with("* 1:"), "{program}: {shown}");
        }
    });
}

#[test]
fn deep_nesting_is_refused_without_a_deep_stack() {
    aside(|| {
        for part in [
            "(",
            "[",
            "{",
            "<<",
            "#{a=>",
            "not ",
            "- ",
            "catch ",
            "a=",
            "A=",
            "1+",
            "1++",
            "1 < ",
            "f(",
            "F(",
            "fun()->",
            "begin ",
            "case a of a -> ",
            "try ",
            "if true->",
            "receive a -> ",
            "[X||X<-",
            "a:b(",
            "x!",
            "true andalso ",
            "fun F(X) -> ",
            "<<1:(",
            "[a|",
            "fun({",
            "\"a\" ++ ",
        ] {
            survives(&part.repeat(60_000));
            survives(&format!("{}1.", part.repeat(60_000)));
            survives(&format!("{}1.", part.repeat(240)));
        }
        survives(&format!("a{}.", "#{}".repeat(60_000)));
        survives(&format!("1{}.", "+1".repeat(60_000)));
        survives(&format!("1{}.", ",1".repeat(60_000)));
        survives(&format!("[X || {}X <- []].", "X <- [1],".repeat(60_000)));
        survives(&"1. ".repeat(20_000));
    });
}

#[test]
fn the_deepest_recursion_that_is_allowed_fits_the_stack() {
    aside(|| {
        for body in [
            "1 + F(N)",
            "{F(N)}",
            "[F(N) | F(N)]",
            "#{a => F(N)}",
            "<<(F(N)):8>>",
            "try F(N) after ok end",
            "try F(N) of X -> X catch throw:_ -> t end",
            "catch F(N)",
            "case F(N) of X -> X end",
            "[F(N) || _ <- [1], true]",
            "<< <<(F(N))>> || <<_>> <= <<1>> >>",
            "#{a => F(N) || _ := _ <- #{a => 1}}",
            "lists:map(F, [N])",
            "twice(F, N)",
            "begin (fun(X) -> 1 + F(X) end)(N) end",
            "if N > 0 -> receive after 0 -> not F(N) end end",
            "(F(N))(F(N))",
            "F(N) ! F(N)",
            "X = F(N), X",
            "[[[[[[[[{{{{F(N)}}}}]]]]]]]]",
        ] {
            let text = format!("R = fun F(N) -> {body} end, catch R(1).");
            let limits = Limits {
                steps: 1_000_000,
                ..LIMITS
            };
            let shown = Shell::default().shows_within(&text, limits);
            assert!(!shown.starts_with("* 1:"), "{body}: {shown}");
        }
    });
}
