//! The language of the operator's shell: Erlang expressions, evaluated. Pure: no clock, no IO, no randomness.

pub mod ast;
pub mod chardata;
pub mod check;
pub mod error;
pub mod eval;
pub mod format;
pub mod function;
pub mod lex;
pub mod lib;
pub mod number;
pub mod order;
pub mod parse;
pub mod print;
pub mod session;
pub mod term;
pub mod weight;

#[cfg(test)]
mod testing;
