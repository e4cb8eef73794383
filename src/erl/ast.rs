//! Expressions as the parser leaves them. Patterns and guards are expressions too.

use std::sync::Arc;

use super::number::Op;
use super::term::{Atom, Term};

/// How deep expressions may be nested, so that everything that walks through one may recurse.
pub const NESTING_MAX: u16 = 250;

/// An expression, a pattern or a guard.
#[derive(Debug)]
pub struct Expr {
    /// Where it is, in bytes of the text: an operation is where its operator is.
    pub at: usize,
    /// How deep it is nested.
    pub depth: u16,
    /// What it is.
    pub kind: Kind,
}

/// What an expression is.
#[derive(Debug)]
pub enum Kind {
    /// An atom or a number.
    Value(Term),
    /// `"…"`, with the list that it stands for.
    Text(String, Term),
    /// A variable; `_` is one.
    Var(Atom),
    /// `{A, B}`.
    Tuple(Vec<Expr>),
    /// `[A, B | Tail]`.
    List(Vec<Expr>, Option<Box<Expr>>),
    /// `#{K => V}`, or `M#{K := V}`.
    Map(Option<Box<Expr>>, Vec<Field>),
    /// `<<A:8, B/binary>>`.
    Bits(Vec<Segment>),
    /// `Pattern = Expr`.
    Match(Box<Expr>, Box<Expr>),
    /// `To ! Message`.
    Send(Box<Expr>, Box<Expr>),
    /// An operator before its operand.
    Unary(&'static str, Box<Expr>),
    /// An operator between its operands.
    Binary(Op, Box<Expr>, Box<Expr>),
    /// `andalso`, or `orelse`: the word says which.
    Lazy(&'static str, Box<Expr>, Box<Expr>),
    /// `catch E`.
    Catch(Box<Expr>),
    /// `f(A)`, `m:f(A)` or `F(A)`.
    Call(Callee, Vec<Expr>),
    /// `m:f` without arguments, which has no value.
    Remote(Box<Expr>, Box<Expr>),
    /// `begin … end`.
    Block(Vec<Expr>),
    /// `case E of … end`.
    Case(Box<Expr>, Vec<Clause>),
    /// `if … end`: clauses without patterns.
    If(Vec<Clause>),
    /// `receive … after … end`.
    Receive(Vec<Clause>, Option<Box<After>>),
    /// `try … end`.
    Try(Box<Try>),
    /// `fun(…) -> … end`.
    Fun(Arc<Lambda>),
    /// `fun f/1`.
    Local(Atom, usize),
    /// `fun m:f/1`.
    External(Box<[Expr; 3]>),
    /// `[E || …]`, `<<E || …>>` or `#{K => V || …}`.
    Comprehension(Box<Comprehension>),
}

/// What is called.
#[derive(Debug)]
pub enum Callee {
    /// A function named without a module.
    Local(Atom),
    /// `m:f`.
    Remote(Box<Expr>, Box<Expr>),
    /// A fun.
    Value(Box<Expr>),
}

/// One association of a map.
#[derive(Debug)]
pub struct Field {
    /// Where its arrow is.
    pub at: usize,
    /// `:=` rather than `=>`.
    pub exact: bool,
    /// Its key.
    pub key: Expr,
    /// Its value.
    pub value: Expr,
}

/// One segment of a bit string.
#[derive(Debug)]
pub struct Segment {
    /// What is built, or matched.
    pub value: Expr,
    /// In units.
    pub size: Option<Expr>,
    /// How it is written.
    pub form: Form,
}

/// How a segment of a bit string is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// The type.
    pub of: Type,
    /// Of an integer.
    pub signed: bool,
    /// Of a number; native is little.
    pub little: bool,
    /// How many bits one of its size is.
    pub unit: usize,
}

/// The type of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `integer`.
    Integer,
    /// `float`.
    Float,
    /// `binary`, `bytes`, `bitstring` and `bits`: the unit tells them apart.
    Bits,
    /// `utf8`.
    Utf8,
    /// `utf16`.
    Utf16,
    /// `utf32`.
    Utf32,
}

/// `Patterns when Guard -> Body`.
#[derive(Debug)]
pub struct Clause {
    /// Where it begins.
    pub at: usize,
    /// Those of `catch` have three: class, reason and stack.
    pub patterns: Vec<Expr>,
    /// Alternatives of conjunctions; none if there is no guard.
    pub guard: Vec<Vec<Expr>>,
    /// Never empty.
    pub body: Vec<Expr>,
}

/// `after Time -> Body`.
#[derive(Debug)]
pub struct After {
    /// Milliseconds, or `infinity`.
    pub time: Expr,
    /// Never empty.
    pub body: Vec<Expr>,
}

/// `try Body of … catch … after … end`.
#[derive(Debug)]
pub struct Try {
    /// What is tried.
    pub body: Vec<Expr>,
    /// What its value is matched with; without any, it is the value.
    pub of: Vec<Clause>,
    /// What is caught.
    pub catch: Vec<Clause>,
    /// What is done in any case.
    pub after: Vec<Expr>,
}

/// `fun Name(…) -> … end`.
#[derive(Debug)]
pub struct Lambda {
    /// By which its body may call it.
    pub name: Option<Atom>,
    /// Parameters of every clause.
    pub arity: usize,
    /// Never empty.
    pub clauses: Vec<Clause>,
    /// Every variable that is named in it.
    pub uses: Vec<Atom>,
    /// How many expressions it consists of.
    pub size: usize,
}

/// `Result || Qualifiers`.
#[derive(Debug)]
pub struct Comprehension {
    /// What is made of the results.
    pub makes: Makes,
    /// From left to right.
    pub qualifiers: Vec<Qualifier>,
}

/// What a comprehension makes.
#[derive(Debug)]
pub enum Makes {
    /// A list.
    List(Expr),
    /// A bit string.
    Bits(Expr),
    /// A map.
    Map(Expr, Expr),
}

/// A generator, or a filter.
#[derive(Debug)]
pub enum Qualifier {
    /// `Pattern <- List`.
    List(Expr, Expr),
    /// `<<Pattern>> <= Bits`.
    Bits(Expr, Expr),
    /// `K := V <- Map`.
    Map(Expr, Expr, Expr),
    /// A test in which errors are false.
    Guard(Expr),
    /// A test in which errors are errors.
    Test(Expr),
}

impl Expr {
    /// Shows each expression directly within this one.
    pub fn each<'a>(&'a self, see: &mut dyn FnMut(&'a Expr)) {
        match &self.kind {
            Kind::Value(_) | Kind::Text(..) | Kind::Var(_) | Kind::Local(..) => {}
            Kind::Tuple(items) | Kind::Block(items) => items.iter().for_each(see),
            Kind::List(items, tail) => {
                items.iter().for_each(&mut *see);
                tail.iter().for_each(|tail| see(tail));
            }
            Kind::Map(base, fields) => {
                base.iter().for_each(|base| see(base));
                for field in fields {
                    see(&field.key);
                    see(&field.value);
                }
            }
            Kind::Bits(segments) => {
                for segment in segments {
                    see(&segment.value);
                    segment.size.iter().for_each(&mut *see);
                }
            }
            Kind::Match(a, b)
            | Kind::Send(a, b)
            | Kind::Binary(_, a, b)
            | Kind::Lazy(_, a, b)
            | Kind::Remote(a, b) => {
                see(a);
                see(b);
            }
            Kind::Unary(_, a) | Kind::Catch(a) => see(a),
            Kind::Call(callee, args) => {
                match callee {
                    Callee::Local(_) => {}
                    Callee::Remote(module, name) => {
                        see(module);
                        see(name);
                    }
                    Callee::Value(fun) => see(fun),
                }
                args.iter().for_each(see);
            }
            Kind::Case(of, clauses) => {
                see(of);
                clauses.iter().for_each(|clause| clause.each(see));
            }
            Kind::If(clauses) => clauses.iter().for_each(|clause| clause.each(see)),
            Kind::Receive(clauses, after) => {
                clauses.iter().for_each(|clause| clause.each(see));
                if let Some(after) = after {
                    see(&after.time);
                    after.body.iter().for_each(see);
                }
            }
            Kind::Try(tried) => {
                tried.body.iter().for_each(&mut *see);
                tried.of.iter().for_each(|clause| clause.each(see));
                tried.catch.iter().for_each(|clause| clause.each(see));
                tried.after.iter().for_each(see);
            }
            Kind::Fun(lambda) => lambda.clauses.iter().for_each(|clause| clause.each(see)),
            Kind::External(parts) => parts.iter().for_each(see),
            Kind::Comprehension(all) => all.each(see),
        }
    }
}

impl Clause {
    /// Shows each expression directly within this clause.
    pub fn each<'a>(&'a self, see: &mut dyn FnMut(&'a Expr)) {
        self.patterns.iter().for_each(&mut *see);
        self.guard.iter().flatten().for_each(&mut *see);
        self.body.iter().for_each(see);
    }
}

impl Comprehension {
    fn each<'a>(&'a self, see: &mut dyn FnMut(&'a Expr)) {
        match &self.makes {
            Makes::List(one) | Makes::Bits(one) => see(one),
            Makes::Map(key, value) => {
                see(key);
                see(value);
            }
        }
        for qualifier in &self.qualifiers {
            match qualifier {
                Qualifier::List(a, b) | Qualifier::Bits(a, b) => {
                    see(a);
                    see(b);
                }
                Qualifier::Map(a, b, c) => {
                    see(a);
                    see(b);
                    see(c);
                }
                Qualifier::Guard(test) | Qualifier::Test(test) => see(test),
            }
        }
    }
}

impl Lambda {
    /// A fun, with the variables that it names.
    pub fn new(name: Option<Atom>, clauses: Vec<Clause>) -> Lambda {
        let (mut uses, mut size) = (Vec::new(), 1);
        for clause in &clauses {
            clause.each(&mut |expr| gather(expr, &mut uses, &mut size));
        }
        uses.sort_unstable();
        uses.dedup();
        let arity = clauses.first().map_or(0, |clause| clause.patterns.len());
        Lambda {
            name,
            arity,
            clauses,
            uses,
            size,
        }
    }
}

fn gather(expr: &Expr, uses: &mut Vec<Atom>, size: &mut usize) {
    *size += 1;
    match &expr.kind {
        Kind::Var(name) => uses.push(name.clone()),
        Kind::Text(text, _) => *size += text.len(),
        Kind::Fun(lambda) => {
            uses.extend(lambda.uses.iter().cloned());
            *size += lambda.size;
        }
        _ => expr.each(&mut |inner| gather(inner, uses, size)),
    }
}
