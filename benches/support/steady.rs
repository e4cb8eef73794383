//! A pair who exchange a message every few milliseconds, whatever else goes on: what they feel of it.
#![allow(unreachable_pub)]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use tokio::time::sleep;

use crate::{
    support::User,
    wire::{Wire, text},
};

const PAUSE: Duration = Duration::from_millis(5);

/// Full loops, each from sending to the receipt, on a thread of their own.
pub struct Steady {
    taken: mpsc::Receiver<u64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

impl Steady {
    /// Begins between these two users.
    pub fn start(listener: SocketAddr, sender: User, reader: User) -> Self {
        let (took, taken) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(exchange(listener, &sender, &reader, &took, &stopped))
        });
        Self {
            taken,
            stop,
            thread,
        }
    }

    /// The times of the loops that were closed since this was asked last, in nanoseconds.
    pub fn times(&self) -> Histogram<u64> {
        let mut times = Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("sound bounds");
        while let Ok(took) = self.taken.try_recv() {
            times.saturating_record(took);
        }
        times
    }

    /// Ends it; an error if it had ended before, or lost something.
    pub fn end(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(ended) => ended,
            Err(_) => bail!("the steady pair panicked"),
        }
    }
}

/// The median and the 99th percentile, in milliseconds.
pub fn p50_p99(times: &Histogram<u64>) -> String {
    let ms = |quantile| times.value_at_quantile(quantile) as f64 / 1e6;
    format!("{:.2} / {:.2}", ms(0.5), ms(0.99))
}

async fn exchange(
    listener: SocketAddr,
    sender: &User,
    reader: &User,
    took: &mpsc::Sender<u64>,
    stop: &AtomicBool,
) -> Result<()> {
    let mut sending = Wire::open(listener, &sender.token).await?;
    let mut reading = Wire::open(listener, &reader.token).await?;
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (began, id) = (Instant::now(), format!("s-{n}"));
        sending.write(format_args!(
            r#"{{"id":"{id}","type":"C2C","from":"","to":"{}","payload":"steady"}}"#,
            reader.name
        ));
        sending.flush().await?;
        hear(&mut reading, "C2C", &id).await?;
        reading.write(format_args!("CLIENT_ACK,C2C,{id},did"));
        reading.flush().await?;
        hear(&mut sending, "C2C_DELIVERED", &id).await?;
        took.send(began.elapsed().as_nanos() as u64)
            .context("nobody wants the times")?;
        sleep(PAUSE).await;
    }
    Ok(())
}

async fn hear(wire: &mut Wire, kind: &str, id: &str) -> Result<()> {
    loop {
        while let Some(frame) = wire.next()? {
            let is_it = text(frame, r#""type":""#)? == kind.as_bytes()
                && text(frame, r#""id":""#).is_ok_and(|found| found == id.as_bytes());
            if is_it {
                return Ok(());
            }
        }
        wire.fill().await?;
    }
}
