//! A value cut to the pieces that its text is made of, with the length of each on one line.

use std::sync::Arc;

use num_bigint::BigInt;

use crate::erl::number::float;
use crate::erl::term::{Bits, Cons, Fun, Term};

use super::{Style, text};

/// So long that it fits no line: the length of what is not all there.
const CUT: usize = 1 << 40;
/// How many bytes of text stand for one level of depth when a binary is shortened.
const BYTES_PER_DEPTH: i64 = 4;

/// A piece and its length in characters.
pub(super) struct Shape {
    pub(super) what: What,
    pub(super) len: usize,
}

pub(super) enum What {
    /// Never broken.
    Text(String),
    /// The numbers of a binary.
    Bytes {
        bits: Bits,
        shown: usize,
        end: End,
    },
    List(Vec<Shape>, End),
    Tuple {
        /// Whether it begins with an atom and goes on.
        tagged: bool,
        items: Vec<Shape>,
        end: End,
    },
    Map(Vec<Pair>, End),
}

pub(super) struct Pair {
    pub(super) key: Shape,
    pub(super) value: Shape,
    pub(super) len: usize,
}

/// What follows the elements.
pub(super) enum End {
    Closed,
    Dots,
    /// The bound on bytes came before the end.
    Cut,
    Improper(Box<Shape>),
}

impl Shape {
    pub(super) fn of(value: &Term, style: Style) -> Shape {
        let depth = style.depth.and_then(|depth| i64::try_from(depth).ok());
        let mut shaper = Shaper {
            style,
            left: style.max_bytes,
        };
        shaper.shape(value, depth.unwrap_or(-1))
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self.what, What::Text(_))
    }

    fn text(text: impl Into<String>) -> Shape {
        let text = text.into();
        let len = match text.is_ascii() {
            true => text.len(),
            false => text.chars().count(),
        };
        Shape {
            what: What::Text(text),
            len,
        }
    }
}

impl Pair {
    pub(super) fn is_text(&self) -> bool {
        self.key.is_text() && self.value.is_text()
    }
}

impl End {
    fn len(&self) -> usize {
        match self {
            End::Closed => 0,
            End::Dots => 3,
            End::Cut => CUT,
            End::Improper(shape) => shape.len,
        }
    }
}

struct Shaper {
    style: Style,
    /// How many more bytes are of use.
    left: usize,
}

impl Shaper {
    /// A negative depth has no bound: it only ever falls.
    fn shape(&mut self, value: &Term, depth: i64) -> Shape {
        let shape = match value {
            Term::Tuple(tuple) if !tuple.items().is_empty() => {
                return self.tuple(tuple.items(), depth);
            }
            Term::Map(map) if !map.entries().is_empty() => {
                let entries = map.entries().iter().map(|(key, value)| (&key.0, value));
                return self.map(entries, depth);
            }
            Term::Cons(cons) => return self.list(cons, depth),
            Term::Bits(bits) if bits.bits > 0 => return self.bits(bits, depth),
            Term::Atom(name) => Shape::text(text::atom(name.as_str(), self.style.unicode)),
            Term::Int(small) => Shape::text(small.to_string()),
            Term::Big(big) => self.big(big),
            Term::Float(float) => Shape::text(float::short(*float)),
            Term::Pid(number) => Shape::text(format!("<0.{number}.0>")),
            Term::Ref(number) => Shape::text(format!("#Ref<0.0.0.{number}>")),
            Term::Fun(fun) => Shape::text(self.fun(fun)),
            Term::Tuple(_) => Shape::text("{}"),
            Term::Map(_) => Shape::text("#{}"),
            Term::Nil => Shape::text("[]"),
            Term::Bits(_) => Shape::text("<<>>"),
        };
        self.spend(shape.len.min(CUT));
        shape
    }

    fn list(&mut self, cons: &Arc<Cons>, depth: i64) -> Shape {
        if self.style.strings
            && depth != 1
            && let Some(shape) = self.string(cons)
        {
            return shape;
        }
        let (mut items, mut depth) = (Vec::new(), depth);
        let mut rest = Some(cons);
        let end = loop {
            let Some(cons) = rest else {
                break End::Closed;
            };
            if depth == 1 {
                break End::Dots;
            }
            if self.left == 0 {
                break End::Cut;
            }
            items.push(self.element(cons.head(), depth));
            depth -= 1;
            rest = match cons.tail() {
                Term::Cons(next) => Some(next),
                Term::Nil => None,
                _ if depth == 1 => break End::Dots,
                tail => break End::Improper(Box::new(self.shape(tail, depth - 1))),
            };
        };
        let len = span(items.iter().map(|item| item.len), &end, 2);
        Shape {
            what: What::List(items, end),
            len,
        }
    }

    fn tuple(&mut self, values: &[Term], depth: i64) -> Shape {
        if depth == 1 {
            return Shape::text("{...}");
        }
        let tagged = values.len() > 1 && values.first().is_some_and(|tag| tag.as_atom().is_some());
        let (mut items, mut depth, mut end) = (Vec::new(), depth, End::Closed);
        for value in values {
            if depth == 1 {
                end = End::Dots;
                break;
            }
            if self.left == 0 {
                end = End::Cut;
                break;
            }
            items.push(self.element(value, depth));
            depth -= 1;
        }
        let len = span(items.iter().map(|item| item.len), &end, 2);
        Shape {
            what: What::Tuple { tagged, items, end },
            len,
        }
    }

    fn map<'a>(
        &mut self,
        entries: impl Iterator<Item = (&'a Term, &'a Term)>,
        depth: i64,
    ) -> Shape {
        if depth == 1 {
            return Shape::text("#{...}");
        }
        let (mut pairs, mut end, mut further) = (Vec::new(), End::Closed, depth);
        for (key, value) in entries {
            if further == 1 {
                end = End::Dots;
                break;
            }
            if self.left == 0 {
                end = End::Cut;
                break;
            }
            let key = self.element(key, depth);
            let value = self.element(value, depth);
            let len = key.len + 4 + value.len;
            pairs.push(Pair { key, value, len });
            further -= 1;
        }
        let len = span(pairs.iter().map(|pair| pair.len), &end, 3);
        Shape {
            what: What::Map(pairs, end),
            len,
        }
    }

    fn element(&mut self, value: &Term, depth: i64) -> Shape {
        self.spend(1);
        self.shape(value, depth - 1)
    }

    /// A list of printable characters as text; depth does not shorten it.
    fn string(&mut self, cons: &Arc<Cons>) -> Option<Shape> {
        let wide = self.style.wide && self.style.unicode;
        let (mut rest, mut text, mut len) = (cons, String::from('"'), 2);
        loop {
            let Term::Int(point) = rest.head() else {
                return None;
            };
            let point = u32::try_from(*point).ok()?;
            let c = char::from_u32(point).filter(|_| text::is_printable(point, wide))?;
            if text.len() <= self.left {
                let before = text.len();
                text::push(&mut text, c, '"', true);
                len += if c.is_ascii() { text.len() - before } else { 1 };
            }
            match rest.tail() {
                Term::Cons(next) => rest = next,
                Term::Nil => break,
                _ => return None,
            }
        }
        Some(self.closed(text, len, "\""))
    }

    fn bits(&mut self, bits: &Bits, depth: i64) -> Shape {
        if depth == 1 {
            return Shape::text("<<...>>");
        }
        if self.style.strings
            && bits.bits.is_multiple_of(8)
            && let Some(shape) = self.binary(&bits.bytes, depth - 1)
        {
            return shape;
        }
        let all = bits.bits.div_ceil(8);
        let mut shown = match usize::try_from(depth - 1) {
            Ok(most) if most < all => most,
            _ => all,
        };
        let mut end = if shown < all { End::Dots } else { End::Closed };
        // Every number takes two bytes at least.
        if shown > self.left / 2 {
            shown = self.left / 2;
            end = End::Cut;
        }
        let width = |byte: &u8| byte.checked_ilog10().map_or(1, |log| log as usize + 1);
        let mut lengths: Vec<usize> = bits.bytes[..shown].iter().map(width).collect();
        if shown == all && !bits.bits.is_multiple_of(8) {
            let spare = 8 - bits.bits % 8;
            let last = bits.bytes.last().map_or(0, |byte| byte >> spare);
            lengths.pop();
            lengths.push(width(&last) + 2);
        }
        let len = span(lengths.iter().copied(), &end, 4);
        self.spend(len.min(CUT));
        Shape {
            what: What::Bytes {
                bits: bits.clone(),
                shown,
                end,
            },
            len,
        }
    }

    /// A binary as text: of UTF-8 if the reader takes that, else of Latin-1. A depth that is not negative shortens it.
    fn binary(&mut self, bytes: &[u8], depth: i64) -> Option<Shape> {
        let window = match depth < 0 {
            true => bytes.len(),
            false => bytes.len().min((BYTES_PER_DEPTH * depth) as usize),
        };
        if window == 0 {
            return None;
        }
        let is_enough = |count: usize| depth > 0 && count as i64 >= depth;
        if self.style.unicode
            && let Some(chars) = utf8(bytes, window)
        {
            let printable = |c: &char| text::is_printable(u32::from(*c), self.style.wide);
            let shown = chars.chars().take(window).take_while(printable);
            let (count, size) =
                shown.fold((0, 0), |(count, size), c| (count + 1, size + c.len_utf8()));
            if size < bytes.len() && !is_enough(count) {
                return None;
            }
            let chars = chars.chars().take(count);
            let ends = match (size < bytes.len(), size > count) {
                (false, false) => "\">>",
                (false, true) => "\"/utf8>>",
                (true, false) => "\"...>>",
                (true, true) => "\"/utf8...>>",
            };
            return Some(self.text_of(chars, ends));
        }
        let printable = |byte: &&u8| text::is_printable(u32::from(**byte), false);
        let count = bytes[..window].iter().take_while(printable).count();
        let whole = count == bytes.len();
        if !whole && count < window && !is_enough(count) {
            return None;
        }
        let ends = if whole { "\">>" } else { "\"...>>" };
        Some(self.text_of(bytes[..count].iter().map(|byte| char::from(*byte)), ends))
    }

    fn text_of(&mut self, chars: impl Iterator<Item = char>, ends: &str) -> Shape {
        let (mut text, mut len) = (String::from("<<\""), 3 + ends.len());
        for c in chars {
            if text.len() > self.left {
                break;
            }
            let before = text.len();
            text::push(&mut text, c, '"', true);
            len += if c.is_ascii() || c < '\u{a0}' {
                text.len() - before
            } else {
                1
            };
        }
        self.closed(text, len, ends)
    }

    /// Text that is longer than what is left stays open: the bound cuts it there.
    fn closed(&mut self, mut text: String, len: usize, ends: &str) -> Shape {
        if text.len() > self.left {
            self.spend(text.len());
            return Shape {
                what: What::Text(text),
                len: CUT,
            };
        }
        text.push_str(ends);
        self.spend(text.len());
        Shape {
            what: What::Text(text),
            len,
        }
    }

    /// Digits are only computed if there is room for them, which takes the square of their number.
    fn big(&self, value: &BigInt) -> Shape {
        let digits = value.bits() as usize / 4;
        match digits > self.left {
            true => Shape::text("..."),
            false => Shape::text(value.to_string()),
        }
    }

    fn fun(&self, fun: &Fun) -> String {
        match fun {
            Fun::Local(closure) => format!("#Fun<yizhan.{}.{}>", closure.id, closure.arity),
            Fun::Remote {
                module,
                name,
                arity,
            } => {
                let [module, name] =
                    [module, name].map(|name| text::atom(name.as_str(), self.style.unicode));
                format!("fun {module}:{name}/{arity}")
            }
        }
    }

    fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }
}

/// The length of elements with commas between them and brackets around.
fn span(lengths: impl ExactSizeIterator<Item = usize>, end: &End, brackets: usize) -> usize {
    let separators = match (lengths.len(), end) {
        (0, _) => 0,
        (count, End::Closed) => count - 1,
        (count, _) => count,
    };
    brackets + separators + lengths.sum::<usize>() + end.len()
}

/// The binary as text, if as many characters as the window holds are UTF-8.
fn utf8(bytes: &[u8], window: usize) -> Option<&str> {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => return Some(text),
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?,
    };
    (valid.chars().take(window).count() >= window).then_some(valid)
}
