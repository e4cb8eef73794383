//! What one request carries.

use crate::config::webhook::EventKind;

use super::json::Renderer;
use super::machine::Page;
use crate::message::hook::Event;

/// A request's body is not longer than this, in bytes, unless its first event alone is.
pub(super) const MAX_BYTES: usize = 1 << 20;

/// Events that are sent together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// The number of the first event in it; 0 if there is none.
    pub(super) first: u64,
    /// The number of the last.
    pub(super) last: u64,
    /// Where it ends in the queue, and how many events it has.
    pub(super) page: Page,
    /// A JSON array.
    pub(super) body: Vec<u8>,
}

impl Batch {
    /// Takes events from the queue, in order, as many as fit and none above `up_to`; none when none is there to take.
    ///
    /// Of what is not wanted nothing is sent, and the batch ends behind it all the same.
    pub(super) fn gather(
        events: &[(u64, Event)],
        up_to: Option<u64>,
        wanted: &[EventKind],
        renderer: &Renderer,
        max_bytes: usize,
    ) -> Option<Batch> {
        let mut batch = Batch {
            first: 0,
            last: 0,
            page: Page {
                up_to: 0,
                events: 0,
                bytes: 0,
            },
            body: vec![b'['],
        };
        for (number, event) in events {
            if up_to.is_some_and(|up_to| *number > up_to) {
                break;
            }
            if wanted.contains(&event.what.kind())
                && !batch.add(*number, event, renderer, max_bytes)
            {
                break;
            }
            batch.page.up_to = *number;
        }
        batch.body.push(b']');
        batch.page.bytes = batch.body.len();
        Some(batch).filter(|batch| batch.page.up_to > 0)
    }

    /// False if there is no room for it.
    fn add(&mut self, number: u64, event: &Event, renderer: &Renderer, max_bytes: usize) -> bool {
        let json = match renderer.render(number, event) {
            Ok(json) => json,
            // Held back, it would hold up everything behind it for good.
            Err(error) => {
                log::error!("webhook: event {number} cannot be told and is left out: {error}");
                return true;
            }
        };
        let is_first = self.page.events == 0;
        // With a comma before it and a bracket at the end.
        if !is_first && self.body.len() + json.len() + 2 > max_bytes {
            return false;
        }
        if is_first {
            self.first = number;
        } else {
            self.body.push(b',');
        }
        self.body.extend_from_slice(json.as_bytes());
        self.last = number;
        self.page.events += 1;
        true
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::message::hook::What;

    fn online(uid: u64) -> Event {
        let what = What::Online {
            uid,
            did: "a".into(),
            dtype: None,
        };
        Event { at: 1, what }
    }

    fn gather(events: &[(u64, Event)], up_to: Option<u64>, max_bytes: usize) -> Option<Batch> {
        let renderer = Renderer::new("t", true, Box::new(|party| format!("{party:?}")));
        Batch::gather(events, up_to, &[EventKind::Online], &renderer, max_bytes)
    }

    fn told(batch: &Batch) -> Vec<String> {
        let read: Vec<serde_json::Value> = serde_json::from_slice(&batch.body).unwrap();
        let ids = read.iter().map(|event| event["id"].as_str().unwrap());
        ids.map(|id| {
            id.trim_start_matches("evt_t_")
                .trim_start_matches('0')
                .into()
        })
        .collect()
    }

    #[test]
    fn a_batch_passes_over_gaps_and_over_what_is_not_wanted() {
        let started = Event {
            at: 1,
            what: What::Started,
        };
        let events = [
            (3, started.clone()),
            (5, online(1)),
            (9, online(2)),
            (10, started.clone()),
        ];
        let batch = gather(&events, None, MAX_BYTES).unwrap();
        assert_eq!(told(&batch), ["5", "9"]);
        assert_eq!((batch.first, batch.last), (5, 9));
        assert_eq!((batch.page.up_to, batch.page.events), (10, 2));
        let nothing = gather(&[(3, started)], None, MAX_BYTES).unwrap();
        assert_eq!((nothing.page.up_to, nothing.page.events), (3, 0));
    }

    #[test]
    fn a_batch_is_cut_by_its_bytes_and_one_event_always_fits() {
        let events: Vec<_> = (1..=9).map(|number| (number, online(number))).collect();
        let one = gather(&events, None, 1).unwrap();
        assert_eq!((told(&one).len(), one.page.up_to), (1, 1));
        let length = one.body.len();
        let two = gather(&events, None, 2 * length - 1).unwrap();
        assert_eq!(told(&two), ["1", "2"]);
        assert_eq!(two.body.len(), 2 * length - 1);
        assert_eq!(
            told(&gather(&events, None, 2 * length - 2).unwrap()).len(),
            1
        );
    }

    #[test]
    fn a_batch_that_is_sent_again_takes_nothing_new() {
        let events = [(5, online(1)), (9, online(2)), (10, online(3))];
        let batch = gather(&events, Some(9), MAX_BYTES).unwrap();
        assert_eq!(told(&batch), ["5", "9"]);
        assert_eq!(gather(&events, Some(4), MAX_BYTES), None);
        assert_eq!(gather(&[], None, MAX_BYTES), None);
    }
}
