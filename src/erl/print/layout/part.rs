//! Elements and pairs, which are laid out alike.

use super::{At, Layout, Placed};
use crate::erl::print::shape::{Pair, Shape};

/// What stands between commas: an element, or a pair of a map.
pub(super) trait Part {
    /// Its length, if it is a word.
    fn word(&self) -> Option<usize>;
    fn flat(&self, layout: &mut Layout) -> Placed;
    /// Says how much of the line it took.
    fn place(&self, layout: &mut Layout, at: At, margin: isize) -> Placed<isize>;
}

impl Part for Shape {
    fn word(&self) -> Option<usize> {
        self.is_text().then_some(self.len)
    }

    fn flat(&self, layout: &mut Layout) -> Placed {
        layout.flat(self)
    }

    fn place(&self, layout: &mut Layout, at: At, margin: isize) -> Placed<isize> {
        layout.element(self, at, margin)
    }
}

impl Part for Pair {
    fn word(&self) -> Option<usize> {
        self.is_text().then_some(self.len)
    }

    fn flat(&self, layout: &mut Layout) -> Placed {
        layout.flat_pair(self)
    }

    fn place(&self, layout: &mut Layout, at: At, margin: isize) -> Placed<isize> {
        layout.pair(self, at, margin)
    }
}
