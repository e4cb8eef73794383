//! What a key of the history says, and which period a time is in.

/// The table.
pub const TABLE: u8 = b'h';
/// Bytes of a key: the table, a conversation, and a number in it.
pub const KEY: usize = 1 + 8 + 8;
/// How long a period is, ms: a day.
pub const DAY_MS: u64 = 86_400_000;

/// The key of a message by its conversation and its number there.
pub fn key_of(conversation: u64, cseq: u64) -> [u8; KEY] {
    let mut key = [TABLE; KEY];
    key[1..9].copy_from_slice(&conversation.to_be_bytes());
    key[9..].copy_from_slice(&cseq.to_be_bytes());
    key
}

/// The conversation and the number that a key names; none if it is no key of the history.
pub fn parts_of(key: &[u8]) -> Option<(u64, u64)> {
    let (conversation, cseq) = key.strip_prefix(&[TABLE])?.split_first_chunk()?;
    let cseq = cseq.try_into().ok()?;
    Some((u64::from_be_bytes(*conversation), u64::from_be_bytes(cseq)))
}

/// The period that a time is in.
pub fn period_of(ts: u64) -> u32 {
    u32::try_from(ts / DAY_MS).unwrap_or(u32::MAX)
}

/// The first moment after a period, Unix milliseconds.
pub fn end_of(period: u32) -> u64 {
    (u64::from(period) + 1) * DAY_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_apart_as_it_was_made() {
        let key = key_of(7, u64::MAX - 1);
        assert_eq!(parts_of(&key), Some((7, u64::MAX - 1)));
        assert_eq!(parts_of(&key[..16]), None);
        assert_eq!(parts_of(b"i234567890abcdefg"), None);
        assert!(key_of(7, u64::MAX) < key_of(8, 0));
    }

    #[test]
    fn a_period_is_a_day() {
        let ts = 20_000 * DAY_MS;
        assert_eq!((period_of(ts), period_of(ts - 1)), (20_000, 19_999));
        assert_eq!(end_of(19_999), ts);
        assert_eq!(period_of(u64::MAX), u32::MAX);
    }
}
