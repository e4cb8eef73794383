//! Message ids that the server makes itself, in the form of the xid library that the original clients use.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::MsgId;

/// Returns a new id of 20 characters: the second of `now_ms` (milliseconds since 1970), five bytes of this process's
/// own, and a counter that gives one process 16,777,216 different ids per second.
pub fn xid(now_ms: u64) -> MsgId {
    let process = PROCESS.get_or_init(Process::start);
    let count = process
        .counter
        .fetch_add(1, Ordering::Relaxed)
        .to_be_bytes();
    // Xids count the seconds in 32 bits by definition, until the year 2106.
    let seconds = ((now_ms / 1000) as u32).to_be_bytes();
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&seconds);
    bytes[4..9].copy_from_slice(&process.own);
    bytes[9..].copy_from_slice(&count[1..]);
    MsgId(base32hex(&bytes).into())
}

struct Process {
    own: [u8; 5],
    counter: AtomicU32,
}

static PROCESS: OnceLock<Process> = OnceLock::new();

impl Process {
    fn start() -> Self {
        let mut seed = [0; 8];
        if getrandom::fill(&mut seed).is_err() {
            // An id has to be unlike others, not unguessable, so the keys of the standard hasher will do.
            seed = RandomState::new()
                .hash_one(std::process::id())
                .to_ne_bytes();
        }
        let [a, b, c, d, e, x, y, z] = seed;
        Self {
            own: [a, b, c, d, e],
            counter: AtomicU32::new(u32::from_be_bytes([0, x, y, z])),
        }
    }
}

fn base32hex(bytes: &[u8; 12]) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let mut padded = [0; 16];
    padded[..12].copy_from_slice(bytes);
    let bits = u128::from_be_bytes(padded);
    (1..=20)
        .map(|digit| char::from(DIGITS[(bits >> (128 - 5 * digit)) as usize & 31]))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_published_id_is_written_from_its_twelve_bytes() {
        let bytes = [
            0x63, 0x79, 0x0d, 0xae, 0x19, 0xce, 0x30, 0xdc, 0x82, 0x1f, 0xca, 0xcc,
        ];
        assert_eq!(base32hex(&bytes), "cdsgrbgppoodp0gvpb60");
    }

    #[test]
    fn an_id_has_the_shape_of_an_xid() {
        let id = xid(1_668_877_742_828);
        assert_eq!(id.as_str().len(), 20);
        assert!(
            id.as_str()
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'v'))
        );
        assert_eq!(MsgId::parse(id.as_str()), Ok(id));
    }

    #[test]
    fn ids_of_all_threads_differ() {
        let threads: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(|| (0..5_000).map(|_| xid(1_000)).collect::<Vec<_>>()))
            .collect();
        let ids: HashSet<MsgId> = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect();
        assert_eq!(ids.len(), 20_000);
    }

    #[test]
    fn a_later_second_sorts_after_an_earlier_one() {
        let ids: Vec<MsgId> = [
            0,
            999_999,
            1_668_877_742_828,
            1_668_877_743_828,
            4_000_000_000_000,
        ]
        .into_iter()
        .map(xid)
        .collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn a_time_beyond_32_bits_of_seconds_is_no_panic() {
        assert_eq!(xid(u64::MAX).as_str().len(), 20);
    }
}
