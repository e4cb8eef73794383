//! Tuples, lists, maps and comprehensions.

use super::{Parser, SyntaxError};
use crate::erl::ast::{Comprehension, Expr, Field, Kind, Makes, Qualifier};
use crate::erl::check;
use crate::erl::lex;

impl Parser<'_> {
    /// Expressions up to the sign that closes them.
    pub(super) fn items(&mut self, close: &str) -> Result<Vec<Expr>, SyntaxError> {
        if self.takes(close) {
            return Ok(Vec::new());
        }
        let items = self.exprs()?;
        self.expect(close)?;
        Ok(items)
    }

    pub(super) fn list(&mut self) -> Result<Expr, SyntaxError> {
        let at = self.at();
        self.expect("[")?;
        if self.takes("]") {
            return self.node(at, Kind::List(Vec::new(), None));
        }
        let first = self.expr()?;
        if self.takes("||") {
            let qualifiers = self.qualifiers()?;
            self.expect("]")?;
            return self.comprehension(at, Makes::List(first), qualifiers);
        }
        let mut items = vec![first];
        while self.takes(",") {
            items.push(self.expr()?);
        }
        let tail = if self.takes("|") {
            Some(Box::new(self.expr()?))
        } else {
            None
        };
        self.expect("]")?;
        self.node(at, Kind::List(items, tail))
    }

    pub(super) fn comprehension(
        &self,
        at: usize,
        makes: Makes,
        qualifiers: Vec<Qualifier>,
    ) -> Result<Expr, SyntaxError> {
        let all = Comprehension { makes, qualifiers };
        self.node(at, Kind::Comprehension(Box::new(all)))
    }

    pub(super) fn qualifiers(&mut self) -> Result<Vec<Qualifier>, SyntaxError> {
        let mut qualifiers = vec![self.qualifier()?];
        while self.takes(",") {
            qualifiers.push(self.qualifier()?);
        }
        Ok(qualifiers)
    }

    fn qualifier(&mut self) -> Result<Qualifier, SyntaxError> {
        let first = self.expr()?;
        if self.takes("<-") {
            return Ok(Qualifier::List(first, self.expr()?));
        }
        if matches!(first.kind, Kind::Bits(_)) && self.takes("<=") {
            return Ok(Qualifier::Bits(first, self.expr()?));
        }
        if self.takes(":=") {
            let value = self.expr()?;
            self.expect("<-")?;
            return Ok(Qualifier::Map(first, value, self.expr()?));
        }
        if check::is_guard(&first) {
            return Ok(Qualifier::Guard(first));
        }
        Ok(Qualifier::Test(first))
    }

    /// `#{…}`, of a map or on its own.
    pub(super) fn map(&mut self, base: Option<Box<Expr>>) -> Result<Expr, SyntaxError> {
        let at = self.at();
        self.expect("#")?;
        if let lex::Kind::Atom(name) = self.peek().clone() {
            self.next += 1;
            self.record()?;
            let name = name.as_str();
            let message = format!("record {name} undefined: records are not known here");
            return Err(SyntaxError { at, message });
        }
        self.expect("{")?;
        if self.takes("}") {
            return self.node(at, Kind::Map(base, Vec::new()));
        }
        self.as_pattern(false, |parser| parser.fields(at, base))
    }

    /// What may follow the name of a record, for an error in there is told before that there are none.
    fn record(&mut self) -> Result<(), SyntaxError> {
        if self.takes(".") {
            return self.atom().map(|_| ());
        }
        self.expect("{")?;
        if self.takes("}") {
            return Ok(());
        }
        loop {
            match self.peek() {
                lex::Kind::Atom(_) | lex::Kind::Var(_) => self.next += 1,
                _ => return Err(self.unexpected()),
            }
            self.expect("=")?;
            self.expr()?;
            if self.takes("}") {
                return Ok(());
            }
            self.expect(",")?;
        }
    }

    fn fields(&mut self, at: usize, base: Option<Box<Expr>>) -> Result<Expr, SyntaxError> {
        let mut fields = Vec::new();
        loop {
            let field = self.field()?;
            let plain = !field.exact && base.is_none();
            if fields.is_empty() && plain && self.takes("||") {
                let qualifiers = self.qualifiers()?;
                self.expect("}")?;
                return self.comprehension(at, Makes::Map(field.key, field.value), qualifiers);
            }
            fields.push(field);
            if self.takes("}") {
                return self.node(at, Kind::Map(base, fields));
            }
            self.expect(",")?;
        }
    }

    fn field(&mut self) -> Result<Field, SyntaxError> {
        let key = self.expr()?;
        let at = self.at();
        let exact = self.takes(":=");
        if !exact {
            self.expect("=>")?;
        }
        let value = self.expr()?;
        Ok(Field {
            at,
            exact,
            key,
            value,
        })
    }
}
