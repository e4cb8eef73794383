//! Reads what a server says: one pass over the text of a frame, no copy, and nothing taken for granted.

use memchr::memchr2;

/// The members that a client looks at, as they stand in the frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) kind: &'a [u8],
    pub(super) id: Option<&'a [u8]>,
    pub(super) from: Option<&'a [u8]>,
    pub(super) to: Option<&'a [u8]>,
    pub(super) did: Option<&'a [u8]>,
    pub(super) seq: Option<u64>,
    /// With its quotes or brackets.
    pub(super) payload: Option<&'a [u8]>,
    /// With its brackets.
    pub(super) seqs: Option<&'a [u8]>,
    pub(super) up_to: Option<u64>,
}

/// The text is not an object that a server may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

impl<'a> Frame<'a> {
    /// Reads one object and nothing behind it. Strings are left as they stand, escapes and all.
    pub(super) fn read(text: &'a [u8]) -> Result<Frame<'a>, Broken> {
        let mut frame = Frame::default();
        let mut at = Cursor { text, at: 0 };
        let mut kind = None;
        at.take(b'{')?;
        if at.is_next(b'}') {
            return Err(Broken);
        }
        loop {
            let key = at.string()?;
            at.take(b':')?;
            let value = at.value()?;
            match key {
                b"type" => once(&mut kind, unquoted(value)?)?,
                b"id" => once(&mut frame.id, unquoted(value)?)?,
                b"from" => once(&mut frame.from, unquoted(value)?)?,
                b"to" => once(&mut frame.to, unquoted(value)?)?,
                b"did" => once(&mut frame.did, unquoted(value)?)?,
                b"seq" => once(&mut frame.seq, number(value)?)?,
                b"payload" => once(&mut frame.payload, value)?,
                b"seqs" => once(&mut frame.seqs, value)?,
                b"up_to" => once(&mut frame.up_to, number(value)?)?,
                _ => {}
            }
            at.space();
            match at.byte()? {
                b',' => {}
                b'}' => break,
                _ => return Err(Broken),
            }
        }
        at.space();
        if at.at != text.len() {
            return Err(Broken);
        }
        frame.kind = kind.ok_or(Broken)?;
        Ok(frame)
    }
}

/// Reads a list of whole numbers, brackets and all.
pub(super) fn numbers(list: &[u8]) -> Result<impl Iterator<Item = Result<u64, Broken>>, Broken> {
    let inner = list.strip_prefix(b"[").and_then(|l| l.strip_suffix(b"]"));
    let inner = inner.ok_or(Broken)?;
    let numbers = inner.split(|&b| b == b',');
    // An empty list is split into one empty number.
    let count = if inner.is_empty() { 0 } else { usize::MAX };
    Ok(numbers.take(count).map(|n| number(n.trim_ascii())))
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Broken> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Broken),
    }
}

fn unquoted(value: &[u8]) -> Result<&[u8], Broken> {
    let inner = value
        .strip_prefix(b"\"")
        .and_then(|v| v.strip_suffix(b"\""));
    inner.ok_or(Broken)
}

fn number(digits: &[u8]) -> Result<u64, Broken> {
    if digits.is_empty() || digits.len() > 1 && digits[0] == b'0' {
        return Err(Broken);
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        if !digit.is_ascii_digit() {
            return Err(Broken);
        }
        let number = number.checked_mul(10).ok_or(Broken)?;
        number.checked_add(u64::from(digit - b'0')).ok_or(Broken)
    })
}

struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn byte(&mut self) -> Result<u8, Broken> {
        let byte = *self.text.get(self.at).ok_or(Broken)?;
        self.at += 1;
        Ok(byte)
    }

    fn space(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn is_next(&mut self, byte: u8) -> bool {
        self.space();
        self.text.get(self.at) == Some(&byte)
    }

    fn take(&mut self, byte: u8) -> Result<(), Broken> {
        self.space();
        match self.byte()? == byte {
            true => Ok(()),
            false => Err(Broken),
        }
    }

    /// What stands between the next two quotes.
    fn string(&mut self) -> Result<&'a [u8], Broken> {
        self.take(b'"')?;
        let start = self.at;
        self.rest_of_string()?;
        Ok(&self.text[start..self.at - 1])
    }

    fn rest_of_string(&mut self) -> Result<(), Broken> {
        loop {
            let rest = self.text.get(self.at..).ok_or(Broken)?;
            let found = memchr2(b'"', b'\\', rest).ok_or(Broken)?;
            match rest[found] {
                b'"' => {
                    self.at += found + 1;
                    return Ok(());
                }
                _ => self.at += found + 2,
            }
        }
    }

    /// A value of any kind, as it stands.
    fn value(&mut self) -> Result<&'a [u8], Broken> {
        self.space();
        let start = self.at;
        match self.byte()? {
            b'"' => self.rest_of_string()?,
            b'{' | b'[' => self.rest_of_nest()?,
            b',' | b'}' | b']' | b':' => return Err(Broken),
            _ => {
                let ends = |b: &u8| matches!(b, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
                let rest = &self.text[self.at..];
                self.at += rest.iter().position(ends).ok_or(Broken)?;
            }
        }
        Ok(&self.text[start..self.at])
    }

    /// Up to the bracket that closes the one just passed; which kind closes which is the server's affair.
    fn rest_of_nest(&mut self) -> Result<(), Broken> {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.byte()? {
                b'"' => self.rest_of_string()?,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_frame_of_the_protocol_is_read() {
        let accepted =
            r#"{"id":"m1","type":"C2C_SERVER_ACK","to":"7b4v1b","server_ts":1668877742900}"#;
        let frame = Frame::read(accepted.as_bytes()).unwrap();
        assert_eq!(frame.kind, b"C2C_SERVER_ACK");
        assert_eq!(
            (frame.id, frame.to),
            (Some(&b"m1"[..]), Some(&b"7b4v1b"[..]))
        );

        let message = r#"{"id":"m1","type":"C2C","from":"kybqdp","to":"7b4v1b","payload":{"a":["}",{"seq":9}]},"server_ts":1,"seq":18446744073709551615}"#;
        let frame = Frame::read(message.as_bytes()).unwrap();
        assert_eq!(frame.payload, Some(&br#"{"a":["}",{"seq":9}]}"#[..]));
        assert_eq!(frame.seq, Some(u64::MAX));

        let confirmed = Frame::read(br#"{"type":"CLIENT_ACK_OK","seqs":[1,22,333]}"#).unwrap();
        let seqs: Vec<_> = numbers(confirmed.seqs.unwrap()).unwrap().collect();
        assert_eq!(seqs, [Ok(1), Ok(22), Ok(333)]);
        let confirmed = Frame::read(br#"{"type":"CLIENT_ACK_OK","up_to":0}"#).unwrap();
        assert_eq!(confirmed.up_to, Some(0));

        let told =
            br#"{"id":"m1","type":"C2C_DELIVERED","from":"b","to":"b","did":"d","server_ts":1}"#;
        assert_eq!(Frame::read(told).unwrap().did, Some(&b"d"[..]));
    }

    #[test]
    fn members_inside_a_payload_are_not_those_of_the_frame() {
        let text = br#"{"payload":"\",\"id\":\"x\",\"type\":\"y\"","id":"m","type":"C2C"}"#;
        let frame = Frame::read(text).unwrap();
        assert_eq!((frame.id, frame.kind), (Some(&b"m"[..]), &b"C2C"[..]));
    }

    #[test]
    fn white_space_is_passed_over() {
        let frame = Frame::read(b" { \"type\" : \"C2C\" , \"seq\" : 7 } \n").unwrap();
        assert_eq!((frame.kind, frame.seq), (&b"C2C"[..], Some(7)));
    }

    #[test]
    fn an_empty_list_has_no_numbers() {
        assert_eq!(numbers(b"[]").unwrap().count(), 0);
        assert!(numbers(b"[1").is_err());
        assert_eq!(numbers(b"[1,]").unwrap().last(), Some(Err(Broken)));
    }

    #[test]
    fn what_is_not_a_whole_frame_is_broken() {
        for text in [
            "",
            "{}",
            "[]",
            "pong",
            r#"{"type":"C2C""#,
            r#"{"type":"C2C"}}"#,
            r#"{"type":"C2C"} x"#,
            r#"{"type":"C2C",}"#,
            r#"{"type":}"#,
            r#"{"type":7}"#,
            r#"{"type":"C2C","type":"C2C"}"#,
            r#"{"id":"m"}"#,
            r#"{"type":"C2C","seq":-1}"#,
            r#"{"type":"C2C","seq":01}"#,
            r#"{"type":"C2C","seq":1.0}"#,
            r#"{"type":"C2C","seq":18446744073709551616}"#,
            r#"{"type":"C2C","id":"m\"}"#,
            r#"{"type":"C2C","payload":{"a":1}"#,
            r#"{type:"C2C"}"#,
        ] {
            assert_eq!(Frame::read(text.as_bytes()), Err(Broken), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_values_are_they_are_read_as_a_json_library_does(
            id in "[a-z0-9]{1,20}",
            seq in any::<u64>(),
            payload in any::<String>(),
            deep in 0_usize..20,
            last in any::<bool>(),
        ) {
            let payload = serde_json::to_string(&payload).unwrap();
            let payload = format!("{}{payload}{}", "[".repeat(deep), "]".repeat(deep));
            let text = match last {
                true => format!(r#"{{"id":"{id}","seq":{seq},"type":"C2C","payload":{payload}}}"#),
                false => format!(r#"{{"payload":{payload},"type":"C2C","seq":{seq},"id":"{id}"}}"#),
            };
            let frame = Frame::read(text.as_bytes()).unwrap();
            prop_assert_eq!(frame.id, Some(id.as_bytes()));
            prop_assert_eq!(frame.seq, Some(seq));
            prop_assert_eq!(frame.payload, Some(payload.as_bytes()));
        }

        #[test]
        fn no_bytes_make_it_panic_and_none_that_are_cut_off_pass(bytes in any::<Vec<u8>>(), cut in 1_usize..60) {
            let _ = Frame::read(&bytes);
            let whole = br#"{"id":"m1","type":"C2C","payload":{"a":"\\\""},"seq":12,"seqs":[1]}"#;
            prop_assert_eq!(Frame::read(&whole[..whole.len() - cut]), Err(Broken));
        }
    }
}
