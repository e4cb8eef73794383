//! What a run found the server guilty of.

use serde::Serialize;

/// Ids that are named of each kind of finding.
const NAMED: usize = 20;

/// Everything that must not be, and that is empty when the server kept its promise.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Proof {
    /// Accepted, and not delivered to a device that must have it, when the run had waited long enough.
    pub lost: Finding,
    /// Came again after the acknowledgement was confirmed, or under a second number.
    pub doubled: Finding,
    /// First copies out of the order of their numbers on one connection.
    pub out_of_order: Finding,
    /// Nobody sent it, or not so, or not to this reader.
    pub wrong: Finding,
    /// Refused for good.
    pub refused: Finding,
    /// Sent, and not accepted when the run had waited long enough.
    pub unanswered: Finding,
    /// Acknowledged, and that was not confirmed when the run had waited long enough.
    pub unconfirmed: Finding,
    /// Delivered everywhere, and the sender was not told, not even when it asked.
    pub untold: Finding,
}

/// One kind of finding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How many there are.
    pub count: u64,
    /// The first 20 of them by message id, or by what was received.
    pub ids: Vec<String>,
}

impl Proof {
    /// Whether nothing was found.
    pub fn is_kept(&self) -> bool {
        self.findings()
            .iter()
            .all(|(_, finding)| finding.count == 0)
    }

    /// Every kind, with its name.
    pub fn findings(&self) -> [(&'static str, &Finding); 8] {
        [
            ("lost", &self.lost),
            ("doubled", &self.doubled),
            ("out of order", &self.out_of_order),
            ("wrong", &self.wrong),
            ("refused", &self.refused),
            ("unanswered", &self.unanswered),
            ("unconfirmed", &self.unconfirmed),
            ("untold", &self.untold),
        ]
    }

    /// One line that says how it ended.
    pub fn verdict(&self) -> String {
        if self.is_kept() {
            return "kept: nothing lost, doubled, out of order or wrong".into();
        }
        let found = self.findings().into_iter().filter(|(_, f)| f.count > 0);
        let found: Vec<_> = found.map(|(n, f)| format!("{} {n}", f.count)).collect();
        format!("BROKEN: {}", found.join(", "))
    }

    pub(super) fn add(&mut self, other: Proof) {
        self.lost.add(other.lost);
        self.doubled.add(other.doubled);
        self.out_of_order.add(other.out_of_order);
        self.wrong.add(other.wrong);
        self.refused.add(other.refused);
        self.unanswered.add(other.unanswered);
        self.unconfirmed.add(other.unconfirmed);
        self.untold.add(other.untold);
    }
}

impl Finding {
    pub(super) fn note(&mut self, id: impl FnOnce() -> String) {
        self.count += 1;
        if self.ids.len() < NAMED {
            self.ids.push(id());
        }
    }

    fn add(&mut self, other: Finding) {
        self.count += other.count;
        let room = NAMED - self.ids.len();
        self.ids.extend(other.ids.into_iter().take(room));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_says_what_was_found_and_names_the_first_twenty() {
        let mut proof = Proof::default();
        assert!(proof.is_kept());
        for n in 0..30 {
            proof.lost.note(|| format!("m{n}"));
        }
        let mut other = Proof::default();
        other.lost.note(|| "other".into());
        other.wrong.note(|| "w".into());
        proof.add(other);
        assert!(!proof.is_kept());
        assert_eq!(proof.verdict(), "BROKEN: 31 lost, 1 wrong");
        assert_eq!(proof.lost.ids.len(), 20);
        assert_eq!(proof.lost.ids[19], "m19");
        assert_eq!(proof.wrong.ids, ["w"]);
    }
}
