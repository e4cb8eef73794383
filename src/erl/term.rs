//! Values: immutable, shared, and shallow enough that a walk through one may recurse.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use num_bigint::BigInt;
use num_traits::ToPrimitive;

/// How deep values may be nested. Nodes know their depth, the evaluator refuses what is deeper, and so everything that walks
/// through a value may recurse, except along the spine of a list, which has no bound but the budget.
pub const DEPTH_MAX: u32 = 1000;

/// A value.
#[derive(Clone, Debug)]
pub enum Term {
    /// A name.
    Atom(Atom),
    /// An integer that fits.
    Int(i64),
    /// Never one that fits an `i64`: make it with [`Term::big`].
    Big(Arc<BigInt>),
    /// Always finite.
    Float(f64),
    /// `<0.N.0>`.
    Pid(u64),
    /// `#Ref<0.0.0.N>`.
    Ref(u64),
    /// What can be applied.
    Fun(Fun),
    /// `{…}`.
    Tuple(Arc<Tuple>),
    /// `[]`.
    Nil,
    /// `[Head|Tail]`.
    Cons(Arc<Cons>),
    /// `#{…}`.
    Map(Arc<Map>),
    /// `<<…>>`.
    Bits(Bits),
}

/// A name; cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Atom(Arc<str>);

/// The elements of a tuple.
#[derive(Debug)]
pub struct Tuple {
    depth: u32,
    items: Box<[Term]>,
}

/// One cell of a list.
#[derive(Debug)]
pub struct Cons {
    depth: u32,
    head: Term,
    tail: Term,
}

/// Keys in the order of `Key`.
#[derive(Debug)]
pub struct Map {
    depth: u32,
    entries: BTreeMap<Key, Term>,
}

/// A value as the key of a map: compared exactly (`=:=`), ordered with integers before floats, as Erlang orders keys.
#[derive(Clone, Debug)]
pub struct Key(pub Term);

/// A bit string; a binary when `bits` is a multiple of 8. Unused bits of the last byte are 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bits {
    /// As many as the bits need.
    pub bytes: Arc<[u8]>,
    /// How many bits there are.
    pub bits: usize,
}

/// Something that can be applied.
#[derive(Clone, Debug)]
pub enum Fun {
    /// `fun(X) -> … end`: the evaluator knows what is in `body`.
    Local(Arc<Closure>),
    /// `fun m:f/A`.
    Remote {
        /// Such as `lists`.
        module: Atom,
        /// Such as `map`.
        name: Atom,
        /// Such as 2.
        arity: usize,
    },
}

/// A fun that was made by an expression.
#[derive(Debug)]
pub struct Closure {
    /// Unlike that of any other of this session.
    pub id: u64,
    /// How many arguments it takes.
    pub arity: usize,
    /// How deep the values are nested that it holds.
    pub depth: u32,
    /// Its clauses and what they hold, of a type that the evaluator knows.
    pub body: Box<dyn Any + Send + Sync>,
}

impl Atom {
    /// The atom of this name.
    pub fn new(name: impl Into<Arc<str>>) -> Atom {
        Atom(name.into())
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Term {
    /// The atom of this name.
    pub fn atom(name: &str) -> Term {
        Term::Atom(Atom::new(name))
    }

    /// `true` or `false`.
    pub fn bool(value: bool) -> Term {
        Term::atom(if value { "true" } else { "false" })
    }

    /// `ok`.
    pub fn ok() -> Term {
        Term::atom("ok")
    }

    /// The smallest form of an integer.
    pub fn big(value: BigInt) -> Term {
        match value.to_i64() {
            Some(small) => Term::Int(small),
            None => Term::Big(Arc::new(value)),
        }
    }

    /// A tuple of these elements.
    pub fn tuple(items: impl Into<Box<[Term]>>) -> Term {
        let items = items.into();
        let depth = 1 + items.iter().map(Term::depth).max().unwrap_or(0);
        Term::Tuple(Arc::new(Tuple { depth, items }))
    }

    /// One more element before a list.
    pub fn cons(head: Term, tail: Term) -> Term {
        let depth = (head.depth() + 1).max(tail.depth());
        Term::Cons(Arc::new(Cons { depth, head, tail }))
    }

    /// A proper list.
    pub fn list(items: impl IntoIterator<Item = Term, IntoIter: DoubleEndedIterator>) -> Term {
        let items = items.into_iter().rev();
        items.fold(Term::Nil, |tail, head| Term::cons(head, tail))
    }

    /// A map of these entries.
    pub fn map(entries: BTreeMap<Key, Term>) -> Term {
        let deepest = entries
            .iter()
            .flat_map(|(key, value)| [key.0.depth(), value.depth()]);
        let depth = 1 + deepest.max().unwrap_or(0);
        Term::Map(Arc::new(Map { depth, entries }))
    }

    /// A binary of these bytes.
    pub fn binary(bytes: impl Into<Arc<[u8]>>) -> Term {
        let bytes = bytes.into();
        let bits = bytes.len() * 8;
        Term::Bits(Bits { bytes, bits })
    }

    /// A list of code points.
    pub fn string(text: &str) -> Term {
        let chars: Vec<Term> = text
            .chars()
            .map(|c| Term::Int(i64::from(u32::from(c))))
            .collect();
        Term::list(chars)
    }

    /// How deep it is nested: 0 for what holds no other value.
    pub fn depth(&self) -> u32 {
        match self {
            Term::Tuple(tuple) => tuple.depth,
            Term::Cons(cons) => cons.depth,
            Term::Map(map) => map.depth,
            Term::Fun(Fun::Local(closure)) => closure.depth,
            _ => 0,
        }
    }

    /// The name of an atom.
    pub fn as_atom(&self) -> Option<&str> {
        match self {
            Term::Atom(atom) => Some(atom.as_str()),
            _ => None,
        }
    }

    /// Whether it is the atom of this name.
    pub fn is_atom(&self, name: &str) -> bool {
        self.as_atom() == Some(name)
    }

    /// The bytes of a binary.
    pub fn as_binary(&self) -> Option<&[u8]> {
        match self {
            Term::Bits(bits) if bits.bits % 8 == 0 => Some(&bits.bytes),
            _ => None,
        }
    }

    /// The elements of a tuple.
    pub fn as_tuple(&self) -> Option<&[Term]> {
        match self {
            Term::Tuple(tuple) => Some(&tuple.items),
            _ => None,
        }
    }

    /// The entries of a map.
    pub fn as_map(&self) -> Option<&BTreeMap<Key, Term>> {
        match self {
            Term::Map(map) => Some(&map.entries),
            _ => None,
        }
    }

    /// The elements of a proper list.
    pub fn as_list(&self) -> Option<Vec<Term>> {
        let mut items = Vec::new();
        let mut rest = self;
        loop {
            match rest {
                Term::Nil => return Some(items),
                Term::Cons(cons) => {
                    items.push(cons.head.clone());
                    rest = &cons.tail;
                }
                _ => return None,
            }
        }
    }
}

impl Tuple {
    /// The elements.
    pub fn items(&self) -> &[Term] {
        &self.items
    }
}

impl Map {
    /// The entries, in the order of their keys.
    pub fn entries(&self) -> &BTreeMap<Key, Term> {
        &self.entries
    }
}

impl Cons {
    /// The first element.
    pub fn head(&self) -> &Term {
        &self.head
    }

    /// What follows it.
    pub fn tail(&self) -> &Term {
        &self.tail
    }
}

impl Drop for Cons {
    /// A long list must not be dropped cell within cell.
    fn drop(&mut self) {
        let mut tail = std::mem::replace(&mut self.tail, Term::Nil);
        while let Term::Cons(cons) = tail {
            match Arc::try_unwrap(cons) {
                Ok(mut cell) => tail = std::mem::replace(&mut cell.tail, Term::Nil),
                Err(_) => return,
            }
        }
    }
}

impl fmt::Debug for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> std::cmp::Ordering {
        super::order::exact(&self.0, &other.0)
    }
}
