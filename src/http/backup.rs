//! `GET /v1/backup`: the file of a backup, made while the server goes on.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::mpsc;

use crate::clock::wall_ms;
use crate::code::Code;
use crate::message::Fault;
use crate::metrics::Metrics;
use crate::store::backup::{Backup, Recorder, Refused, Stopped};

use super::reply;
use super::state::AppState;
use super::v1::Refusal;

/// Pieces that may wait for the connection; each is a block of a backup.
const PIECES: usize = 4;
/// How long somebody who wants a second backup is told to wait.
const RETRY_MS: u64 = 10_000;

/// Takes a backup, while the server goes on.
///
/// An answer without its end is not a backup: `yizhan backup` takes one and verifies it.
#[utoipa::path(
    get,
    path = "/v1/backup",
    operation_id = "backup",
    responses(
        (status = 200, description = "The file of a backup.", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 429, description = "Another one is being taken.", body = Refusal),
        (status = 503, description = "There is none to be had.", body = Refusal),
    )
)]
pub(super) async fn backup(
    method: Method,
    state: web::Data<AppState>,
    recorder: web::Data<Recorder>,
) -> HttpResponse {
    let refused = |code, why: String| {
        state.services.metrics.refused(code);
        reply::refused(&Fault::because(code, why).later(RETRY_MS))
    };
    if state.is_draining() {
        return refused(Code::Busy, "the server is going down".into());
    }
    if method == Method::HEAD {
        // Nobody would read it.
        return HttpResponse::Ok()
            .content_type("application/octet-stream")
            .finish();
    }
    let metrics = state.services.metrics.clone();
    let recorder = recorder.into_inner();
    // It waits for the disk when a batch is being applied.
    let begun = web::block(move || begin(&recorder, metrics)).await;
    match begun {
        Ok(Ok(pieces)) => HttpResponse::Ok()
            .content_type("application/octet-stream")
            .streaming(Pieces(pieces)),
        Ok(Err(why @ Refused::Running)) => refused(Code::TooFast, why.to_string()),
        Ok(Err(why)) => refused(Code::Busy, why.to_string()),
        Err(error) => refused(Code::Busy, format!("the backup did not begin: {error}")),
    }
}

fn begin(recorder: &Arc<Recorder>, metrics: Metrics) -> Result<mpsc::Receiver<Bytes>, Refused> {
    let backup = recorder.begin()?;
    let (pieces, taken) = mpsc::channel(PIECES);
    let thread = std::thread::Builder::new().name("backup".into());
    let spawned = thread.spawn(move || {
        // A panic of the engine is an error like others, and ends a backup only.
        let run = AssertUnwindSafe(|| stream(backup, &pieces, &metrics));
        if catch_unwind(run).is_err() {
            log::error!("a backup was broken off: the engine panicked");
        }
    });
    spawned.map_err(|error| {
        log::error!("a backup has no thread: {error}");
        Refused::Doubt("the server cannot start another thread")
    })?;
    Ok(taken)
}

fn stream(backup: Backup, pieces: &mpsc::Sender<Bytes>, metrics: &Metrics) {
    let begun = wall_ms();
    log::info!("a backup begins");
    let mut send = |piece: Vec<u8>| pieces.blocking_send(piece.into()).is_ok();
    match backup.stream(begun, &mut send) {
        Ok(counts) => {
            metrics.backed_up(wall_ms());
            log::info!(
                "a backup of {} bytes in {} records was sent whole",
                counts.bytes,
                counts.puts + counts.deletes
            );
        }
        Err(Stopped::Gone) => log::warn!("a backup was broken off: its reader went away"),
        Err(Stopped::Failed(why)) => log::error!("a backup was broken off: {why}"),
    }
}

/// The body of the answer. Dropped with its connection, it ends the backup.
struct Pieces(mpsc::Receiver<Bytes>);

impl Stream for Pieces {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|piece| piece.map(Ok))
    }
}
