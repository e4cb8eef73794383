use proptest::prelude::*;

use super::*;
use crate::erl::order::tests::values;
use crate::erl::testing::evaluated;

/// Values and what `io_lib_pretty:print/2` of OTP 25 made of them, one a line: column, width, depth, characters of a line and
/// encoding; the value; and the text with its line ends escaped.
const GOLDEN: &str = include_str!("golden.txt");

fn style(options: &str) -> Style {
    let fields: Vec<&str> = options.split(' ').collect();
    let limit = |index: usize| fields[index].parse().ok();
    Style {
        depth: limit(2),
        line_max: limit(3),
        unicode: fields[4] == "unicode",
        ..Style::pretty(fields[0].parse().unwrap(), fields[1].parse().unwrap())
    }
}

#[test]
fn values_are_laid_out_as_otp_25_does() {
    let (mut wrong, mut lines) = (Vec::new(), 0);
    for line in GOLDEN.lines() {
        lines += 1;
        let fields: Vec<&str> = line.splitn(3, '\t').collect();
        let value = evaluated(fields[1]).unwrap();
        let got = styled(&value, style(fields[0]));
        let escaped = got.replace('\\', "\\\\").replace('\n', "\\n");
        if escaped != fields[2] {
            let expected = fields[2].replace("\\n", "\n");
            wrong.push(format!(
                "{}\n{}\nerl:\n{expected}\nown:\n{got}",
                fields[0], fields[1]
            ));
        }
    }
    wrong.sort_by_key(String::len);
    assert!(
        wrong.is_empty(),
        "{} of {lines} differ:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(8)].join("\n\n")
    );
}

proptest! {
    #[test]
    fn nothing_but_white_space_is_added_by_laying_out(value in values(), column in 0..90_usize, width in 0..100_usize) {
        let plain = |text: String| text.replace([' ', '\n'], "");
        let style = Style { strings: false, unicode: false, ..Style::pretty(column, width) };
        prop_assert_eq!(plain(styled(&value, style)), plain(write(&value)));
    }

    #[test]
    fn a_bound_holds_and_keeps_the_beginning(value in values(), column in 1..30_usize, bound in 3..300_usize) {
        let whole = pretty(&value, column, 80);
        let cut = pretty_within(&value, column, 80, bound);
        prop_assert!(cut.len() <= bound);
        if whole.len() <= bound {
            prop_assert_eq!(cut, whole);
        } else {
            prop_assert!(cut.contains("..."));
        }
        let shell = styled(&value, Style::shell(column));
        prop_assert!(!shell.is_empty());
    }
}

#[test]
fn no_more_is_built_than_the_bound_allows() {
    let nested = (0..500).fold(Term::Nil, |part, _| Term::tuple([part.clone(), part]));
    let shared = pretty_within(&nested, 1, 80, 100_000);
    assert!(shared.len() <= 100_000 && shared.ends_with("..."));
    let long = Term::list((0..1_000_000).map(Term::Int).collect::<Vec<_>>());
    let text = pretty_within(&long, 1, 80, 200);
    assert!(text.starts_with(
        "[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,\n 29,30"
    ));
    assert!(text.len() <= 200 && text.ends_with("..."));
    let binary = Term::binary(vec![b'a'; 1_000_000]);
    let text = pretty_within(&binary, 1, 80, 50);
    assert_eq!(text, format!("<<\"{}...", "a".repeat(44)));
    let digits = Term::big(num_bigint::BigInt::from(1) << 33_000_000_u32);
    assert_eq!(pretty_within(&digits, 1, 80, 1000), "...");
}

#[test]
fn indentation_does_not_fill_memory() {
    let lines = Term::list(vec![Term::tuple([Term::list([Term::Nil])]); 100_000]);
    let deep = (0..900).fold(lines, |part, _| Term::list([part]));
    let text = pretty(&deep, 1, 80);
    assert!(text.len() <= TEXT_MAX && text.ends_with("..."));
}

#[test]
fn the_deepest_values_are_shown_on_a_small_stack() {
    let deep = (0..999).fold(Term::Nil, |part, _| Term::tuple([Term::atom("a"), part]));
    assert!(pretty(&deep, 1, 80).len() > 4000);
}
