//! What is read beside the commits: pages of an inbox.

use std::sync::Arc;

use crate::id::Cid;
use crate::message::{Fate, Page, Read, Row, What};

use super::{Body, Engine, EngineError, RowRef, intact, record};

/// What a row costs in a page besides its payload, bytes, in any dialect.
pub(super) const ROW_OVERHEAD: usize = 512;
/// Rows that one page of one conversation looks at.
const LOOKED_AT: usize = 20_000;

/// Reads rows of an inbox that came in after `oldest`, Unix milliseconds, those of one conversation if one is named; one
/// that goes meanwhile, or is damaged, is left out.
pub fn read_page(
    engine: &dyn Engine,
    read: &Read,
    now: u64,
    oldest: u64,
    of: Option<Cid>,
) -> Result<Page, EngineError> {
    let mut found = Vec::new();
    let (from, to) = (
        record::row_key(read.uid, read.from),
        record::row_key(read.uid, read.to),
    );
    let (mut looked_at, mut stopped_at) = (0, None);
    engine.scan(&from, &to, &mut |key, value| {
        let Some((_, seq)) = record::row_place(key) else {
            return true;
        };
        if let Ok(Some(row)) = intact(RowRef::decode(key, value))
            && row.server_ts > oldest
            && of.is_none_or(|cid| matches!(row.body, Body::Chat(own, _) if own == cid))
        {
            found.push((seq, row));
        }
        looked_at += 1;
        let more = found.len() < read.limit && looked_at < LOOKED_AT;
        if !more {
            stopped_at = Some(seq);
        }
        more
    })?;
    let mut page = Page {
        scanned_to: stopped_at.unwrap_or(read.to),
        ..Page::default()
    };
    let mut bytes = 0;
    for (seq, row) in found {
        let key = row.body_key();
        let Some(body) = intact(engine.get(&key))?.flatten() else {
            continue;
        };
        let Some(message) = intact(record::decode_message(row.body, &key, &body))? else {
            continue;
        };
        let what = row.what();
        let is_told = match what {
            What::Revoke => matches!(message.fate, Fate::Revoked(_)),
            _ => !message.is_gone() && !message.is_over(now),
        };
        if !is_told {
            page.dead.insert(seq, seq);
            continue;
        }
        bytes += message.payload.len() + ROW_OVERHEAD;
        if bytes > read.max_bytes && !page.rows.is_empty() {
            page.scanned_to = seq - 1;
            break;
        }
        page.rows.push(Row {
            reader: read.uid,
            seq,
            since: row.server_ts,
            what,
            message: Arc::new(message),
        });
    }
    Ok(page)
}
