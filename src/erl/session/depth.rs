//! Texts nested deeply and recursion without end: each is evaluated or refused on the stack that an evaluation has.

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
            survives(&format!("{}1.", part.repeat(60_000)));
            survives(&format!("{}1.", part.repeat(240)));
        }
        survives(&format!("a{}.", "#{}".repeat(60_000)));
        survives(&format!("1{}.", "+1".repeat(60_000)));
        survives(&format!("1{}.", ",1".repeat(60_000)));
        survives(&format!("[X || {}X <- []].", "X <- [1],".repeat(60_000)));
        survives(&"1. ".repeat(5000));
        survives(&"(".repeat(60_000));
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
