//! Where hot threads leave their records until the tracer takes them: a few buffers, nearly always one for each thread.
//!
//! A thread that finds its buffer taken or full goes to the next one, so nobody ever waits here, not even when the tracer
//! lost its place on the processor with a buffer in its hand. Each record draws a ticket while it holds its buffer. What
//! happened before something else on whatever thread has the smaller ticket, so tickets give the order, without a clock
//! being read.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::record::{self, Part};

/// Bytes that a buffer may hold.
const FULL: usize = 1 << 20;
/// The tracer is woken when a buffer has so many.
const WAKE: usize = 128 << 10;
/// A thread's scratch of more bytes than this is not kept.
const SCRATCH: usize = 64 << 10;
/// Buffers that a thread looks at for one record.
const TRIES: usize = 4;
/// Buffers, at least and at most.
const COUNT: (usize, usize) = (8, 64);

/// How a record fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// It lies in a buffer.
    There,
    /// It does, and the tracer should come soon.
    Wake,
    /// There was no room.
    Lost,
}

/// All buffers.
pub(super) struct Shards {
    shards: Box<[Shard]>,
    tickets: Alone<AtomicU64>,
    lost: AtomicU64,
}

/// Away from what other threads write to.
#[repr(align(128))]
struct Alone<T>(T);

type Shard = Alone<Mutex<Buffer>>;

#[derive(Default)]
struct Buffer {
    part: Part,
    /// Nobody will come for it any more.
    closed: bool,
}

impl Shards {
    /// Buffers for so many threads that run at once.
    pub(super) fn new(threads: usize) -> Shards {
        let count = threads.saturating_mul(2).next_power_of_two();
        let count = count.clamp(COUNT.0, COUNT.1);
        Shards {
            shards: (0..count).map(|_| Alone(Mutex::default())).collect(),
            tickets: Alone(AtomicU64::new(0)),
            lost: AtomicU64::new(0),
        }
    }

    /// Leaves a record that `write` writes.
    pub(super) fn leave(&self, key: u64, write: impl FnOnce(&mut Vec<u8>)) -> Left {
        // What is written elsewhere first cannot harm a buffer, and does not hold one, however long it takes.
        let (mut scratch, place) = own();
        scratch.clear();
        write(&mut scratch);
        let left = self.put(place, key, &scratch);
        if scratch.capacity() <= SCRATCH {
            let _ = OWN.try_with(|own| own.scratch.set(scratch));
        }
        left
    }

    fn put(&self, place: usize, key: u64, payload: &[u8]) -> Left {
        let needed = payload.len() + record::HEAD_MAX;
        let Some(mut buffer) = self.with_room(place, needed) else {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return Left::Lost;
        };
        let before = buffer.part.bytes.len();
        let ticket = self.tickets.0.fetch_add(1, Ordering::Relaxed);
        buffer.part.push(ticket, key, payload);
        match before < WAKE && buffer.part.bytes.len() >= WAKE {
            true => Left::Wake,
            false => Left::There,
        }
    }

    /// The first buffer from this place on that has room and that nobody holds.
    fn with_room(&self, place: usize, needed: usize) -> Option<MutexGuard<'_, Buffer>> {
        let mask = self.shards.len() - 1;
        (place..).take(TRIES).find_map(|place| {
            let buffer = self.shards[place & mask].0.try_lock()?;
            let has_room = !buffer.closed && buffer.part.bytes.len() + needed <= FULL;
            has_room.then_some(buffer)
        })
    }

    /// Every record with a smaller ticket than this is in a buffer or was taken, for whoever takes all buffers after it.
    pub(super) fn ticket(&self) -> u64 {
        self.tickets.0.load(Ordering::Relaxed)
    }

    /// Shows what lies in the buffers, one after the other, and empties them; the last time it closes them as well.
    ///
    /// `part` is what each is exchanged with: no buffer is held while its records are looked at.
    pub(super) fn take(&self, part: &mut Part, close: bool, mut show: impl FnMut(&Part)) {
        for shard in &self.shards {
            part.clear();
            {
                let mut buffer = shard.0.lock();
                buffer.closed |= close;
                if !buffer.part.bytes.is_empty() {
                    std::mem::swap(&mut buffer.part, part);
                }
            }
            if !part.bytes.is_empty() {
                show(part);
            }
        }
    }

    /// How many records were left here.
    pub(super) fn left(&self) -> u64 {
        self.ticket()
    }

    /// How many found no room.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// What a thread has of its own.
struct Own {
    scratch: Cell<Vec<u8>>,
    place: Cell<Option<usize>>,
}

thread_local! {
    static OWN: Own = const {
        Own {
            scratch: Cell::new(Vec::new()),
            place: Cell::new(None),
        }
    };
}

/// The scratch of this thread, and where it begins to look for a buffer; any will do in a thread that ends.
fn own() -> (Vec<u8>, usize) {
    static PLACES: AtomicUsize = AtomicUsize::new(0);
    let found = OWN.try_with(|own| {
        let place = own.place.get().unwrap_or_else(|| {
            let place = PLACES.fetch_add(1, Ordering::Relaxed);
            own.place.set(Some(place));
            place
        });
        (own.scratch.take(), place)
    });
    found.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(shards: &Shards, close: bool) -> Vec<(u64, Vec<u8>)> {
        let mut found = Vec::new();
        shards.take(&mut Part::default(), close, |part| {
            let records = part.records().map(|r| (r.ticket, r.payload.to_vec()));
            found.extend(records);
        });
        found
    }

    #[test]
    fn full_buffers_take_nothing_more_and_every_loss_is_counted() {
        let shards = Shards::new(1);
        let payload = vec![7; 1000];
        let mut wakes = 0;
        for n in 0..5000 {
            let left = shards.leave(n, |bytes| bytes.extend_from_slice(&payload));
            wakes += usize::from(left == Left::Wake);
        }
        assert_eq!(wakes, TRIES);
        let kept = taken(&shards, false).len() as u64;
        assert_eq!(kept, TRIES as u64 * 1037);
        assert_eq!((shards.left(), shards.lost()), (kept, 5000 - kept));
        shards.leave(1, |_| {});
        assert_eq!(taken(&shards, false).len(), 1);
    }

    #[test]
    fn a_thread_that_finds_its_buffer_taken_goes_to_the_next() {
        let shards = Shards::new(1);
        let (_, place) = own();
        let held = shards.with_room(place, 0);
        assert!(held.is_some());
        assert_eq!(shards.leave(1, |_| {}), Left::There);
        let others: Vec<_> = shards.shards.iter().map(|s| s.0.try_lock()).collect();
        assert_eq!(shards.leave(2, |_| {}), Left::Lost);
        drop((held, others));
        assert_eq!(taken(&shards, false).len(), 1);
        assert_eq!(shards.lost(), 1);
    }

    #[test]
    fn nothing_is_left_in_a_closed_buffer() {
        let shards = Shards::new(1);
        shards.leave(1, |_| {});
        assert_eq!(taken(&shards, true).len(), 1);
        assert_eq!(shards.leave(2, |_| {}), Left::Lost);
        assert_eq!(taken(&shards, true), []);
    }

    #[test]
    fn a_writer_that_panics_or_records_itself_leaves_whole_records_behind() {
        let shards = Shards::new(1);
        let panics = std::panic::AssertUnwindSafe(|| {
            shards.leave(1, |bytes| {
                bytes.push(1);
                panic!("as planned");
            })
        });
        assert!(std::panic::catch_unwind(panics).is_err());
        shards.leave(2, |bytes| {
            bytes.push(2);
            shards.leave(3, |bytes| bytes.push(3));
        });
        let found: Vec<_> = taken(&shards, false).into_iter().map(|r| r.1).collect();
        assert_eq!(found, [[3], [2]]);
    }
}
