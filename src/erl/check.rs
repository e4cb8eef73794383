//! What is wrong with an expression before it is evaluated: unbound variables, illegal patterns and illegal guards.

mod guard;

use std::collections::BTreeMap;

pub use guard::is_guard;

use super::ast::{Clause, Comprehension, Expr, Kind, Lambda, Makes, Qualifier, Segment, Try, Type};
use super::number::Op;
use super::parse::SyntaxError;
use super::term::Atom;
use guard::illegal_guard;

/// Finds the first thing that is wrong; `bound` says which variables have values, `place` how a place is told.
pub fn check(
    expr: &Expr,
    bound: &dyn Fn(&Atom) -> bool,
    place: &dyn Fn(usize) -> (usize, usize),
) -> Result<(), SyntaxError> {
    let mut checker = Checker {
        bound,
        place,
        states: BTreeMap::new(),
        log: Vec::new(),
    };
    checker.expr(expr)
}

/// Whether a pattern may calculate this.
fn is_constant(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Value(_) => true,
        Kind::Unary(_, operand) => is_constant(operand),
        Kind::Binary(sign, a, b) => {
            !matches!(sign, Op::Append | Op::Without) && is_constant(a) && is_constant(b)
        }
        _ => false,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Bound,
    /// Bound in some of the ways through an expression: its word, and its place.
    Unsafe(&'static str, usize),
}

type Additions = Vec<(Atom, State)>;

struct Checker<'a> {
    bound: &'a dyn Fn(&Atom) -> bool,
    place: &'a dyn Fn(usize) -> (usize, usize),
    states: BTreeMap<Atom, State>,
    /// What was there before each change of `states`.
    log: Vec<(Atom, Option<State>)>,
}

impl Checker<'_> {
    fn set(&mut self, name: &Atom, state: State) {
        let before = self.states.insert(name.clone(), state);
        self.log.push((name.clone(), before));
    }

    fn add(&mut self, additions: Additions, state: Option<State>) {
        for (name, own) in additions {
            self.set(&name, state.unwrap_or(own));
        }
    }

    /// Looks at something, takes its variables away again and returns them.
    fn apart(
        &mut self,
        look: impl FnOnce(&mut Self) -> Result<(), SyntaxError>,
    ) -> Result<Additions, SyntaxError> {
        let mark = self.log.len();
        look(self)?;
        let mut additions = Vec::new();
        while self.log.len() > mark {
            let Some((name, before)) = self.log.pop() else {
                break;
            };
            let state = match before {
                Some(before) => self.states.insert(name.clone(), before),
                None => self.states.remove(&name),
            };
            additions.extend(state.map(|state| (name, state)));
        }
        Ok(additions)
    }

    fn sequence(&mut self, exprs: &[Expr]) -> Result<(), SyntaxError> {
        exprs.iter().try_for_each(|expr| self.expr(expr))
    }

    /// Expressions that do not see each other's variables.
    fn parallel<'a>(
        &mut self,
        exprs: impl IntoIterator<Item = &'a Expr>,
    ) -> Result<(), SyntaxError> {
        let mut all = Vec::new();
        for expr in exprs {
            all.extend(self.apart(|checker| checker.expr(expr))?);
        }
        self.add(all, None);
        Ok(())
    }

    fn expr(&mut self, expr: &Expr) -> Result<(), SyntaxError> {
        match &expr.kind {
            Kind::Var(name) => self.used(expr.at, name),
            Kind::Remote(..) => Err(wrong(expr.at, "illegal expression")),
            Kind::Map(base, fields) => {
                if base.is_none()
                    && let Some(field) = fields.iter().find(|field| field.exact)
                {
                    let message = "only association operators '=>' are allowed in map construction";
                    return Err(wrong(field.at, message));
                }
                self.inner(expr)
            }
            Kind::Match(pattern, value) => {
                self.expr(value)?;
                self.pattern(pattern)
            }
            Kind::Lazy(word, a, b) => {
                self.expr(a)?;
                let added = self.apart(|checker| checker.expr(b))?;
                self.add(added, Some(State::Unsafe(word, expr.at)));
                Ok(())
            }
            Kind::Catch(tried) => {
                let added = self.apart(|checker| checker.expr(tried))?;
                self.add(added, Some(State::Unsafe("catch", expr.at)));
                Ok(())
            }
            Kind::Block(body) => self.sequence(body),
            Kind::Case(of, clauses) => {
                self.expr(of)?;
                let ways = self.ways(clauses)?;
                self.merge(ways, "case", expr.at);
                Ok(())
            }
            Kind::If(clauses) => {
                let ways = self.ways(clauses)?;
                self.merge(ways, "if", expr.at);
                Ok(())
            }
            Kind::Receive(clauses, after) => {
                let mut ways = self.ways(clauses)?;
                if let Some(after) = after {
                    self.expr(&after.time)?;
                    ways.push(self.apart(|checker| checker.sequence(&after.body))?);
                }
                self.merge(ways, "receive", expr.at);
                Ok(())
            }
            Kind::Try(tried) => self.tried(expr.at, tried),
            Kind::Fun(lambda) => self.lambda(lambda),
            Kind::Comprehension(all) => {
                self.apart(|checker| checker.comprehension(all))?;
                Ok(())
            }
            _ => self.inner(expr),
        }
    }

    fn inner(&mut self, expr: &Expr) -> Result<(), SyntaxError> {
        let mut inner = Vec::new();
        expr.each(&mut |part| inner.push(part));
        self.parallel(inner)
    }

    fn used(&self, at: usize, name: &Atom) -> Result<(), SyntaxError> {
        match self.states.get(name) {
            Some(State::Bound) => Ok(()),
            Some(State::Unsafe(word, origin)) => {
                let (line, column) = (self.place)(*origin);
                let name = name.as_str();
                let message =
                    format!("variable '{name}' unsafe in '{word}' (line {line}, column {column})");
                Err(wrong(at, &message))
            }
            None if (self.bound)(name) => Ok(()),
            None => {
                let message = format!("variable '{}' is unbound", name.as_str());
                Err(wrong(at, &message))
            }
        }
    }

    fn ways(&mut self, clauses: &[Clause]) -> Result<Vec<Additions>, SyntaxError> {
        let ways = clauses.iter();
        ways.map(|clause| self.apart(|checker| checker.clause(clause)))
            .collect()
    }

    /// A variable is bound behind an expression if each way through it binds it.
    fn merge(&mut self, ways: Vec<Additions>, word: &'static str, at: usize) {
        let count = ways.len();
        let mut seen: BTreeMap<Atom, usize> = BTreeMap::new();
        for mut way in ways {
            way.sort_by(|a, b| a.0.cmp(&b.0));
            way.dedup_by(|a, b| a.0 == b.0);
            for (name, state) in way {
                *seen.entry(name).or_default() += usize::from(state == State::Bound);
            }
        }
        for (name, bound) in seen {
            let known = self.states.get(&name) == Some(&State::Bound) || (self.bound)(&name);
            if bound == count || known {
                self.set(&name, State::Bound);
            } else {
                self.set(&name, State::Unsafe(word, at));
            }
        }
    }

    fn clause(&mut self, clause: &Clause) -> Result<(), SyntaxError> {
        for pattern in &clause.patterns {
            self.pattern(pattern)?;
        }
        self.guard(clause)?;
        self.sequence(&clause.body)
    }

    fn guard(&mut self, clause: &Clause) -> Result<(), SyntaxError> {
        for test in clause.guard.iter().flatten() {
            if let Some(at) = illegal_guard(test) {
                return Err(wrong(at, "illegal guard expression"));
            }
            self.expr(test)?;
        }
        Ok(())
    }

    fn tried(&mut self, at: usize, tried: &Try) -> Result<(), SyntaxError> {
        let mut all = self.apart(|checker| {
            checker.sequence(&tried.body)?;
            let ways = checker.ways(&tried.of)?;
            checker.add(ways.concat(), None);
            Ok(())
        })?;
        let unsafely = State::Unsafe("try", at);
        self.add(all.clone(), Some(unsafely));
        all.extend(self.ways(&tried.catch)?.concat());
        let after = self.apart(|checker| checker.sequence(&tried.after))?;
        all.extend(after);
        self.add(all, Some(unsafely));
        Ok(())
    }

    fn lambda(&mut self, lambda: &Lambda) -> Result<(), SyntaxError> {
        self.apart(|checker| {
            if let Some(name) = &lambda.name {
                checker.set(name, State::Bound);
            }
            for clause in &lambda.clauses {
                checker.apart(|checker| {
                    clause.patterns.iter().for_each(|head| checker.shadow(head));
                    checker.clause(clause)
                })?;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn comprehension(&mut self, all: &Comprehension) -> Result<(), SyntaxError> {
        for qualifier in &all.qualifiers {
            match qualifier {
                Qualifier::List(pattern, source) | Qualifier::Bits(pattern, source) => {
                    self.apart(|checker| checker.expr(source))?;
                    if let (Qualifier::Bits(..), Kind::Bits(segments)) = (qualifier, &pattern.kind)
                        && let Some(segment) = segments.last().filter(|last| is_open(last))
                    {
                        let message = "binary fields without size are not allowed in patterns \
                                       of bit string generators";
                        return Err(wrong(segment.value.at, message));
                    }
                    self.shadow(pattern);
                    self.pattern(pattern)?;
                }
                Qualifier::Map(key, value, source) => {
                    self.apart(|checker| checker.expr(source))?;
                    self.shadow(key);
                    self.shadow(value);
                    self.pattern(key)?;
                    self.pattern(value)?;
                }
                Qualifier::Guard(test) | Qualifier::Test(test) => self.expr(test)?,
            }
        }
        match &all.makes {
            Makes::List(one) | Makes::Bits(one) => self.expr(one),
            Makes::Map(key, value) => self.parallel([key, value]),
        }
    }

    /// The variables of a head are new ones, so that it is no matter what they were before.
    fn shadow(&mut self, pattern: &Expr) {
        if let Kind::Var(name) = &pattern.kind
            && matches!(self.states.get(name), Some(State::Unsafe(..)))
        {
            self.set(name, State::Bound);
        }
        pattern.each(&mut |inner| self.shadow(inner));
    }

    fn pattern(&mut self, pattern: &Expr) -> Result<(), SyntaxError> {
        match &pattern.kind {
            Kind::Value(_) | Kind::Text(..) => Ok(()),
            Kind::Var(name) => {
                if name.as_str() != "_" {
                    if let Some(State::Unsafe(..)) = self.states.get(name) {
                        return self.used(pattern.at, name);
                    }
                    self.set(name, State::Bound);
                }
                Ok(())
            }
            Kind::Tuple(_) | Kind::List(..) | Kind::Match(..) => {
                let mut inner = Vec::new();
                pattern.each(&mut |part| inner.push(part));
                inner.iter().try_for_each(|part| self.pattern(part))
            }
            Kind::Map(None, fields) => {
                for field in fields {
                    if !field.exact {
                        return Err(wrong(field.at, "illegal pattern"));
                    }
                    if let Some(at) = illegal_guard(&field.key) {
                        return Err(wrong(at, "illegal map key in pattern"));
                    }
                    self.expr(&field.key)?;
                    self.pattern(&field.value)?;
                }
                Ok(())
            }
            Kind::Bits(segments) => {
                let all_but_last = segments.len().saturating_sub(1);
                if let Some(segment) = segments[..all_but_last].iter().find(|it| is_open(it)) {
                    let message = "a binary field without size is only allowed at the end of a binary pattern";
                    return Err(wrong(segment.value.at, message));
                }
                for segment in segments {
                    if let Some(size) = &segment.size {
                        if let Some(at) = illegal_guard(size) {
                            return Err(wrong(at, "illegal bit size"));
                        }
                        self.expr(size)?;
                    }
                    match &segment.value.kind {
                        Kind::Var(_) | Kind::Text(..) => self.pattern(&segment.value)?,
                        _ if is_constant(&segment.value) => {}
                        _ => return Err(wrong(segment.value.at, "illegal pattern")),
                    }
                }
                Ok(())
            }
            Kind::Binary(Op::Append, prefix, rest) if is_prefix(prefix) => {
                self.pattern(prefix)?;
                self.pattern(rest)
            }
            _ if is_constant(pattern) => Ok(()),
            _ => Err(wrong(pattern.at, "illegal pattern")),
        }
    }
}

/// Whether a segment reaches to the end of what it is matched with.
fn is_open(segment: &Segment) -> bool {
    segment.form.of == Type::Bits && segment.size.is_none()
}

/// What may stand before `++` in a pattern.
fn is_prefix(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Text(..) => true,
        Kind::List(items, None) => items.iter().all(is_constant),
        Kind::Binary(Op::Append, a, b) => is_prefix(a) && is_prefix(b),
        _ => false,
    }
}

fn wrong(at: usize, message: &str) -> SyntaxError {
    SyntaxError {
        at,
        message: message.to_string(),
    }
}
