//! The names of things: users, messages, devices, and the forms they take on the wire.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserializer, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

pub mod hashids;
pub mod xid;

pub use hashids::{HashidError, Hashids};

/// A user's number, which never leaves the server: on the wire a user is a hashid.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Uid(pub u64);

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a conversation; that of a group is how its members name it, as a hashid on the wire.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize,
)]
pub struct Cid(pub u64);

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in a sequence: of a message in its reader's inbox, or in its conversation. It rises from 1, and is never used
/// twice.
pub type Seq = u64;

/// The longest message id or device id, in bytes.
pub const MAX_NAME: usize = 64;

/// Says what is wrong with a message id or a device id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameError {
    /// Nothing is there.
    #[error("is empty")]
    Empty,
    /// There are more than [`MAX_NAME`] bytes.
    #[error("is longer than 64 bytes")]
    TooLong,
    /// A comma would end the field in a text acknowledgement.
    #[error("contains a comma")]
    Comma,
    /// A control character would break a log line or a frame.
    #[error("contains a control character")]
    Control,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text as a name: 1 to 64 bytes, no comma, no control character.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                check_name(text)?;
                Ok(Self(text.into()))
            }

            /// Returns the name as its maker wrote it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = deserializer.deserialize_str(NameVisitor)?;
                Ok(Self(text))
            }
        }
    };
}

name! {
    /// The id that a sender gives to a message; two senders may use the same one.
    MsgId
}

name! {
    /// The id that a client gives to its device; it is unique within one user only.
    Did
}

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = Arc<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name of 1 to 64 bytes without commas and control characters")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Arc<str>, E> {
        check_name(text).map_err(E::custom)?;
        Ok(text.into())
    }
}

fn check_name(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > MAX_NAME {
        return Err(NameError::TooLong);
    }
    for character in text.chars() {
        if character == ',' {
            return Err(NameError::Comma);
        }
        if character.is_control() {
            return Err(NameError::Control);
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_1_to_64_bytes() {
        assert_eq!(MsgId::parse(""), Err(NameError::Empty));
        assert_eq!(MsgId::parse("a").unwrap().as_str(), "a");
        assert!(MsgId::parse(&"a".repeat(64)).is_ok());
        assert_eq!(MsgId::parse(&"a".repeat(65)), Err(NameError::TooLong));
        assert!(Did::parse(&"驿".repeat(21)).is_ok());
        assert_eq!(Did::parse(&"驿".repeat(22)), Err(NameError::TooLong));
    }

    #[test]
    fn a_name_has_no_comma_and_no_control_character() {
        assert_eq!(Did::parse("a,b"), Err(NameError::Comma));
        for bad in ["a\nb", "\0", "a\u{7f}", "a\u{85}"] {
            assert_eq!(Did::parse(bad), Err(NameError::Control), "{bad:?}");
        }
        assert!(Did::parse("a b·ü").is_ok());
    }

    #[test]
    fn a_name_is_a_plain_string_in_json_and_is_checked_when_read() {
        let id: MsgId = serde_json::from_str(r#""cdsgrbgppoodp0gvpb60""#).unwrap();
        assert_eq!(id.to_string(), "cdsgrbgppoodp0gvpb60");
        assert_eq!(
            serde_json::to_string(&id).unwrap(),
            r#""cdsgrbgppoodp0gvpb60""#
        );
        let refused = serde_json::from_str::<MsgId>(r#""a,b""#).unwrap_err();
        assert!(refused.to_string().starts_with("contains a comma"));
        assert!(serde_json::from_str::<MsgId>("7").is_err());
    }

    #[test]
    fn the_message_names_the_bound_in_force() {
        assert!(
            NameError::TooLong
                .to_string()
                .contains(&MAX_NAME.to_string())
        );
    }
}
