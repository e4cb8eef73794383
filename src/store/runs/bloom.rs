//! A filter that says of most keys that they are not there.

use xxhash_rust::xxh3::xxh3_64;

/// Bits for each key: about one look in a hundred is in vain.
const BITS: usize = 10;
/// Bits that one key sets.
const PROBES: u64 = 7;

/// A Bloom filter over the hashes of keys.
#[derive(Debug)]
pub(super) struct Bloom {
    bits: Vec<u8>,
}

impl Bloom {
    /// A filter of these keys' hashes.
    pub(super) fn of(hashes: &[u64]) -> Bloom {
        let mut bloom = Bloom {
            bits: vec![0; (hashes.len() * BITS).div_ceil(8).max(8)],
        };
        for hash in hashes {
            for bit in bloom.places(*hash) {
                bloom.bits[bit / 8] |= 1 << (bit % 8);
            }
        }
        bloom
    }

    /// A filter as it was written.
    pub(super) fn from_bytes(bits: Vec<u8>) -> Bloom {
        Bloom { bits }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bits
    }

    /// False if no key of this hash is there.
    pub(super) fn may_have(&self, hash: u64) -> bool {
        self.places(hash)
            .all(|bit| self.bits[bit / 8] & (1 << (bit % 8)) != 0)
    }

    fn places(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let bits = (self.bits.len() as u64 * 8).max(1);
        // Two halves of one hash stand in for as many hashes as are wanted.
        let step = hash.rotate_left(32) | 1;
        (0..PROBES).map(move |n| (hash.wrapping_add(n.wrapping_mul(step)) % bits) as usize)
    }
}

/// The hash by which the filter knows a key.
pub(super) fn hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(range: std::ops::Range<u64>) -> Vec<u64> {
        range.map(|n| hash(&n.to_be_bytes())).collect()
    }

    #[test]
    fn every_key_is_found_and_hardly_any_other() {
        let bloom = Bloom::of(&hashes(0..10_000));
        assert!(hashes(0..10_000).iter().all(|hash| bloom.may_have(*hash)));
        let others = hashes(10_000..20_000);
        let wrong = others.iter().filter(|hash| bloom.may_have(**hash)).count();
        assert!(wrong < 200, "{wrong}");
    }
}
