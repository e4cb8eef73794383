//! The releases behind one small interface.

use std::fmt;
use std::fs::File;
use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;

/// Bytes in every value.
pub(crate) const VALUE_BYTES: usize = 300;

/// The same page cache for every release.
const CACHE_BYTES: u32 = 256 << 20;

/// What a measurement runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Release {
    /// sled 0.34.7.
    #[value(name = "0.34")]
    Stable,
    /// sled 1.0.0-alpha.124 with its default of 1,024 rows a leaf.
    #[value(name = "1.0-alpha")]
    Alpha,
    /// The same with 64 rows a leaf, the setting its documentation offers for less work per write.
    #[value(name = "1.0-alpha-leaf64")]
    AlphaSmallLeaf,
}

impl Release {
    /// Every release, in the order of the tables.
    pub(crate) const ALL: [Self; 3] = [Self::Stable, Self::Alpha, Self::AlphaSmallLeaf];

    /// Opens or creates a database.
    pub(crate) fn open(self, path: &Path) -> Result<Box<dyn Engine>> {
        Ok(match self {
            Self::Stable => Box::new(Stable::open(path)?),
            Self::Alpha => Box::new(Alpha::<1024>::open(path)?),
            Self::AlphaSmallLeaf => Box::new(Alpha::<64>::open(path)?),
        })
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stable => "0.34",
            Self::Alpha => "1.0-alpha",
            Self::AlphaSmallLeaf => "1.0-alpha-leaf64",
        })
    }
}

/// Where in key order the rows go that are written one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyOrder {
    /// Always at the end: one log. The easiest case for a tree.
    Growing,
    /// At the end of one of 65,536 queues, another one each time: inboxes.
    Scattered,
}

impl KeyOrder {
    /// The key of the n-th row; no two rows share one while n fits in 48 bits.
    pub(crate) fn key(self, n: u64) -> u64 {
        match self {
            Self::Growing => n,
            // The golden ratio as a fraction of 2^64: its multiples are spread evenly.
            Self::Scattered => n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48 << 48 | n,
        }
    }
}

impl fmt::Display for KeyOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Growing => "growing",
            Self::Scattered => "scattered",
        })
    }
}

/// One change to one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Write the row of this key.
    Insert(u64),
    /// Remove it.
    Delete(u64),
}

/// The value that belongs to a key: fixed bytes that do not compress.
pub(crate) fn value_of(key: u64) -> [u8; VALUE_BYTES] {
    let mut value = [0; VALUE_BYTES];
    fastrand::Rng::with_seed(key).fill(&mut value);
    value
}

/// What the probe needs of a database.
pub(crate) trait Engine: Send {
    /// Applies a few operations as one batch; they need not be durable yet.
    fn apply(&self, operations: &[Operation]) -> Result<()>;
    /// Makes everything applied so far durable.
    fn flush(&self) -> Result<()>;
    /// Reads one row.
    fn get(&self, key: u64) -> Result<Option<Vec<u8>>>;
}

/// sled 0.34.
struct Stable {
    db: sled::Db,
    /// Its one file of rows. `flush` ends in `sync_file_range`, which does not reach through a disk's write cache.
    rows: File,
}

impl Stable {
    fn open(path: &Path) -> Result<Self> {
        let db = sled::Config::new()
            .path(path)
            .cache_capacity(CACHE_BYTES.into())
            .flush_every_ms(None)
            .open()?;
        let rows = File::open(path.join("db"))?;
        Ok(Self { db, rows })
    }
}

impl Engine for Stable {
    fn apply(&self, operations: &[Operation]) -> Result<()> {
        let mut batch = sled::Batch::default();
        for operation in operations {
            match *operation {
                Operation::Insert(key) => batch.insert(&key.to_be_bytes(), &value_of(key)[..]),
                Operation::Delete(key) => batch.remove(&key.to_be_bytes()),
            }
        }
        Ok(self.db.apply_batch(batch)?)
    }

    fn flush(&self) -> Result<()> {
        self.db.flush()?;
        Ok(self.rows.sync_data()?)
    }

    fn get(&self, key: u64) -> Result<Option<Vec<u8>>> {
        Ok(self.db.get(key.to_be_bytes())?.map(|value| value.to_vec()))
    }
}

/// sled 1.0 alpha. Its `flush` promises that all earlier writes survive a crash of the system: it syncs every slab
/// it wrote to, then its metadata log.
struct Alpha<const LEAF_ROWS: usize> {
    db: sled1::Db<LEAF_ROWS>,
}

impl<const LEAF_ROWS: usize> Alpha<LEAF_ROWS> {
    fn open(path: &Path) -> Result<Self> {
        let config = sled1::Config::new()
            .path(path)
            .cache_capacity_bytes(CACHE_BYTES as usize)
            .flush_every_ms(None);
        Ok(Self { db: config.open()? })
    }
}

impl<const LEAF_ROWS: usize> Engine for Alpha<LEAF_ROWS> {
    fn apply(&self, operations: &[Operation]) -> Result<()> {
        let mut batch = sled1::Batch::default();
        for operation in operations {
            match *operation {
                Operation::Insert(key) => batch.insert(key.to_be_bytes(), &value_of(key)[..]),
                Operation::Delete(key) => batch.remove(key.to_be_bytes()),
            }
        }
        Ok(self.db.apply_batch(batch)?)
    }

    fn flush(&self) -> Result<()> {
        self.db.flush()?;
        Ok(())
    }

    fn get(&self, key: u64) -> Result<Option<Vec<u8>>> {
        Ok(self.db.get(key.to_be_bytes())?.map(|value| value.to_vec()))
    }
}
