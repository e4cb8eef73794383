//! A fault at every single thing that the journal asks of its files: the store says that it failed, and once it is open
//! again, everything that was flushed is there.

use std::sync::Arc;

use fastrand::Rng;
use yizhan::store::memory::MemoryEngine;
use yizhan::store::{Engine, EngineError};

use super::disk::{Disk, Fault};
use super::store::{BOUNDS, Book, batch, contents, open};

/// A life without a crash; it ends at the first error, in the middle of the batch or flush that failed.
fn tell(disk: &Arc<Disk>, base: &Arc<MemoryEngine>, book: &mut Book) -> Result<(), EngineError> {
    let mut rng = Rng::with_seed(7);
    let (journal, _) = open(disk, base, BOUNDS)?;
    for round in 0..90 {
        let batch = batch(&mut rng, book.now());
        // What fails may have been written all the same.
        book.apply(batch.clone());
        journal.apply(batch)?;
        if round % 3 == 0 {
            journal.flush()?;
            book.flushed = book.applied();
        }
        if round % 11 == 10 {
            journal.settle()?;
            book.flushed = book.applied();
        }
        if round == 55 {
            journal.reopen()?;
            book.finds(&contents(&journal)?).unwrap();
        }
    }
    journal.close()?;
    book.flushed = book.applied();
    Ok(())
}

#[test]
fn a_fault_at_any_call_to_a_file_loses_nothing_that_was_flushed() {
    let (disk, base) = (Arc::new(Disk::default()), Arc::new(MemoryEngine::new()));
    tell(&disk, &base, &mut Book::new()).unwrap();
    let calls = disk.0.lock().calls;
    assert!(calls > 200, "{calls}");
    let mut failed = 0;
    for (call, fault) in (0..calls)
        .flat_map(|call| [Fault::Before, Fault::After, Fault::Dead].map(|fault| (call, fault)))
    {
        let (disk, base) = (Arc::new(Disk::default()), Arc::new(MemoryEngine::new()));
        disk.0.lock().fault = Some((call, fault));
        let mut book = Book::new();
        failed += usize::from(tell(&disk, &base, &mut book).is_err());
        disk.0.lock().fault = None;
        // The process ends, and the power with it or not.
        let mut rng = Rng::with_seed(call as u64);
        if call % 2 == 0 {
            disk.crash(&mut rng);
            base.crash(rng.usize(..=base.unflushed()));
        }
        let (journal, _) = open(&disk, &base, BOUNDS)
            .unwrap_or_else(|error| panic!("{fault:?} at call {call}: {error}"));
        let found = contents(&journal).unwrap();
        book.finds(&found)
            .unwrap_or_else(|why| panic!("{fault:?} at call {call}: {why}"));
    }
    println!("{failed} lives ended by a fault, of {}", calls * 3);
    assert!(failed * 10 > calls * 3 * 9, "{failed} of {}", calls * 3);
}
