//! How many rows there are, which the store says itself.

use super::{Batch, Engine, EngineError, Ledger, record};

/// How many rows wait in all inboxes, as the store says it; a store that does not, or not legibly, is counted.
pub fn rows(engine: &dyn Engine) -> Result<i64, EngineError> {
    let said = engine.get(record::ROWS_KEY)?;
    let said = said.map(|rows| record::decode(record::ROWS_KEY, &rows));
    match said.transpose() {
        Ok(Some(rows)) => Ok(rows),
        Ok(None) => count_rows(engine),
        Err(error) => {
            log::error!("the rows are counted one by one: {error}");
            count_rows(engine)
        }
    }
}

/// Counts the rows of all inboxes anew, and has the store say it.
pub fn recount_rows(engine: &dyn Engine) -> Result<(), EngineError> {
    let mut batch = Batch::default();
    let rows = record::encode(&count_rows(engine)?)?;
    batch.put(record::ROWS_KEY.to_vec(), rows);
    engine.apply(batch)?;
    engine.flush()
}

/// How many rows wait in all inboxes, one by one.
pub fn count_rows(engine: &dyn Engine) -> Result<i64, EngineError> {
    let mut rows = 0;
    engine.scan(&[record::INBOX], &[record::INBOX + 1], &mut |_, _| {
        rows += 1;
        true
    })?;
    Ok(rows)
}

impl Ledger {
    /// Writes how many rows there are, if the batch at hand changes it: a start must not have to count millions.
    pub(super) fn count(&mut self) -> Result<(), EngineError> {
        let change = self.done.tally.rows - self.counted;
        if change == 0 {
            return Ok(());
        }
        let before = match self.rows {
            Some(rows) => rows,
            None => rows(&*self.engine)?,
        };
        let rows = before + change;
        let value = record::encode(&rows)?;
        self.batch.put(record::ROWS_KEY.to_vec(), value);
        (self.rows, self.counted) = (Some(rows), self.done.tally.rows);
        Ok(())
    }
}
