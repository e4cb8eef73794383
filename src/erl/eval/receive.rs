//! `receive`: the first message that a clause matches; the others stay in the mailbox.

use super::{Env, Evaluator, Step, Waited, raise};
use crate::erl::ast::{After, Clause};
use crate::erl::function::Raised;
use crate::erl::term::Term;

/// As in Erlang, the longest time that one may wait.
const MS_MAX: i64 = 0xffff_ffff;

impl Evaluator<'_> {
    pub(super) fn receive(
        &mut self,
        clauses: &[Clause],
        after: Option<&After>,
        env: &mut Env,
    ) -> Result<Step, Raised> {
        let mut left = match after {
            None => None,
            Some(after) => match self.eval(&after.time, env)? {
                Term::Int(ms @ 0..=MS_MAX) => Some(ms.cast_unsigned()),
                time if time.is_atom("infinity") => None,
                _ => return Err(raise("timeout_value")),
            },
        };
        let mut passed = Vec::new();
        let chosen = loop {
            if let Some(message) = self.host.receive() {
                match self.choose(clauses, std::slice::from_ref(&message), env, None) {
                    Ok(None) => passed.push(message),
                    Ok(chosen) => break Ok(chosen),
                    Err(raised) => {
                        passed.push(message);
                        break Err(raised);
                    }
                }
                continue;
            }
            match self.step().and_then(|()| self.host.wait(left)) {
                Ok(Waited::Message(rest)) => left = rest,
                Ok(Waited::Over) => break Ok(None),
                Err(raised) => break Err(raised),
            }
        };
        self.host.put_back(passed);
        match (chosen?, after) {
            (Some(clause), _) => self.body(&clause.body, env),
            (None, Some(after)) => self.body(&after.body, env),
            (None, None) => Err(raise("timeout_value")),
        }
    }
}
