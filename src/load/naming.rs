//! What a run calls its messages and its devices: the same in no other run, and read back without a table.

use crate::id::xid::xid;

/// Characters of a message id: those of the run, of the flow, and of the number.
pub(super) const ID: usize = RUN + NAME;
/// Bytes of an id in front of what changes within a run.
pub(super) const RUN: usize = 8;
/// Bytes of an id that name the message within its run.
pub(super) const NAME: usize = FLOW + NUMBER;
const FLOW: usize = 4;
const NUMBER: usize = 8;
/// Flows that a run can name.
pub(super) const FLOWS_MAX: usize = 1 << (5 * FLOW);

const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
/// The users of a run are numbered from here on, and up, if nobody says otherwise.
const USERS: u64 = 1 << 40;
/// Users that lie between those of two runs.
const USERS_APART: u32 = 20;

/// One run of the load tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run([u8; RUN]);

/// A message of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) flow: u32,
    pub(super) number: u64,
}

impl Run {
    /// A run that is unlike every other one.
    pub(super) fn new(now_ms: u64) -> Run {
        let id = xid(now_ms);
        let id = id.as_str().as_bytes();
        let mut run = [b'0'; RUN];
        // What tells this process from others, and what counts within it; the rest tells the second.
        run[..4].copy_from_slice(&id[8..12]);
        run[4..].copy_from_slice(&id[16..20]);
        Run(run)
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The first of a million user numbers that no other run is likely to use.
    pub(super) fn users(&self) -> u64 {
        let part = |digits: &[u8]| read(digits).unwrap_or_default();
        // The last character of an xid has one bit only.
        let place = part(&self.0[..4]) ^ (part(&self.0[4..]) >> 4);
        USERS + (place << USERS_APART)
    }

    /// The name of a reader's device.
    pub(super) fn did(&self, device: usize) -> String {
        format!("{}-{device}", self.as_str())
    }

    /// Which device has this name.
    pub(super) fn device(&self, did: &[u8]) -> Option<usize> {
        let number = did.strip_prefix(&self.0)?.strip_prefix(b"-")?;
        std::str::from_utf8(number).ok()?.parse().ok()
    }

    /// Which message of this run has this id.
    pub(super) fn name(&self, id: &[u8]) -> Option<Name> {
        let name = id.strip_prefix(&self.0)?;
        if name.len() != NAME {
            return None;
        }
        Some(Name {
            flow: u32::try_from(read(&name[..FLOW])?).ok()?,
            number: read(&name[FLOW..])?,
        })
    }

    pub(super) fn id(&self, name: Name) -> String {
        let mut id = String::with_capacity(ID);
        id.push_str(self.as_str());
        id.extend(name.digits().map(char::from));
        id
    }
}

impl Name {
    /// What stands in an id behind the run.
    pub(super) fn digits(self) -> [u8; NAME] {
        let mut digits = [0; NAME];
        let (flow, number) = digits.split_at_mut(FLOW);
        write(flow, self.flow.into());
        write(number, self.number);
        digits
    }
}

fn write(places: &mut [u8], mut number: u64) {
    for place in places.iter_mut().rev() {
        *place = DIGITS[(number & 31) as usize];
        number >>= 5;
    }
}

fn read(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'v' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 5 | u64::from(value))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_from_its_id() {
        let run = Run::new(1_668_877_742_828);
        for (flow, number) in [
            (0, 0),
            (1, 31),
            (1_048_575, (1 << 40) - 1),
            (77, 123_456_789),
        ] {
            let name = Name { flow, number };
            let id = run.id(name);
            assert_eq!(id.len(), ID);
            assert_eq!(run.name(id.as_bytes()), Some(name));
        }
    }

    #[test]
    fn an_id_of_another_shape_or_run_names_nothing() {
        let run = Run(*b"0123abcd");
        assert!(run.name(b"0123abcd000000000001").is_some());
        for id in [
            "",
            "0123abcd",
            "0123abcd00000000000",
            "0123abcd0000000000001",
            "0123abce000000000001",
            "0123abcd00000000000w",
            "0123abcd00000000000 ",
            "0123ABCD000000000001",
        ] {
            assert_eq!(run.name(id.as_bytes()), None, "{id}");
        }
    }

    #[test]
    fn runs_differ_and_so_do_their_users() {
        let (one, other) = (Run(*b"0000abcd"), Run(*b"0001abcd"));
        assert_eq!(other.users() - one.users(), 1 << USERS_APART);
        let (one, other) = (Run::new(0), Run::new(0));
        assert_ne!(one, other);
        assert_ne!(one.users(), other.users());
    }

    #[test]
    fn a_device_is_read_back_from_its_name() {
        let run = Run(*b"0123abcd");
        assert_eq!(run.device(run.did(11).as_bytes()), Some(11));
        assert_eq!(run.device(b"0123abcd"), None);
        assert_eq!(run.device(b"another-1"), None);
    }
}
