//! The library: functions that are written in Rust, module by module.

mod args;
mod base64;
mod binary;
mod calendar;
mod convert;
mod cut;
mod digits;
mod each;
mod entries;
mod erlang;
mod io;
mod io_lib;
mod keys;
mod kind;
mod lists;
mod maps;
mod math;
mod merge;
mod operator;
mod part;
mod phash;
mod proplists;
mod rfc3339;
mod string;
mod tuple;
mod unicode;
mod words;
mod zip;

use super::function::{Machine, Native, Raised};
use super::term::Term;

/// The tables, each ordered by name and arity, as `find` wants it. Tables of one module follow each other.
static TABLES: [&[Native]; 27] = [
    base64::TABLE,
    binary::TABLE,
    calendar::TABLE,
    rfc3339::TABLE,
    erlang::TABLE,
    convert::TABLE,
    digits::TABLE,
    kind::TABLE,
    operator::TABLE,
    tuple::TABLE,
    phash::TABLE,
    io::TABLE,
    io_lib::TABLE,
    lists::TABLE,
    part::TABLE,
    zip::TABLE,
    each::TABLE,
    keys::TABLE,
    merge::TABLE,
    maps::TABLE,
    entries::TABLE,
    math::TABLE,
    proplists::TABLE,
    string::TABLE,
    cut::TABLE,
    words::TABLE,
    unicode::TABLE,
];

/// Every function of the library, module by module.
pub fn all() -> impl Iterator<Item = &'static Native> {
    TABLES.iter().copied().flatten()
}

/// The function of this module, name and arity.
pub fn find(module: &str, name: &str, arity: usize) -> Option<&'static Native> {
    let tables = TABLES
        .iter()
        .filter(|table| table.first().is_some_and(|first| first.module == module));
    tables.copied().find_map(|table| {
        let index =
            table.binary_search_by(|native| (native.name, native.arity).cmp(&(name, arity)));
        index.ok().map(|index| &table[index])
    })
}

/// Whether the library has a module of this name.
pub fn has_module(module: &str) -> bool {
    all().any(|native| native.module == module)
}

type Call = fn(&mut dyn Machine, &[Term]) -> Result<Term, Raised>;

/// A row of a table.
const fn native(
    module: &'static str,
    name: &'static str,
    arity: usize,
    usage: &'static str,
    doc: &'static str,
    call: Call,
) -> Native {
    Native {
        module,
        name,
        arity,
        usage,
        doc,
        call,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests;
