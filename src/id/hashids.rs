//! User ids on the wire: hashids that agree with those of the original Erlang server.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use harsh::Harsh;

use super::{Cid, Uid};
use crate::config::Ids;

/// Converts user numbers to hashids and back; a clone shares its tables.
#[derive(Clone)]
pub struct Hashids {
    harsh: Arc<Harsh>,
    longest: usize,
}

/// Says that a text is not the hashid of any user under the settings in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a valid user id")]
pub struct HashidError;

impl Hashids {
    /// Builds the converter; the error is one line that begins with the name of the setting at fault.
    pub fn new(ids: &Ids) -> Result<Self, String> {
        Self::build(ids).map_err(|(key, reason)| format!("{key}: {reason}"))
    }

    /// Returns the one text that stands for this user, at least `ids.min_length` characters long.
    pub fn encode(&self, uid: Uid) -> String {
        self.harsh.encode(&[uid.0])
    }

    /// Returns the text that stands for this group: the one of a user of its number.
    pub fn encode_group(&self, gid: Cid) -> String {
        self.encode(Uid(gid.0))
    }

    /// Returns the group for which this text stands, as [`Hashids::decode`] does a user.
    pub fn decode_group(&self, text: &str) -> Result<Cid, HashidError> {
        self.decode(text).map(|uid| Cid(uid.0))
    }

    /// Returns the user for whom this text stands, provided that [`Hashids::encode`] would write exactly this text.
    pub fn decode(&self, text: &str) -> Result<Uid, HashidError> {
        if text.len() > self.longest || !text.is_ascii() {
            return Err(HashidError);
        }
        // Harsh adds the digits up unchecked: a text just above the hashid of u64::MAX panics where overflow checks
        // are compiled in. Elsewhere the sum wraps, and the comparison with its own encoding refuses the text.
        let numbers = catch_unwind(AssertUnwindSafe(|| self.harsh.decode(text)));
        match numbers.map_err(|_| HashidError)?.as_deref() {
            Ok([number]) => Ok(Uid(*number)),
            _ => Err(HashidError),
        }
    }

    pub(crate) fn build(ids: &Ids) -> Result<Self, (&'static str, String)> {
        check_settings(ids)?;
        let harsh = Harsh::builder()
            .salt(ids.salt.as_bytes())
            .alphabet(ids.alphabet.as_bytes())
            .separators(ids.separators.as_bytes())
            .length(ids.min_length)
            .build()
            .map_err(|error| ("ids.alphabet", error.to_string()))?;
        let longest = harsh.encode(&[u64::MAX]).len();
        let hashids = Self {
            harsh: Arc::new(harsh),
            longest,
        };
        for number in SAMPLES {
            let text = hashids.encode(Uid(number));
            if hashids.decode(&text) != Ok(Uid(number)) {
                let reason = format!("user {number} does not survive encoding with these settings");
                return Err(("ids.alphabet", reason));
            }
        }
        Ok(hashids)
    }
}

impl fmt::Debug for Hashids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hashids").finish_non_exhaustive()
    }
}

const SAMPLES: [u64; 9] = [
    0,
    1,
    99,
    100,
    12_345,
    u32::MAX as u64,
    i64::MAX as u64,
    u64::MAX - 1,
    u64::MAX,
];
const MIN_ALPHABET: usize = 16;
const MIN_DIGITS: usize = 8;
const MAX_MIN_LENGTH: usize = 64;

/// Refuses what `harsh` would take in silence and later answer with a panic or with ids of its own.
fn check_settings(ids: &Ids) -> Result<(), (&'static str, String)> {
    if !ids.salt.is_ascii() {
        return Err(("ids.salt", "must be ASCII".into()));
    }
    let alphabet = ids.alphabet.as_bytes();
    // Hashids travel in URLs, JSON and comma-separated acknowledgements.
    if !alphabet.iter().all(u8::is_ascii_alphanumeric) {
        return Err((
            "ids.alphabet",
            "must consist of ASCII letters and digits".into(),
        ));
    }
    for (at, letter) in alphabet.iter().enumerate() {
        if alphabet[..at].contains(letter) {
            let reason = format!("contains `{}` twice", char::from(*letter));
            return Err(("ids.alphabet", reason));
        }
    }
    if alphabet.len() < MIN_ALPHABET {
        let reason = format!("must have at least {MIN_ALPHABET} characters");
        return Err(("ids.alphabet", reason));
    }
    for separator in ids.separators.chars() {
        if !ids.alphabet.contains(separator) {
            let reason = format!("contains {separator:?}, which is not in ids.alphabet");
            return Err(("ids.separators", reason));
        }
    }
    if ids.separators.len() > alphabet.len() {
        return Err((
            "ids.separators",
            "must not be longer than ids.alphabet".into(),
        ));
    }
    let digits = ids
        .alphabet
        .chars()
        .filter(|letter| !ids.separators.contains(*letter));
    if digits.count() < MIN_DIGITS {
        let reason = format!("must leave at least {MIN_DIGITS} characters of ids.alphabet");
        return Err(("ids.separators", reason));
    }
    if ids.min_length > MAX_MIN_LENGTH {
        let reason = format!(
            "must be at most {MAX_MIN_LENGTH}, but is {}",
            ids.min_length
        );
        return Err(("ids.min_length", reason));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn the_original_servers_ids_agree_both_ways() {
        let hashids = Hashids::new(&sample()).unwrap();
        for (number, text) in VECTORS {
            assert_eq!(hashids.encode(Uid(number)), text);
            assert_eq!(hashids.decode(text), Ok(Uid(number)));
        }
    }

    #[test]
    fn the_default_settings_carry_every_number() {
        let hashids = Hashids::new(&standard()).unwrap();
        let mut random = fastrand::Rng::with_seed(7);
        for number in SAMPLES
            .into_iter()
            .chain((0..2_000).map(|_| random.u64(..)))
        {
            let text = hashids.encode(Uid(number));
            assert!(text.len() >= 6);
            assert_eq!(hashids.decode(&text), Ok(Uid(number)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_canonical_id_of_one_number_is_refused() {
        let hashids = Hashids::new(&sample()).unwrap();
        let harsh = &hashids.harsh;
        let of_two = harsh.encode(&[1, 2]);
        for bad in [
            "",
            "k",
            "kybqd",
            "kybqdpp",
            "KYBQDP",
            "kybqdq",
            "kybqd0",
            "kybqd ",
            " kybqdp",
            "kybqdp\n",
            "kybqdé",
            "驿站驿站",
            "\0\0\0\0\0\0",
            "ybqd",
            "cfhist",
            "......",
            "1",
            "-1",
            &of_two,
        ] {
            assert_eq!(hashids.decode(bad), Err(HashidError), "{bad:?}");
        }
    }

    #[test]
    fn odd_texts_never_panic_and_never_make_a_user_twice() {
        for ids in [sample(), standard()] {
            let hashids = Hashids::new(&ids).unwrap();
            let letters: Vec<char> = ids.alphabet.chars().chain("0lO ,é驿\0".chars()).collect();
            let mut random = fastrand::Rng::with_seed(42);
            for _ in 0..20_000 {
                let length = random.usize(0..=20);
                let text: String = (0..length)
                    .map(|_| letters[random.usize(..letters.len())])
                    .collect();
                if let Ok(uid) = hashids.decode(&text) {
                    assert_eq!(hashids.encode(uid), text);
                }
            }
        }
    }

    #[test]
    fn a_number_above_the_largest_is_refused() {
        let hashids = Hashids::new(&sample()).unwrap();
        let largest = hashids.encode(Uid(u64::MAX));
        for at in 0..largest.len() {
            for letter in sample().alphabet.bytes() {
                let mut text = largest.clone().into_bytes();
                text[at] = letter;
                let text = String::from_utf8(text).unwrap();
                if let Ok(uid) = hashids.decode(&text) {
                    assert_eq!(hashids.encode(uid), text);
                }
            }
        }
    }

    #[test]
    fn settings_that_cannot_work_are_named() {
        let cases: [(&str, Spoil); 8] = [
            ("ids.alphabet: must have", |ids| {
                ids.alphabet = "abcdefghijklmno".into()
            }),
            ("ids.alphabet: contains `a`", |ids| ids.alphabet.push('a')),
            ("ids.alphabet: must consist", |ids| ids.alphabet.push('é')),
            ("ids.alphabet: must consist", |ids| ids.alphabet.push(',')),
            ("ids.separators: contains 'A'", |ids| {
                ids.separators = "cfA".into()
            }),
            ("ids.separators: must leave", |ids| {
                ids.separators = ids.alphabet.clone()
            }),
            ("ids.min_length: must be", |ids| ids.min_length = 65),
            ("ids.salt: must be", |ids| ids.salt = "驿".into()),
        ];
        for (expected, spoil) in cases {
            let mut ids = sample();
            spoil(&mut ids);
            let error = Hashids::new(&ids).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
            assert!(!error.contains('\n'));
        }
    }

    #[test]
    fn settings_that_are_accepted_always_work() {
        let mut random = fastrand::Rng::with_seed(1);
        let all: Vec<char> = standard().alphabet.chars().collect();
        for _ in 0..2_000 {
            let mut alphabet = all.clone();
            random.shuffle(&mut alphabet);
            alphabet.truncate(random.usize(16..=all.len()));
            let separators = (0..random.usize(0..=alphabet.len()))
                .map(|_| alphabet[random.usize(..alphabet.len())])
                .collect();
            let ids = Ids {
                salt: (0..random.usize(0..50))
                    .map(|_| random.alphanumeric())
                    .collect(),
                alphabet: alphabet.iter().collect(),
                separators,
                min_length: random.usize(0..=64),
            };
            if let Err(error) = Hashids::new(&ids) {
                assert!(
                    error.starts_with("ids.separators: must leave"),
                    "{error} {ids:?}"
                );
            }
        }
    }

    type Spoil = fn(&mut Ids);

    const VECTORS: [(u64, &str); 9] = [
        (0, "2ja1kp"),
        (1, "kybqdp"),
        (2, "18aw3p"),
        (4, "8ybk5b"),
        (5, "8daz8a"),
        (108, "7b4v1b"),
        (12_345, "bxyxr9"),
        (13_238, "bymj5g"),
        (513_244, "9d4nnk"),
    ];

    fn sample() -> Ids {
        Ids {
            salt: "cVQtrKNu".into(),
            alphabet: "123456789abcdefghijkmnpqrstuvwxyz".into(),
            separators: "cfhistuu".into(),
            min_length: 6,
        }
    }

    fn standard() -> Ids {
        Ids {
            salt: String::new(),
            alphabet: "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ1234567890".into(),
            separators: "cfhistuCFHISTU".into(),
            min_length: 6,
        }
    }
}
