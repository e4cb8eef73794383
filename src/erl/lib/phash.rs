//! `erlang`: the hash of a value that is the same on every Erlang node, after the mixing function of Bob Jenkins.

use num_bigint::{BigInt, Sign};

use crate::erl::function::{Machine, Native, Raised};
use crate::erl::term::{Bits, Fun, Term};
use crate::erl::weight;

use super::args::{Value, count};
use super::native;

/// What hashes.
pub(super) static TABLE: &[Native] = &[
    native(
        "erlang",
        "phash2",
        1,
        "erlang:phash2(Value)",
        "A hash of a value, from 0 to 2^27 - 1, as other Erlang nodes calculate it.",
        |m, a| phash2(m, &a[0], 1 << 27),
    ),
    native(
        "erlang",
        "phash2",
        2,
        "erlang:phash2(Value, Range)",
        "A hash of a value, from 0 to Range - 1.",
        |m, a| {
            let range = count(&a[1]).and_then(|range| u64::try_from(range).ok());
            let range = range.filter(|range| (1..=1 << 32).contains(range));
            phash2(m, &a[0], range.ok_or_else(Raised::badarg)?)
        },
    ),
];

fn phash2(machine: &mut dyn Machine, value: &Term, range: u64) -> Value {
    weight::pay_text(value, machine)?;
    let mut hash = Hash(0);
    hash.add(value);
    Ok(Term::Int((u64::from(hash.0) % range) as i64))
}

const GOLDEN: u32 = 0x9e37_79b9;

/// Each kind of value has a constant of its own.
const fn salt(kind: u32) -> u32 {
    GOLDEN.wrapping_mul(kind)
}

struct Hash(u32);

impl Hash {
    fn mix(&mut self, first: u32, second: u32, salt: u32) {
        let (a, b) = (salt.wrapping_add(first), salt.wrapping_add(second));
        self.0 = mixed(a, b, self.0)[2];
    }

    fn add(&mut self, value: &Term) {
        match value {
            Term::Atom(name) => match self.0 {
                0 => self.0 = name_hash(name.as_str()),
                _ => self.mix(name_hash(name.as_str()), 0, salt(3)),
            },
            Term::Int(small @ -0x800_0000..=0x7ff_ffff) => {
                let small = *small as i32;
                if small < 0 {
                    self.mix(small.unsigned_abs(), 0, salt(1));
                }
                self.mix(small as u32, 0, salt(1));
            }
            Term::Int(large) => self.big(&BigInt::from(*large)),
            Term::Big(big) => self.big(big),
            Term::Float(float) => {
                // Both zeros are the same.
                let bits = (float + 0.0).to_bits();
                self.mix((bits >> 32) as u32, bits as u32, salt(12));
            }
            Term::Pid(number) => self.mix((number & 0x7fff) as u32, 0, salt(5)),
            Term::Ref(number) => self.mix(*number as u32, 0, salt(7)),
            Term::Fun(Fun::Remote {
                module,
                name,
                arity,
            }) => {
                self.mix(*arity as u32, name_hash(module.as_str()), salt(1));
                self.mix(name_hash(name.as_str()), 0, salt(14));
            }
            Term::Fun(Fun::Local(closure)) => {
                self.mix(0, name_hash("yizhan"), salt(1));
                self.mix(closure.id as u32, 0, salt(1));
            }
            Term::Nil => match self.0 {
                0 => self.0 = 3_468_870_702,
                _ => self.mix(2, 0, salt(2)),
            },
            Term::Cons(_) => self.list(value),
            Term::Tuple(tuple) => {
                self.mix(tuple.items().len() as u32, 0, salt(9));
                tuple.items().iter().for_each(|item| self.add(item));
            }
            Term::Map(map) => {
                self.mix(map.entries().len() as u32, 0, salt(16));
                if map.entries().is_empty() {
                    return;
                }
                // Whatever the order of the keys.
                let pairs = map.entries().iter().map(|(key, value)| {
                    let mut pair = Hash(0);
                    pair.add(&key.0);
                    pair.add(value);
                    pair.0
                });
                let pairs = pairs.fold(0, |all, pair| all ^ pair);
                self.mix(pairs, 0, salt(19));
            }
            Term::Bits(bits) => self.bits(bits),
        }
    }

    /// Characters are hashed by fours.
    fn list(&mut self, list: &Term) {
        let mut rest = list;
        while let Term::Cons(_) = rest {
            let (mut word, mut held) = (0_u32, 0);
            while let Term::Cons(cons) = rest
                && let Term::Int(byte @ 0..=255) = cons.head()
            {
                word = (word << 8) + *byte as u32;
                held += 1;
                if held == 4 {
                    self.mix(word, 0, salt(4));
                    (word, held) = (0, 0);
                }
                rest = cons.tail();
            }
            if held > 0 {
                self.mix(word, 0, salt(4));
            }
            if let Term::Cons(cons) = rest {
                self.add(cons.head());
                rest = cons.tail();
            }
        }
        self.add(rest);
    }

    fn big(&mut self, big: &BigInt) {
        let kind = if big.sign() == Sign::Minus { 10 } else { 11 };
        for word in big.magnitude().iter_u64_digits() {
            self.mix(word as u32, (word >> 32) as u32, salt(kind));
        }
    }

    fn bits(&mut self, bits: &Bits) {
        let start = salt(13).wrapping_add(self.0);
        if bits.bits == 0 {
            self.0 = start;
            return;
        }
        let (bytes, rest) = bits.bytes.split_at(bits.bits / 8);
        self.0 = bytes_hash(bytes, start);
        if let [last, ..] = rest {
            let left = (bits.bits % 8) as u32;
            self.mix(left, u32::from(*last) >> (8 - left), salt(15));
        }
    }
}

fn mixed(mut a: u32, mut b: u32, mut c: u32) -> [u32; 3] {
    for [first, second, third] in [[13, 8, 13], [12, 16, 5], [3, 10, 15]] {
        a = a.wrapping_sub(b).wrapping_sub(c) ^ (c >> first);
        b = b.wrapping_sub(c).wrapping_sub(a) ^ (a << second);
        c = c.wrapping_sub(a).wrapping_sub(b) ^ (b >> third);
    }
    [a, b, c]
}

fn bytes_hash(bytes: &[u8], start: u32) -> u32 {
    let word = |bytes: &[u8]| {
        let bytes = bytes.iter().rev();
        bytes.fold(0_u32, |word, byte| (word << 8) | u32::from(*byte))
    };
    let (mut a, mut b, mut c) = (GOLDEN, GOLDEN, start);
    let mut chunks = bytes.chunks_exact(12);
    for chunk in &mut chunks {
        a = a.wrapping_add(word(&chunk[..4]));
        b = b.wrapping_add(word(&chunk[4..8]));
        c = c.wrapping_add(word(&chunk[8..]));
        [a, b, c] = mixed(a, b, c);
    }
    let rest = chunks.remainder();
    let part = |from: usize, to: usize| rest.get(from..rest.len().min(to)).map_or(0, word);
    a = a.wrapping_add(part(0, 4));
    b = b.wrapping_add(part(4, 8));
    // Its lowest byte is that of the length.
    c = c
        .wrapping_add(bytes.len() as u32)
        .wrapping_add(part(8, 11) << 8);
    mixed(a, b, c)[2]
}

/// That of a name alone, in UTF-8.
fn name_hash(name: &str) -> u32 {
    let mut hash = 0_u32;
    let mut bytes = name.bytes().peekable();
    while let Some(byte) = bytes.next() {
        let mut value = u32::from(byte);
        // A letter of Latin-1 counts as one byte.
        if byte & 0xfe == 0xc2
            && let Some(next) = bytes.next_if(|next| next & 0xc0 == 0x80)
        {
            value = ((u32::from(byte) & 3) << 6) | (u32::from(next) & 0x3f);
        }
        hash = (hash << 4).wrapping_add(value);
        let high = hash & 0xf000_0000;
        if high != 0 {
            hash ^= high >> 24;
            hash ^= high;
        }
    }
    hash
}
