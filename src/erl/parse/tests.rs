use super::*;

fn error(text: &str) -> String {
    let sentence = lex::sentence(text, 0).unwrap().unwrap();
    let error = parse(&sentence.tokens).unwrap_err();
    format!("{}: {}", error.at + 1, error.message)
}

fn parses(text: &str) -> bool {
    let sentence = lex::sentence(text, 0).unwrap().unwrap();
    parse(&sentence.tokens).is_ok()
}

/// Real `erl` names these tokens at these columns.
#[test]
fn an_error_names_the_token_that_erlang_names() {
    let cases = [
        ("A = 1 +.", "8: syntax error before: '.'"),
        ("(1.", "3: syntax error before: '.'"),
        ("1).", "2: syntax error before: ')'"),
        ("* .", "1: syntax error before: '*'"),
        ("1 < 2 < 3.", "7: syntax error before: '<'"),
        ("f(1)(2).", "5: syntax error before: '('"),
        ("A.b.", "2: syntax error before: '.'"),
        ("1 2.", "3: syntax error before: 2"),
        ("foo bar.", "5: syntax error before: bar"),
        ("1__0.", "2: syntax error before: __0"),
        ("$a$b.", "3: syntax error before: $b"),
        ("end.", "1: syntax error before: 'end'"),
        ("case 1 of 1 -> end.", "16: syntax error before: 'end'"),
        ("{1,2.", "5: syntax error before: '.'"),
        ("[1,2|3,4].", "7: syntax error before: ','"),
        ("#{a=>1, b}.", "10: syntax error before: '}'"),
        ("if true -> 1, end.", "15: syntax error before: 'end'"),
        ("<<1,2:>>.", "7: syntax error before: '>>'"),
        ("a:b:c.", "4: syntax error before: ':'"),
        ("a:b(1):c(2).", "7: syntax error before: ':'"),
        ("try 1 end.", "7: syntax error before: 'end'"),
        ("begin end.", "7: syntax error before: 'end'"),
        ("fun F(0) -> 0; G(N) -> 1 end.", "16: head mismatch"),
        ("fun(A) -> 1; (A,B) -> 2 end.", "14: head mismatch"),
        ("<<1:3/foo>>.", "3: bit type foo undefined"),
        (
            "<<1/utf8-integer>>.",
            "3: conflict in type specification for bit field: 'integer' and 'utf8'",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(error(text), message, "for {text}");
    }
}

#[test]
fn operators_bind_as_in_erlang() {
    let shape = |text: &str| {
        let sentence = lex::sentence(text, 0).unwrap().unwrap();
        shape(&parse(&sentence.tokens).unwrap()[0])
    };
    let cases = [
        ("1 + 2 * 3.", "(1 + (2 * 3))"),
        ("1 - 2 - 3.", "((1 - 2) - 3)"),
        ("a ++ b ++ c.", "(a ++ (b ++ c))"),
        ("- 1 + 2.", "((- 1) + 2)"),
        ("not a == b.", "((not a) == b)"),
        ("A = B = c ! d.", "(A = (B = (c ! d)))"),
        ("a orelse b andalso c.", "(a orelse (b andalso c))"),
        ("1 + catch 2 + 3.", "(1 + (catch (2 + 3)))"),
        ("1 bsl 2 band 3 == 4.", "((1 bsl (2 band 3)) == 4)"),
    ];
    for (text, wanted) in cases {
        assert_eq!(shape(text), wanted, "for {text}");
    }
}

#[test]
fn nesting_has_a_bound_and_breadth_has_none() {
    let deep = 60_000;
    let nested = [
        format!("{}1.", "(".repeat(deep)),
        format!("{}1.", "[".repeat(deep)),
        format!("{}1.", "{".repeat(deep)),
        format!("{}1.", "<<".repeat(deep)),
        format!("{}1.", "#{a=>".repeat(deep)),
        format!("{}1.", "not ".repeat(deep)),
        format!("{}1.", "- ".repeat(deep)),
        format!("{}1.", "catch ".repeat(deep)),
        format!("{}1.", "A = ".repeat(deep)),
        format!("{}1.", "1 + ".repeat(deep)),
        format!("{}1.", "1 ++ ".repeat(deep)),
        format!("{}1.", "a orelse ".repeat(deep)),
        format!("{}1.", "f(".repeat(deep)),
        format!("{}1.", "fun() -> ".repeat(deep)),
        format!("{}1.", "begin ".repeat(deep)),
        format!("{}1.", "case ".repeat(deep)),
        format!("{}1.", "try ".repeat(deep)),
        format!("{}1.", "if a -> ".repeat(deep)),
        format!("{}1.", "receive a -> ".repeat(deep)),
        format!("{}1.", "[X || X <- ".repeat(deep)),
        format!("a{}.", "#{}".repeat(deep)),
        format!("fun({} -> a end.", "(".repeat(deep)),
    ];
    for text in nested {
        let shown: String = text.chars().take(20).collect();
        assert!(error(&text).contains("nested more than"), "for {shown}");
    }
    assert!(parses(&format!("[{}1].", "1,".repeat(deep))));
    assert!(parses(&format!("{}1.", "1,".repeat(deep))));
    assert!(parses(&format!("[X || {}true].", "X <- [],".repeat(deep))));
}

fn shape(expr: &Expr) -> String {
    match &expr.kind {
        Kind::Value(term) => super::super::print::write(term),
        Kind::Var(name) => name.as_str().to_string(),
        Kind::Match(a, b) => format!("({} = {})", shape(a), shape(b)),
        Kind::Send(a, b) => format!("({} ! {})", shape(a), shape(b)),
        Kind::Binary(op, a, b) => format!("({} {} {})", shape(a), op.name(), shape(b)),
        Kind::Lazy(word, a, b) => format!("({} {word} {})", shape(a), shape(b)),
        Kind::Unary(sign, a) => format!("({sign} {})", shape(a)),
        Kind::Catch(a) => format!("(catch {})", shape(a)),
        other => format!("{other:?}"),
    }
}
