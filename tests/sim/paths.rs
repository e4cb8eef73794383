//! Every order in which independent steps can be taken, one after the other.

/// Follows one order and notes where another could have been taken.
#[derive(Default)]
pub struct Path {
    choices: Vec<(usize, usize)>,
    at: usize,
}

impl Path {
    /// One of so many ways to go on.
    pub fn choose(&mut self, options: usize) -> usize {
        if self.at == self.choices.len() {
            self.choices.push((0, options));
        }
        let (choice, known) = self.choices[self.at];
        assert_eq!(known, options, "the same order leads to the same place");
        self.at += 1;
        choice
    }

    /// Turns to the next order; false after the last.
    fn next(&mut self) -> bool {
        self.at = 0;
        while let Some((choice, options)) = self.choices.pop() {
            if choice + 1 < options {
                self.choices.push((choice + 1, options));
                return true;
            }
        }
        false
    }
}

/// Takes every order; returns how many there were. `run` notes its steps, which are shown if it panics.
pub fn explore<S: std::fmt::Debug>(mut run: impl FnMut(&mut Path, &mut Vec<S>)) -> u64 {
    let mut path = Path::default();
    let mut orders = 0;
    loop {
        let mut taken = Vec::new();
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            run(&mut path, &mut taken);
        }));
        orders += 1;
        if let Err(panic) = ended {
            eprintln!("in this order: {taken:?}");
            std::panic::resume_unwind(panic);
        }
        if !path.next() {
            return orders;
        }
    }
}
