//! Variables and their values.

use crate::erl::term::{Atom, Term};

/// The variables of one body, in the order in which they were bound: a later one hides an earlier one of its name.
#[derive(Clone, Debug, Default)]
pub struct Env {
    vars: Vec<(Atom, Term)>,
    version: u64,
}

impl Env {
    /// Binds a variable.
    pub fn bind(&mut self, name: Atom, value: Term) {
        self.version += 1;
        self.vars.push((name, value));
    }

    /// The value of a variable among those that were bound since a mark.
    pub fn find(&self, name: &Atom, since: usize) -> Option<&Term> {
        let vars = self.vars.get(since..).unwrap_or_default();
        let found = vars.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value)
    }

    /// What is bound so far.
    pub fn mark(&self) -> usize {
        self.vars.len()
    }

    /// Forgets what was bound since a mark.
    pub fn rewind(&mut self, mark: usize) {
        self.vars.truncate(mark);
    }

    /// Forgets one variable.
    pub fn forget(&mut self, name: &Atom) {
        self.version += 1;
        self.vars.retain(|(known, _)| known != name);
    }

    /// Grows with each variable that is bound.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Every variable with its value.
    pub fn iter(&self) -> impl Iterator<Item = &(Atom, Term)> {
        self.vars.iter()
    }
}

impl FromIterator<(Atom, Term)> for Env {
    fn from_iter<I: IntoIterator<Item = (Atom, Term)>>(vars: I) -> Env {
        Env {
            vars: vars.into_iter().collect(),
            version: 0,
        }
    }
}
