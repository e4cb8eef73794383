//! `erlang`: operators as functions.

use crate::erl::function::Native;
use crate::erl::number::{self, Op};

use super::native;

macro_rules! operator {
    ($name:literal, $op:ident, $doc:literal) => {
        native(
            "erlang",
            $name,
            2,
            concat!("erlang:'", $name, "'(A, B)"),
            $doc,
            |m, a| number::binary(Op::$op, &a[0], &a[1], m),
        )
    };
    ($name:literal, $doc:literal) => {
        native(
            "erlang",
            $name,
            1,
            concat!("erlang:'", $name, "'(A)"),
            $doc,
            |m, a| number::unary($name, &a[0], m),
        )
    };
}

/// The operators, and two old names of them.
pub(super) static TABLE: &[Native] = &[
    operator!("*", Multiply, "A * B."),
    operator!("+", "+A."),
    operator!("+", Add, "A + B."),
    operator!("++", Append, "Joins two lists."),
    operator!("-", "-A."),
    operator!("-", Subtract, "A - B."),
    operator!(
        "--",
        Without,
        "Removes from A the first occurrence of each element of B."
    ),
    operator!("/", Divide, "A / B, a float."),
    operator!("/=", NotEqual, "Whether A and B differ; 1 and 1.0 do not."),
    operator!("<", Less, "Whether A comes before B."),
    operator!("=/=", NotExactly, "Whether A and B are not the same."),
    operator!(
        "=:=",
        Exactly,
        "Whether A and B are the same; 1 and 1.0 are not."
    ),
    operator!("=<", AtMost, "Whether A does not come behind B."),
    operator!("==", Equal, "Whether A and B are equal; 1 and 1.0 are."),
    operator!(">", Greater, "Whether A comes behind B."),
    operator!(">=", AtLeast, "Whether A does not come before B."),
    operator!("and", And, "Whether both are true."),
    native(
        "erlang",
        "append",
        2,
        "erlang:append(List, Tail)",
        "List ++ Tail.",
        |m, a| number::binary(Op::Append, &a[0], &a[1], m),
    ),
    operator!("band", Band, "Bitwise and."),
    operator!("bnot", "Bitwise not."),
    operator!("bor", Bor, "Bitwise or."),
    operator!("bsl", Bsl, "A shifted left by B bits."),
    operator!("bsr", Bsr, "A shifted right by B bits."),
    operator!("bxor", Bxor, "Bitwise exclusive or."),
    operator!("div", Div, "The quotient of two integers."),
    operator!("not", "Whether it is false."),
    operator!("or", Or, "Whether one of them is true."),
    operator!("rem", Rem, "What is left of A when it is divided by B."),
    native(
        "erlang",
        "subtract",
        2,
        "erlang:subtract(List1, List2)",
        "List1 -- List2.",
        |m, a| number::binary(Op::Without, &a[0], &a[1], m),
    ),
    operator!("xor", Xor, "Whether exactly one of them is true."),
];
