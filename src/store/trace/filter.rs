//! A filter that says of most keys that a block does not have them.

/// Bits for each record: about one look in a hundred is in vain.
const BITS: usize = 10;
/// Bits that one key sets.
const PROBES: u32 = 6;

/// Adds a filter of these keys to `bytes`.
pub(super) fn write(keys: &[u64], bytes: &mut Vec<u8>) {
    let at = bytes.len();
    bytes.resize(at + (keys.len() * BITS).div_ceil(8).max(8), 0);
    let bits = &mut bytes[at..];
    let count = bits.len() as u64 * 8;
    for key in keys {
        for place in places(*key, count) {
            bits[place / 8] |= 1 << (place % 8);
        }
    }
}

/// False if no record has this key.
pub(super) fn may_have(bits: &[u8], key: u64) -> bool {
    let set = |place: usize| {
        bits.get(place / 8)
            .is_none_or(|b| b & (1 << (place % 8)) != 0)
    };
    places(key, bits.len() as u64 * 8).all(set)
}

fn places(key: u64, count: u64) -> impl Iterator<Item = usize> {
    // A caller's hash may be a poor one, and its halves must be independent here.
    let mixed = (key ^ (key >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let (first, step) = (mixed as u32, (mixed >> 32) as u32 | 1);
    (0..PROBES).map(move |n| {
        let hash = first.wrapping_add(n.wrapping_mul(step));
        // The upper half of a product spreads as evenly as a remainder, and is no division.
        ((u64::from(hash) * count) >> 32) as usize
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_and_hardly_any_other() {
        let patterns: [fn(u64) -> u64; 3] = [
            |n| n,
            |n| n << 40,
            |n| n.wrapping_mul(0x2545_f491_4f6c_dd1d),
        ];
        for pattern in patterns {
            let keys: Vec<u64> = (0..10_000).map(pattern).collect();
            let mut filter = Vec::new();
            write(&keys, &mut filter);
            assert!(keys.iter().all(|key| may_have(&filter, *key)));
            let others = (10_000..20_000).map(pattern);
            let wrong = others.filter(|key| may_have(&filter, *key)).count();
            assert!(wrong < 200, "{wrong}");
        }
    }

    #[test]
    fn a_filter_of_nothing_has_nothing() {
        let mut filter = Vec::new();
        write(&[], &mut filter);
        assert!(!may_have(&filter, 1));
    }
}
