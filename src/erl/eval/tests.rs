use super::*;
use crate::erl::testing::{LIMITS, Shell, each_shows, shows};

#[test]
fn a_match_is_exact_and_binds_what_is_new() {
    each_shows(&[
        (
            "1 = 1.0.",
            "** exception error: no match of right hand side value 1.0",
        ),
        (
            "{A, [B | C], \"x\" ++ D} = {1, [2, 3], \"xyz\"}, {A, B, C, D}.",
            "{1,2,[3],\"yz\"}",
        ),
        (
            "{P, P} = {1, 2}.",
            "** exception error: no match of right hand side value {1,2}",
        ),
        ("#{a := {X, _}} = #{a => {1, 2}, b => 3}, X.", "1"),
        ("K = a, #{K := V} = #{a => 1}, V.", "1"),
        ("A = {B, _} = {1, 2}, {A, B}.", "{{1,2},1}"),
        ("X = 5, case 5 of X -> same; _ -> other end.", "same"),
        ("X = 5, fun(X) -> X end(7).", "7"),
        ("X = 5, [X || X <- [1, 2]].", "[1,2]"),
        ("X = 5, {fun() -> X end(), [X + Y || Y <- [1]]}.", "{5,[6]}"),
        ("fun(A, A) -> same; (_, _) -> other end(1, 2).", "other"),
        ("case 3 of 1 + 2 -> yes end.", "yes"),
    ]);
}

#[test]
fn variables_are_unbound_or_unsafe_before_anything_is_evaluated() {
    let first = |text: &str| shows(text).lines().next().unwrap_or_default().to_string();
    assert_eq!(first("{Y = 1, Y}."), "* 1:9: variable 'Y' is unbound");
    assert_eq!(
        first("begin case a of a -> Y = 1; _ -> b end, Y end."),
        "* 1:41: variable 'Y' unsafe in 'case' (line 1, column 7)"
    );
    assert_eq!(
        first("begin case a of a -> Y = 1; _ -> Y = 2 end, Y end."),
        "1"
    );
    assert_eq!(first("case a of a -> Y = 1; _ -> b end, Y."), "1");
    assert_eq!(
        first("begin catch Z = 1, Z end."),
        "* 1:20: variable 'Z' unsafe in 'catch' (line 1, column 7)"
    );
    assert_eq!(
        first("fun(A) when foo(A) -> 1 end."),
        "* 1:13: illegal guard expression"
    );
    assert_eq!(first("f(A) = 1."), "* 1:1: illegal pattern");
    assert_eq!(first("lists:map."), "* 1:1: illegal expression");
    assert_eq!(
        first("#{a := 1}."),
        "* 1:5: only association operators '=>' are allowed in map construction"
    );
}

#[test]
fn clauses_are_tried_in_order_and_errors_in_guards_are_false() {
    each_shows(&[
        (
            "case 5 of N when N < 3 -> low; N when N > 3 -> high end.",
            "high",
        ),
        ("case a of N when N + 1 > 0 -> x; _ -> y end.", "y"),
        ("if 1 == 1, 2 == 3; true -> yes end.", "yes"),
        (
            "if false -> 1 end.",
            "** exception error: no true branch found when evaluating an if expression",
        ),
        (
            "case 1 of 2 -> ok end.",
            "** exception error: no case clause matching 1",
        ),
        ("case x of A when is_atom(A), A =/= y -> A end.", "x"),
        ("false andalso foo:bar().", "false"),
        ("true orelse foo:bar().", "true"),
        ("true andalso 5.", "5"),
        ("1 andalso true.", "** exception error: bad argument: 1"),
    ]);
}

#[test]
fn what_is_raised_is_caught_by_its_class() {
    each_shows(&[
        ("catch throw(x).", "x"),
        ("catch exit(x).", "{'EXIT',x}"),
        (
            "catch 1 / 0.",
            "{'EXIT',{badarith,[{erlang,'/',[1,0],[]}]}}",
        ),
        ("try throw(1) catch X -> {caught, X} end.", "{caught,1}"),
        ("try error(x) catch error:R:S -> {R, S} end.", "{x,[]}"),
        ("try exit(x) catch C:R -> {C, R} end.", "{exit,x}"),
        (
            "try error(x) catch throw:_ -> no end.",
            "** exception error: x",
        ),
        (
            "try 1 of 1 -> one after echo ! done end, receive M -> M end.",
            "done",
        ),
        (
            "try 1 of 2 -> ok catch _:_ -> x end.",
            "** exception error: no try clause matching 1",
        ),
        (
            "try error(a) catch error:a -> error(b) after ok end.",
            "** exception error: b",
        ),
        ("try error(a) after error(b) end.", "** exception error: b"),
    ]);
}

#[test]
fn funs_close_over_their_variables_and_may_name_themselves() {
    each_shows(&[
        (
            "F = fun Fac(0) -> 1; Fac(N) -> N * Fac(N - 1) end, F(20).",
            "2432902008176640000",
        ),
        ("Add = fun(A) -> fun(B) -> A + B end end, (Add(1))(2).", "3"),
        (
            "F = fun lists:map/2, F(fun(X) -> X * X end, [1, 2, 3]).",
            "[1,4,9]",
        ),
        ("M = lists, N = map, M:N(fun(X) -> -X end, [1]).", "[-1]"),
        ("apply(lists, map, [fun(X) -> X end, [a]]).", "[a]"),
        ("apply(fun(A, B) -> A - B end, [3, 1]).", "2"),
        ("twice(fun(X) -> X * 2 end, 5).", "20"),
        ("host:name().", "test"),
        (
            "host:fail(1).",
            "** exception error: bad argument\n     in function  host:fail/1\n        called as host:fail(1)",
        ),
        (
            "twice(fun(1) -> 2 = 1 end, 1).",
            "** exception error: no match of right hand side value 1",
        ),
        ("F = fun hd/1, F([1]).", "1"),
        (
            "fun(X) -> X end(1, 2).",
            "** exception error: interpreted function with arity 1 called with two arguments",
        ),
        ("1(2).", "** exception error: bad function 1"),
        (
            "foo(1).",
            "** exception error: undefined shell command foo/1",
        ),
        (
            "foo:bar(1).",
            "** exception error: undefined function foo:bar/1",
        ),
        (
            "hd([]).",
            "** exception error: bad argument\n     in function  hd/1\n        called as hd([])\n        \
             *** argument 1: not a nonempty list",
        ),
        (
            "lists:map(fun(X) -> 1 + X end, [a]).",
            "** exception error: an error occurred when evaluating an arithmetic expression\n     \
             in operator  +/2\n        called as 1 + a",
        ),
        (
            "lists:map(fun(_) -> error(mine) end, [a]).",
            "** exception error: mine",
        ),
        (
            "lists:map(1, 2).",
            "** exception error: no function clause matching lists:map(1,2)",
        ),
    ]);
}

#[test]
fn maps_are_built_and_updated() {
    each_shows(&[
        ("#{b => 1, a => 2}.", "#{a => 2,b => 1}"),
        ("#{a => 1, a => 2}.", "#{a => 2}"),
        ("(#{a => 1})#{a := 2}#{b => 3}.", "#{a => 2,b => 3}"),
        ("#{1 => a, 1.0 => b}.", "#{1 => a,1.0 => b}"),
        (
            "a#{b => 2}.",
            "** exception error: bad map: a\n     in function  maps:put/3\n        called as maps:put(k,v,a)\n        \
             *** argument 3: not a map",
        ),
    ]);
    let shown = shows("#{a => 1}#{b := 2}.");
    assert!(
        shown.starts_with("** exception error: bad key: b\n     in function  maps:update/3"),
        "{shown}"
    );
}

#[test]
fn comprehensions_generate_filter_and_shadow() {
    each_shows(&[
        (
            "[X + Y || X <- [1, 2], Y <- [10, 20], X + Y > 11].",
            "[21,12,22]",
        ),
        ("[X || {ok, X} <- [{ok, 1}, no, {ok, 2}]].", "[1,2]"),
        ("<< <<X:4>> || X <- [1, 2, 3] >>.", "<<18,3:4>>"),
        ("[X || <<X:4>> <= <<1, 2>>].", "[0,1,0,2]"),
        ("[X || <<X, 1>> <= <<5, 1, 6, 2, 7, 1, 8>>].", "[5,7]"),
        (
            "#{K => V + 1 || K := V <- #{a => 1, b => 2}}.",
            "#{a => 2,b => 3}",
        ),
        ("[X || X <- [1, a, 2], X + 1 > 0].", "[1,2]"),
        ("[X || X <- [1], foo].", "[]"),
        (
            "[X || X <- [1], hd([foo]) =:= foo, twice(fun(_) -> 7 end, 0)].",
            "** exception error: bad filter 7",
        ),
        ("[X || X <- a].", "** exception error: bad generator a"),
        (
            "[X || X <- [1 | b]].",
            "** exception error: bad generator b",
        ),
    ]);
}

#[test]
fn bits_are_built_and_matched_as_in_erlang() {
    each_shows(&[
        ("<<1:8, \"abc\"/utf8>>.", "<<1,97,98,99>>"),
        ("<<\"abc\"/utf16>>.", "<<0,97,0,98,0,99>>"),
        ("<<\"ab\":16>>.", "<<0,97,0,98>>"),
        ("<<16#1234:12/little>>.", "<<52,2:4>>"),
        ("<<16#1234:12>>.", "<<35,4:4>>"),
        ("<<A:12/little>> = <<52, 2:4>>, A.", "564"),
        (
            "<<-1:16/little>>, <<X:4/signed, _/bitstring>> = <<16#f0>>, X.",
            "-1",
        ),
        ("<<3.14/float>>.", "<<64,9,30,184,81,235,133,31>>"),
        ("<<1.5:16/float>>.", "<<62,0>>"),
        ("<<F:16/float>> = <<62, 0>>, F.", "1.5"),
        ("<<F:32/float-little>> = <<0.5:32/float-little>>, F.", "0.5"),
        (
            "<<Len, Str:Len/binary, Rest/binary>> = <<2, \"hello\">>, {Len, Str, Rest}.",
            "{2,<<\"he\">>,<<\"llo\">>}",
        ),
        ("<<U/utf8>> = <<228/utf8>>, U.", "228"),
        ("<<U/utf16>> = <<128512/utf16>>, U.", "128512"),
        ("<<1:3, 2:5>>.", "<<\"\\\"\">>"),
        (
            "<<X:9>> = <<5>>.",
            "** exception error: no match of right hand side value <<5>>",
        ),
        ("<<B/bitstring>> = <<5:3>>, B.", "<<5:3>>"),
        (
            "<<_:3, B:2/binary-unit:4, C/bits>> = <<1:3, 255, 2:5>>, {B, C}.",
            "{<<\"ÿ\">>,<<2:5>>}",
        ),
        ("<<X:80/signed>> = <<-5:80>>, X.", "-5"),
        ("<<X:72>> = <<1:72>>, X.", "1"),
        ("<<(1 bsl 70):80>>.", "<<0,64,0,0,0,0,0,0,0,0>>"),
        (
            "<<1, a>>.",
            "** exception error: construction of binary failed\n        *** segment 2 of type 'integer': expected an integer but got: a",
        ),
        ("catch <<a>>.", "{'EXIT',{badarg,[]}}"),
        ("<<\"a\", _/binary>> = <<\"abc\">>.", "<<\"abc\">>"),
        ("catch <<1.0e10:16/float>>.", "{'EXIT',{badarg,[]}}"),
        (
            "<<1:10000000000>>.",
            "** exception error: a system limit has been reached",
        ),
    ]);
}

#[test]
fn every_half_precision_float_goes_there_and_back() {
    let text = "[N || N <- [0, 1, 2, 1023, 1024, 1025, 15360, 31743, 32769, 64511], \
                begin <<F:16/float>> = <<N:16>>, <<M:16>> = <<F:16/float>>, M =/= N end].";
    assert_eq!(shows(text), "[]");
    assert_eq!(
        shows("{catch <<65520:16/float>>}."),
        "{{'EXIT',{badarg,[]}}}"
    );
    assert_eq!(shows("<<N:16>> = <<65519:16/float>>, N."), "31743");
}

#[test]
fn receive_takes_the_first_that_matches_and_leaves_the_others() {
    let mut shell = Shell::default();
    assert_eq!(shell.shows("self() ! 1, self() ! a, self() ! 2."), "2");
    assert_eq!(shell.shows("receive A when is_atom(A) -> A end."), "a");
    assert_eq!(
        shell.shows("receive none -> x after 10 -> nothing end."),
        "nothing"
    );
    assert_eq!(shell.shows("[receive N -> N end || _ <- [a, b]]."), "[1,2]");
    assert_eq!(
        shell.shows("receive X -> X end."),
        "* nothing will ever come"
    );
    assert_eq!(
        shell.shows("receive after foo -> 1 end."),
        "** exception error: bad receive timeout value"
    );
    let refused = shell.shows("nobody ! 1.");
    assert!(
        refused.ends_with("in operator  !/2\n        called as nobody ! 1"),
        "{refused}"
    );
}

#[test]
fn a_tail_call_needs_no_stack_and_ends_with_the_budget() {
    let limits = Limits {
        steps: 1_000_000,
        ..LIMITS
    };
    for body in [
        "F(N)",
        "case N of _ -> F(N) end",
        "if true -> F(N) end",
        "begin ok, F(N) end",
        "receive after 0 -> F(N) end",
        "true andalso F(N)",
        "apply(F, [N])",
    ] {
        let text = format!("L = fun F(N) -> {body} end, catch L(1).");
        let mut shell = Shell::default();
        assert_eq!(
            shell.shows_within(&text, limits),
            "* stopped after 1000000 steps",
            "for {body}"
        );
    }
}

#[test]
fn other_recursion_meets_a_limit_that_can_be_caught() {
    each_shows(&[
        (
            "F = fun F(0) -> 0; F(N) -> 1 + F(N - 1) end, F(100).",
            "100",
        ),
        (
            "F = fun F(N) -> 1 + F(N) end, catch F(1).",
            "{'EXIT',{system_limit,[]}}",
        ),
        (
            "F = fun F(N) -> lists:map(F, [N]) end, F(1).",
            "** exception error: a system limit has been reached",
        ),
        (
            "F = fun F(N) -> F({N}) end, F(1).",
            "** exception error: a system limit has been reached",
        ),
        (
            "F = fun F(N) -> F(fun() -> N end) end, F(1).",
            "** exception error: a system limit has been reached",
        ),
    ]);
}

#[test]
fn budgets_and_the_host_end_what_cannot_be_caught() {
    each_shows(&[
        (
            "F = fun F(L) -> F(L ++ [1, 2, 3]) end, catch F([]).",
            "* stopped: more than 2000000 elements were built or read",
        ),
        (
            "1 bsl 100000000000000.",
            "** exception error: a system limit has been reached\n     in operator  bsl/2\n        \
             called as 1 bsl 100000000000000",
        ),
    ]);
    let mut shell = Shell::default();
    shell.host.patience.set(Some(3));
    let text = "F = fun F() -> try F() catch _:_ -> F() after F() end end, F().";
    assert_eq!(shell.shows(text), "* stopped by the operator");
}
