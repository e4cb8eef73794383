//! What consists of clauses: `case`, `if`, `receive`, `try` and funs.

use num_traits::ToPrimitive;

use super::{Parser, SyntaxError};
use crate::erl::ast::{After, Clause, Expr, Kind, Lambda, Try};
use crate::erl::lex;
use crate::erl::term::{Atom, Term};

type Clauses = Vec<Clause>;

impl Parser<'_> {
    pub(super) fn case(&mut self) -> Result<Expr, SyntaxError> {
        let at = self.at();
        self.expect("case")?;
        let of = Box::new(self.expr()?);
        self.expect("of")?;
        let clauses = self.clauses()?;
        self.expect("end")?;
        self.node(at, Kind::Case(of, clauses))
    }

    pub(super) fn branches(&mut self) -> Result<Expr, SyntaxError> {
        let at = self.at();
        self.expect("if")?;
        let mut clauses = Vec::new();
        loop {
            let at = self.at();
            let guard = self.alternatives()?;
            let body = self.body()?;
            clauses.push(Clause {
                at,
                patterns: Vec::new(),
                guard,
                body,
            });
            if !self.takes(";") {
                break;
            }
        }
        self.expect("end")?;
        self.node(at, Kind::If(clauses))
    }

    pub(super) fn receive(&mut self) -> Result<Expr, SyntaxError> {
        let at = self.at();
        self.expect("receive")?;
        let clauses = if self.sees("after") {
            Vec::new()
        } else {
            self.clauses()?
        };
        let after = if self.takes("after") {
            let time = self.expr()?;
            let body = self.body()?;
            Some(Box::new(After { time, body }))
        } else {
            None
        };
        self.expect("end")?;
        self.node(at, Kind::Receive(clauses, after))
    }

    pub(super) fn tried(&mut self) -> Result<Expr, SyntaxError> {
        let at = self.at();
        self.expect("try")?;
        let body = self.exprs()?;
        let of = if self.takes("of") {
            self.clauses()?
        } else {
            Vec::new()
        };
        let catch = if self.takes("catch") {
            self.separated(Parser::catching)?
        } else {
            Vec::new()
        };
        let after = if self.takes("after") {
            self.exprs()?
        } else {
            Vec::new()
        };
        if catch.is_empty() && after.is_empty() {
            return Err(self.unexpected());
        }
        self.expect("end")?;
        let tried = Try {
            body,
            of,
            catch,
            after,
        };
        self.node(at, Kind::Try(Box::new(tried)))
    }

    pub(super) fn fun(&mut self) -> Result<Expr, SyntaxError> {
        let at = self.at();
        self.expect("fun")?;
        match self.peek().clone() {
            lex::Kind::Atom(name) => {
                self.next += 1;
                if self.takes("/") {
                    let arity = self.arity()?;
                    return self.node(at, Kind::Local(name, arity));
                }
                self.external(at, Kind::Value(Term::Atom(name)))
            }
            lex::Kind::Var(name) if *self.peek_at(1) == lex::Kind::Sign("(") => {
                let mut mismatch = None;
                let clauses = self.separated(|parser| {
                    let at = parser.at();
                    let own = parser.named()?;
                    if own.0 != name && mismatch.is_none() {
                        mismatch = Some(at);
                    }
                    Ok(own.1)
                })?;
                if let Some(at) = mismatch.filter(|_| self.sees("end")) {
                    return Err(head_mismatch(at));
                }
                self.ended(at, Some(name), clauses)
            }
            lex::Kind::Var(name) => {
                self.next += 1;
                if self.sees(":") {
                    return self.external(at, Kind::Var(name));
                }
                Err(self.unexpected())
            }
            _ => {
                let clauses = self.separated(Parser::parameters)?;
                self.ended(at, None, clauses)
            }
        }
    }

    fn ended(
        &mut self,
        at: usize,
        name: Option<Atom>,
        clauses: Clauses,
    ) -> Result<Expr, SyntaxError> {
        self.expect("end")?;
        let arity = clauses.first().map_or(0, |clause| clause.patterns.len());
        let differs = |clause: &&Clause| clause.patterns.len() != arity;
        if let Some(clause) = clauses.iter().find(differs) {
            return Err(head_mismatch(clause.at));
        }
        let name = name.filter(|name| name.as_str() != "_");
        self.lambda(at, Lambda::new(name, clauses))
    }

    /// `fun m:f/1`, from the colon on.
    fn external(&mut self, at: usize, module: Kind) -> Result<Expr, SyntaxError> {
        let module = self.node(at, module)?;
        self.expect(":")?;
        let name = self.part(false)?;
        self.expect("/")?;
        let arity = self.part(true)?;
        self.node(at, Kind::External(Box::new([module, name, arity])))
    }

    fn part(&mut self, arity: bool) -> Result<Expr, SyntaxError> {
        let at = self.at();
        let kind = match self.peek().clone() {
            lex::Kind::Atom(name) if !arity => Kind::Value(Term::Atom(name)),
            lex::Kind::Int(value) if arity => Kind::Value(Term::big(value)),
            lex::Kind::Var(name) => Kind::Var(name),
            _ => return Err(self.unexpected()),
        };
        self.next += 1;
        self.node(at, kind)
    }

    fn arity(&mut self) -> Result<usize, SyntaxError> {
        let arity = match self.peek() {
            lex::Kind::Int(value) => value.to_usize().filter(|arity| *arity <= 255),
            _ => return Err(self.unexpected()),
        };
        let arity = arity.ok_or_else(|| self.error("a function has 255 parameters at most"))?;
        self.next += 1;
        Ok(arity)
    }

    fn separated(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<Clause, SyntaxError>,
    ) -> Result<Clauses, SyntaxError> {
        let mut clauses = vec![read(self)?];
        while self.takes(";") {
            clauses.push(read(self)?);
        }
        Ok(clauses)
    }

    /// The clauses of `case`, `receive` and `try … of`.
    fn clauses(&mut self) -> Result<Clauses, SyntaxError> {
        self.separated(|parser| {
            let at = parser.at();
            let pattern = parser.as_pattern(false, Parser::expr)?;
            parser.clause(at, vec![pattern])
        })
    }

    fn named(&mut self) -> Result<(Atom, Clause), SyntaxError> {
        let at = self.at();
        let lex::Kind::Var(name) = self.peek().clone() else {
            return Err(self.unexpected());
        };
        self.next += 1;
        let mut clause = self.parameters()?;
        clause.at = at;
        Ok((name, clause))
    }

    fn parameters(&mut self) -> Result<Clause, SyntaxError> {
        let at = self.at();
        let patterns = self.as_pattern(true, |parser| {
            parser.expect("(")?;
            parser.items(")")
        })?;
        self.clause(at, patterns)
    }

    /// `Class:Reason:Stack when … -> …`: what is left out is `throw` and `_`.
    fn catching(&mut self) -> Result<Clause, SyntaxError> {
        let at = self.at();
        let named = matches!(self.peek(), lex::Kind::Atom(_) | lex::Kind::Var(_));
        let classed = named && *self.peek_at(1) == lex::Kind::Sign(":");
        let class = if classed {
            let class = self.primary()?;
            self.next += 1;
            class
        } else {
            self.node(at, Kind::Value(Term::atom("throw")))?
        };
        let reason = self.as_pattern(true, Parser::expr)?;
        let stack_at = self.at();
        let stack = if classed && self.takes(":") {
            match self.peek() {
                lex::Kind::Var(_) => self.primary()?,
                _ => return Err(self.unexpected()),
            }
        } else {
            self.node(stack_at, Kind::Var(Atom::new("_")))?
        };
        self.clause(at, vec![class, reason, stack])
    }

    fn clause(&mut self, at: usize, patterns: Vec<Expr>) -> Result<Clause, SyntaxError> {
        let guard = if self.takes("when") {
            self.alternatives()?
        } else {
            Vec::new()
        };
        let body = self.body()?;
        Ok(Clause {
            at,
            patterns,
            guard,
            body,
        })
    }

    fn alternatives(&mut self) -> Result<Vec<Vec<Expr>>, SyntaxError> {
        self.as_pattern(false, |parser| {
            let mut alternatives = vec![parser.exprs()?];
            while parser.takes(";") {
                alternatives.push(parser.exprs()?);
            }
            Ok(alternatives)
        })
    }

    fn body(&mut self) -> Result<Vec<Expr>, SyntaxError> {
        self.expect("->")?;
        self.as_pattern(false, Parser::exprs)
    }
}

fn head_mismatch(at: usize) -> SyntaxError {
    SyntaxError {
        at,
        message: "head mismatch".to_string(),
    }
}
