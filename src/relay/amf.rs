//! Reading AMF0, the notation of RTMP's commands, from bytes that may be cut off or may be anything.

/// How deep values may lie within each other.
const DEPTH_MAX: usize = 16;

/// One value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// A number.
    Number(f64),
    /// A string, in whatever encoding.
    Text(&'a [u8]),
    /// An object or a map by names.
    Object(Fields<'a>),
    /// Null, or any kind of value by which no command is told from another.
    Other,
}

/// The fields of an object, as far as they are there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The string of this name.
    pub(super) fn text(self, name: &str) -> Option<&'a [u8]> {
        let mut reader = Reader::new(self.0);
        while let Some((field, value)) = reader.field(1) {
            match value {
                Value::Text(text) if field == name.as_bytes() => return Some(text),
                _ => {}
            }
        }
        None
    }
}

/// Takes one value after the other, until the bytes end or are not understood.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Begins at the first byte.
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// The next value. An object that is cut off is given with the fields that are there, and is the last.
    pub(super) fn value(&mut self) -> Option<Value<'a>> {
        self.nested(0)
    }

    fn nested(&mut self, depth: usize) -> Option<Value<'a>> {
        if depth > DEPTH_MAX {
            self.rest = &[];
            return None;
        }
        let kind = self.byte()?;
        Some(match kind {
            0x00 => Value::Number(f64::from_be_bytes(*self.rest_array()?)),
            0x01 => self.passed(1)?,
            0x02 => Value::Text(self.short()?),
            0x03 => self.object(depth),
            0x05 | 0x06 | 0x0d => Value::Other,
            0x07 => self.passed(2)?,
            0x08 => {
                self.take(4)?;
                self.object(depth)
            }
            0x0a => {
                for _ in 0..self.long_length()? {
                    self.nested(depth + 1)?;
                }
                Value::Other
            }
            0x0b => self.passed(10)?,
            0x0c => Value::Text(self.long()?),
            0x0f => {
                self.long()?;
                Value::Other
            }
            0x10 => {
                self.short()?;
                self.object(depth)
            }
            _ => {
                self.rest = &[];
                return None;
            }
        })
    }

    fn object(&mut self, depth: usize) -> Value<'a> {
        let fields = Fields(self.rest);
        while self.field(depth + 1).is_some() {}
        Value::Object(fields)
    }

    /// The next field of an object; its end is an empty name with a mark behind it.
    fn field(&mut self, depth: usize) -> Option<(&'a [u8], Value<'a>)> {
        let name = self.short()?;
        if name.is_empty() && self.rest.first() == Some(&0x09) {
            self.byte()?;
            return None;
        }
        Some((name, self.nested(depth)?))
    }

    fn passed(&mut self, count: usize) -> Option<Value<'a>> {
        self.take(count).map(|_| Value::Other)
    }

    fn short(&mut self) -> Option<&'a [u8]> {
        let length = u16::from_be_bytes(*self.rest_array()?);
        self.take(length.into())
    }

    fn long(&mut self) -> Option<&'a [u8]> {
        let length = self.long_length()?;
        self.take(usize::try_from(length).ok()?)
    }

    fn long_length(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(*self.rest_array()?))
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn rest_array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// Bytes that are cut off end the reading, so that nothing is taken for what it is not.
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            self.rest = &[];
            return None;
        };
        self.rest = rest;
        Some(taken)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OBJECT: &[u8] = b"\x03\0\x02in\x03\0\x03app\x02\0\x03bad\0\0\x09\0\x03app\x02\0\x04live\0\x01n\x00\x3f\xf0\0\0\0\0\0\0\0\0\x09";

    #[test]
    fn values_are_read_one_after_the_other() {
        let bytes = [
            b"\x02\0\x02hi".as_slice(),
            b"\x00\x40\x08\0\0\0\0\0\0",
            b"\x05\x06\x01\x01\x0b\0\0\0\0\0\0\0\0\0\0",
            b"\x0a\0\0\0\x02\x05\x02\0\x01x",
            b"\x0c\0\0\0\x02yz",
            OBJECT,
            b"\x08\0\0\0\x01\0\x01k\x02\0\x01v\0\0\x09",
            b"\x10\0\x01T\0\x01k\x02\0\x01w\0\0\x09",
            b"\x02\0\x03end",
        ]
        .concat();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.value(), Some(Value::Text(b"hi")));
        assert_eq!(reader.value(), Some(Value::Number(3.0)));
        for _ in 0..5 {
            assert_eq!(reader.value(), Some(Value::Other));
        }
        assert_eq!(reader.value(), Some(Value::Text(b"yz")));
        for (name, text) in [("app", b"live".as_slice()), ("k", b"v"), ("k", b"w")] {
            let Some(Value::Object(fields)) = reader.value() else {
                panic!("there is an object");
            };
            assert_eq!(fields.text(name), Some(text));
            assert_eq!(fields.text("n"), None);
        }
        assert_eq!(reader.value(), Some(Value::Text(b"end")));
        assert_eq!(reader.value(), None);
    }

    #[test]
    fn an_object_that_is_cut_off_has_the_fields_before_the_cut() {
        let mut reader = Reader::new(&OBJECT[..OBJECT.len() - 8]);
        let Some(Value::Object(fields)) = reader.value() else {
            panic!("there is an object");
        };
        assert_eq!(fields.text("app"), Some(b"live".as_slice()));
        assert_eq!(reader.value(), None);
    }

    #[test]
    fn a_value_that_lies_too_deep_ends_the_reading() {
        let deep = b"\x0a\0\0\0\x01".repeat(100_000);
        assert_eq!(Reader::new(&deep).value(), None);
        let deep = b"\x03\0\x01a".repeat(100_000);
        let mut reader = Reader::new(&deep);
        assert!(matches!(reader.value(), Some(Value::Object(_))));
        assert_eq!(reader.value(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_come_to_an_end(bytes in prop::collection::vec(0u8..17, 0..300)) {
            let mut reader = Reader::new(&bytes);
            let mut values = 0;
            while let Some(value) = reader.value() {
                if let Value::Object(fields) = value {
                    fields.text("app");
                }
                values += 1;
                prop_assert!(values <= bytes.len());
            }
        }
    }
}
