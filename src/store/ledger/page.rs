//! What is read beside the commits: pages of an inbox.

use std::sync::Arc;

use crate::message::{Message, Page, Read, Row};

use super::{Engine, EngineError, RowRef, intact, record};

/// What a row costs in a page besides its payload, bytes, in any dialect.
const ROW_OVERHEAD: usize = 512;

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
