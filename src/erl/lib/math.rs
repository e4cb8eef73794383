//! `math`. What has no value, or is too large for a float, is `badarith`; what is no number is `badarg`.

use crate::erl::function::{Native, Raised};
use crate::erl::number;
use crate::erl::term::Term;

use super::args::Value;
use super::native;

macro_rules! of_one {
    ($name:literal, $doc:literal, $call:expr) => {
        native(
            "math",
            $name,
            1,
            concat!("math:", $name, "(X)"),
            $doc,
            |_, a| of_one(&a[0], $call),
        )
    };
}

macro_rules! of_two {
    ($name:literal, $doc:literal, $call:expr) => {
        native(
            "math",
            $name,
            2,
            concat!("math:", $name, "(X, Y)"),
            $doc,
            |_, a| of_two(a, $call),
        )
    };
}

/// Most of `math`.
pub(super) static TABLE: &[Native] = &[
    of_one!("acos", "The arc cosine.", f64::acos),
    of_one!("acosh", "The inverse hyperbolic cosine.", f64::acosh),
    of_one!("asin", "The arc sine.", f64::asin),
    of_one!("asinh", "The inverse hyperbolic sine.", f64::asinh),
    of_one!("atan", "The arc tangent.", f64::atan),
    of_two!(
        "atan2",
        "The angle of a point: X is its height.",
        f64::atan2
    ),
    of_one!("atanh", "The inverse hyperbolic tangent.", f64::atanh),
    of_one!(
        "ceil",
        "The smallest whole number, a float, that is not less.",
        f64::ceil
    ),
    of_one!("cos", "The cosine.", f64::cos),
    of_one!("cosh", "The hyperbolic cosine.", f64::cosh),
    of_one!("exp", "e to the power of X.", f64::exp),
    of_one!(
        "floor",
        "The largest whole number, a float, that is not greater.",
        f64::floor
    ),
    of_two!(
        "fmod",
        "What is left of X when it is divided by Y.",
        |x, y| x % y
    ),
    of_one!("log", "The natural logarithm.", f64::ln),
    of_one!("log10", "The logarithm to base 10.", f64::log10),
    of_one!("log2", "The logarithm to base 2.", f64::log2),
    native(
        "math",
        "pi",
        0,
        "math:pi()",
        "3.141592653589793.",
        |_, _| Ok(Term::Float(std::f64::consts::PI)),
    ),
    of_two!("pow", "X to the power of Y.", f64::powf),
    of_one!("sin", "The sine.", f64::sin),
    of_one!("sinh", "The hyperbolic sine.", f64::sinh),
    of_one!("sqrt", "The square root.", f64::sqrt),
    of_one!("tan", "The tangent.", f64::tan),
    of_one!("tanh", "The hyperbolic tangent.", f64::tanh),
];

fn of_one(x: &Term, call: fn(f64) -> f64) -> Value {
    number::finite(call(float(x)?))
}

fn of_two(args: &[Term], call: fn(f64, f64) -> f64) -> Value {
    number::finite(call(float(&args[0])?, float(&args[1])?))
}

fn float(value: &Term) -> Result<f64, Raised> {
    number::to_float(value).ok_or_else(|| match number::is_number(value) {
        true => number::badarith(),
        false => Raised::badarg(),
    })
}
