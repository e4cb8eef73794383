//! Random texts: characters, words, and programs with damage.

use proptest::prelude::*;

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
    "self() ! 1",
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

/// Words in any order.
pub fn words() -> impl Strategy<Value = String> {
    let words = prop::collection::vec(prop::sample::select(&WORDS[..]), 0..60);
    words.prop_map(|words| format!("{}.", words.join(" ")))
}

/// One of the programs, or of those given, with parts taken out and words put in.
pub fn damaged(mut programs: Vec<String>) -> impl Strategy<Value = String> {
    programs.extend(PROGRAMS.map(String::from));
    let edit = (
        any::<prop::sample::Index>(),
        0..4_usize,
        prop::sample::select(&WORDS[..]),
    );
    let edits = prop::collection::vec(edit, 0..5);
    (prop::sample::select(programs), edits).prop_map(|(program, edits)| {
        let mut chars: Vec<char> = program.chars().collect();
        for (place, removed, word) in edits {
            let place = place.index(chars.len() + 1);
            let end = (place + removed).min(chars.len());
            chars.splice(place..end, word.chars());
        }
        chars.into_iter().collect()
    })
}
