//! Tokens into expressions, by precedence climbing over the grammar of Erlang.
//!
//! No token is taken that could not stand there, so the token of a syntax error is the one that Erlang's own parser names.
//! How deep it recurses and how deep the expressions become has a bound.

mod bits;
mod clause;
mod collection;

use std::sync::Arc;

use num_bigint::BigInt;

use super::ast::{Callee, Expr, Kind, NESTING_MAX};
use super::lex::{self, Token};
use super::number::Op;
use super::term::{Atom, Term};

/// A sentence that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// Where, in bytes of the text.
    pub at: usize,
    /// A clause, without a dot.
    pub message: String,
}

/// Reads one sentence: expressions separated by commas, ended by a dot.
pub fn parse(tokens: &[Token]) -> Result<Vec<Expr>, SyntaxError> {
    let mut parser = Parser {
        tokens,
        next: 0,
        nesting: 0,
        in_pattern: false,
        wrong: None,
    };
    let exprs = parser.exprs()?;
    match parser.peek() {
        lex::Kind::Dot => parser.wrong.map_or(Ok(exprs), Err),
        lex::Kind::End => Err(parser.error("the expression does not end with a dot")),
        lex::Kind::Sign(";") => Err(parser.second_clause()),
        _ => Err(parser.unexpected()),
    }
}

impl From<lex::LexError> for SyntaxError {
    fn from(error: lex::LexError) -> SyntaxError {
        let lex::LexError { at, message, .. } = error;
        SyntaxError { at, message }
    }
}

/// How a binary operator binds: the least level its right side may have, and whether it may stand beside its like.
struct Binding {
    level: u16,
    right: u16,
    beside: bool,
}

const PREFIX: u16 = 600;

fn binding(sign: &str) -> Option<Binding> {
    let (level, right) = match sign {
        "=" | "!" => (100, 100),
        "orelse" => (150, 150),
        "andalso" => (160, 160),
        "==" | "/=" | "=<" | "<" | ">=" | ">" | "=:=" | "=/=" => (200, 201),
        "++" | "--" => (300, 300),
        "+" | "-" | "bor" | "bxor" | "bsl" | "bsr" | "or" | "xor" => (400, 401),
        "/" | "*" | "div" | "rem" | "band" | "and" => (500, 501),
        _ => return None,
    };
    Some(Binding {
        level,
        right,
        beside: level != 200,
    })
}

struct Parser<'a> {
    tokens: &'a [Token],
    next: usize,
    nesting: u16,
    /// The heads of funs and of `catch` clauses take patterns, and the grammar has a narrower rule for these.
    in_pattern: bool,
    /// What is wrong beyond the grammar, which is told only if the grammar has nothing to say.
    wrong: Option<SyntaxError>,
}

impl Parser<'_> {
    fn peek(&self) -> &lex::Kind {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> &lex::Kind {
        let token = self.tokens.get(self.next + ahead);
        token.map_or(&lex::Kind::End, |token| &token.kind)
    }

    fn at(&self) -> usize {
        let token = self.tokens.get(self.next).or(self.tokens.last());
        token.map_or(0, |token| token.at)
    }

    fn sees(&self, sign: &str) -> bool {
        matches!(self.peek(), lex::Kind::Sign(seen) if *seen == sign)
    }

    fn takes(&mut self, sign: &str) -> bool {
        let seen = self.sees(sign);
        self.next += usize::from(seen);
        seen
    }

    fn expect(&mut self, sign: &str) -> Result<(), SyntaxError> {
        if self.takes(sign) {
            return Ok(());
        }
        Err(self.unexpected())
    }

    /// To Erlang's parser a sentence is the body of a function, so that a semicolon begins another clause of it.
    fn second_clause(&mut self) -> SyntaxError {
        self.next += 1;
        if !matches!(self.peek(), lex::Kind::Atom(_)) {
            return self.unexpected();
        }
        self.next += 1;
        match self.arguments() {
            Ok(_) => self.unexpected(),
            Err(wrong) => wrong,
        }
    }

    fn unexpected(&self) -> SyntaxError {
        match self.peek() {
            lex::Kind::End => self.error("the expression is not finished"),
            kind => self.error(&format!("syntax error before: {}", kind.shown())),
        }
    }

    fn error(&self, message: &str) -> SyntaxError {
        SyntaxError {
            at: self.at(),
            message: message.to_string(),
        }
    }

    fn node(&self, at: usize, kind: Kind) -> Result<Expr, SyntaxError> {
        let mut expr = Expr { at, depth: 0, kind };
        let mut depth = 0;
        expr.each(&mut |inner| depth = depth.max(inner.depth + 1));
        if depth > NESTING_MAX {
            return Err(too_deep(at));
        }
        expr.depth = depth;
        Ok(expr)
    }

    fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        if self.nesting >= NESTING_MAX {
            return Err(too_deep(self.at()));
        }
        self.nesting += 1;
        let read = read(self);
        self.nesting -= 1;
        read
    }

    /// Reads with the rule for patterns, or with the one for expressions.
    fn as_pattern<T>(
        &mut self,
        pattern: bool,
        read: impl FnOnce(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        let outer = std::mem::replace(&mut self.in_pattern, pattern);
        let read = read(self);
        self.in_pattern = outer;
        read
    }

    fn exprs(&mut self) -> Result<Vec<Expr>, SyntaxError> {
        let mut exprs = vec![self.expr()?];
        while self.takes(",") {
            exprs.push(self.expr()?);
        }
        Ok(exprs)
    }

    fn expr(&mut self) -> Result<Expr, SyntaxError> {
        self.nested(|parser| parser.climb(0))
    }

    /// An expression whose operators bind at least as tightly as `least`.
    fn climb(&mut self, least: u16) -> Result<Expr, SyntaxError> {
        let mut left = self.prefixed()?;
        let mut closed = None;
        loop {
            let &lex::Kind::Sign(sign) = self.peek() else {
                return Ok(left);
            };
            let Some(binding) = binding(sign) else {
                return Ok(left);
            };
            if binding.level < least {
                return Ok(left);
            }
            if closed == Some(binding.level) {
                return Err(self.unexpected());
            }
            let lazy = matches!(sign, "andalso" | "orelse");
            if self.in_pattern && (lazy || sign == "!") {
                return Ok(left);
            }
            let at = self.at();
            self.next += 1;
            let right = self.nested(|parser| parser.climb(binding.right))?;
            let (first, left_box, right) = (left.at, Box::new(left), Box::new(right));
            left = match sign {
                "=" => self.node(first, Kind::Match(left_box, right))?,
                "!" => self.node(at, Kind::Send(left_box, right))?,
                _ if lazy => self.node(at, Kind::Lazy(sign, left_box, right))?,
                _ => {
                    let op = Op::parse(sign).ok_or_else(|| self.unexpected())?;
                    self.node(at, Kind::Binary(op, left_box, right))?
                }
            };
            closed = (!binding.beside).then_some(binding.level);
        }
    }

    fn prefixed(&mut self) -> Result<Expr, SyntaxError> {
        let at = self.at();
        match *self.peek() {
            lex::Kind::Sign(sign @ ("+" | "-" | "bnot" | "not")) => {
                self.next += 1;
                let operand = self.nested(|parser| parser.climb(PREFIX))?;
                self.node(at, Kind::Unary(sign, Box::new(operand)))
            }
            lex::Kind::Sign("catch") if !self.in_pattern => {
                self.next += 1;
                let tried = self.expr()?;
                self.node(at, Kind::Catch(Box::new(tried)))
            }
            _ => self.applied(),
        }
    }

    /// A primary with what may follow it: arguments, `:name` or `#{…}`.
    fn applied(&mut self) -> Result<Expr, SyntaxError> {
        let at = self.at();
        if self.sees("#") {
            let map = self.map(None)?;
            return self.updated(map);
        }
        let first = self.primary()?;
        if self.sees("#") {
            return self.updated(first);
        }
        if self.in_pattern {
            return Ok(first);
        }
        if self.takes(":") {
            let name = Box::new(self.primary()?);
            let module = Box::new(first);
            if !self.sees("(") {
                return self.node(at, Kind::Remote(module, name));
            }
            let args = self.arguments()?;
            return self.node(at, Kind::Call(Callee::Remote(module, name), args));
        }
        if !self.sees("(") {
            return Ok(first);
        }
        let args = self.arguments()?;
        let callee = match first.kind {
            Kind::Value(Term::Atom(name)) => Callee::Local(name),
            _ => Callee::Value(Box::new(first)),
        };
        self.node(at, Kind::Call(callee, args))
    }

    fn updated(&mut self, mut base: Expr) -> Result<Expr, SyntaxError> {
        while self.sees("#") {
            base = self.map(Some(Box::new(base)))?;
        }
        Ok(base)
    }

    fn arguments(&mut self) -> Result<Vec<Expr>, SyntaxError> {
        self.expect("(")?;
        if self.takes(")") {
            return Ok(Vec::new());
        }
        let args = self.exprs()?;
        self.expect(")")?;
        Ok(args)
    }

    fn primary(&mut self) -> Result<Expr, SyntaxError> {
        let at = self.at();
        let kind = match self.peek().clone() {
            lex::Kind::Sign(sign) => return self.nested(|parser| parser.enclosed(at, sign)),
            lex::Kind::Atom(name) => Kind::Value(Term::Atom(name)),
            lex::Kind::Var(name) => Kind::Var(name),
            lex::Kind::Int(value) => Kind::Value(Term::big(value)),
            lex::Kind::Float(value) => Kind::Value(Term::Float(value)),
            lex::Kind::Char(c) => Kind::Value(Term::big(BigInt::from(u32::from(c)))),
            lex::Kind::Text(text) => return Ok(self.text(at, text)),
            lex::Kind::Dot | lex::Kind::End => return Err(self.unexpected()),
        };
        self.next += 1;
        self.node(at, kind)
    }

    /// Adjacent strings are one.
    fn text(&mut self, at: usize, mut text: String) -> Expr {
        self.next += 1;
        while let lex::Kind::Text(more) = self.peek() {
            text.push_str(more);
            self.next += 1;
        }
        let term = Term::string(&text);
        Expr {
            at,
            depth: 0,
            kind: Kind::Text(text, term),
        }
    }

    fn enclosed(&mut self, at: usize, sign: &str) -> Result<Expr, SyntaxError> {
        match sign {
            "(" => {
                self.next += 1;
                let inner = self.expr()?;
                self.expect(")")?;
                Ok(inner)
            }
            "{" => {
                self.next += 1;
                let items = self.as_pattern(false, |parser| parser.items("}"))?;
                self.node(at, Kind::Tuple(items))
            }
            "[" => self.as_pattern(false, Parser::list),
            "<<" => self.as_pattern(false, Parser::bits),
            _ if self.in_pattern => Err(self.unexpected()),
            "begin" => {
                self.next += 1;
                let body = self.exprs()?;
                self.expect("end")?;
                self.node(at, Kind::Block(body))
            }
            "case" => self.case(),
            "if" => self.branches(),
            "receive" => self.receive(),
            "try" => self.tried(),
            "fun" => self.fun(),
            _ => Err(self.unexpected()),
        }
    }

    fn lambda(&self, at: usize, lambda: super::ast::Lambda) -> Result<Expr, SyntaxError> {
        self.node(at, Kind::Fun(Arc::new(lambda)))
    }

    fn atom(&mut self) -> Result<Atom, SyntaxError> {
        match self.peek().clone() {
            lex::Kind::Atom(name) => {
                self.next += 1;
                Ok(name)
            }
            _ => Err(self.unexpected()),
        }
    }
}

fn too_deep(at: usize) -> SyntaxError {
    SyntaxError {
        at,
        message: format!("nested more than {NESTING_MAX} deep"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
