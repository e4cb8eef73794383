//! What is read beside the commits: pages of an inbox, and how many rows there are.

use std::sync::Arc;

use crate::message::{Message, Page, Read, Row};

use super::{Batch, Engine, EngineError, RowRef, intact, record};

/// What a row costs in a page besides its payload, bytes, in any dialect.
const ROW_OVERHEAD: usize = 512;

/// How many rows wait in all inboxes, as the store says it; a store that does not is counted.
pub fn rows(engine: &dyn Engine) -> Result<i64, EngineError> {
    match engine.get(record::ROWS_KEY)? {
        Some(rows) => record::decode(record::ROWS_KEY, &rows),
        None => count_rows(engine),
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

/// Reads rows of an inbox accepted after `oldest`, Unix milliseconds; one that goes meanwhile, or is damaged, is left out.
pub fn read_page(engine: &dyn Engine, read: &Read, oldest: u64) -> Result<Page, EngineError> {
    let mut found = Vec::new();
    let (from, to) = (
        record::row_key(read.uid, read.from),
        record::row_key(read.uid, read.to),
    );
    engine.scan(&from, &to, &mut |key, value| {
        if let Some((_, seq)) = record::row_place(key)
            && let Ok(Some(row)) = intact(record::decode::<RowRef>(key, value))
            && row.server_ts > oldest
        {
            found.push((seq, row));
        }
        found.len() < read.limit
    })?;
    let mut page = Page {
        scanned_to: read.to,
        ..Page::default()
    };
    if found.len() >= read.limit
        && let Some((last, _)) = found.last()
    {
        page.scanned_to = *last;
    }
    let mut bytes = 0;
    for (seq, row) in found {
        let key = record::body_key(row.body_of, row.body_seq);
        let Some(body) = engine.get(&key)? else {
            continue;
        };
        let Some(message) = intact(record::decode::<Message>(&key, &body))? else {
            continue;
        };
        bytes += message.payload.len() + ROW_OVERHEAD;
        if bytes > read.max_bytes && !page.rows.is_empty() {
            page.scanned_to = seq - 1;
            break;
        }
        page.rows.push(Row {
            seq,
            message: Arc::new(message),
        });
    }
    Ok(page)
}
