//! Maps, built and updated.

use std::collections::BTreeMap;

use super::{Env, Evaluator, blame, raise_with};
use crate::erl::ast::{Expr, Field};
use crate::erl::function::{Machine, Raised};
use crate::erl::term::{Key, Term};
use crate::erl::weight;

impl Evaluator<'_> {
    pub(super) fn map(
        &mut self,
        base: Option<&Expr>,
        fields: &[Field],
        env: &mut Env,
    ) -> Result<Term, Raised> {
        let base = base.map(|base| self.eval(base, env)).transpose()?;
        let mut given = Vec::with_capacity(fields.len());
        for field in fields {
            let key = self.eval(&field.key, env)?;
            let value = self.eval(&field.value, env)?;
            weight::pay_key(&key, self)?;
            given.push((field.exact, key, value));
        }
        let mut entries = self.entries(base.as_ref(), given.len())?;
        for (exact, key, value) in given {
            let key = Key(key);
            if exact && !entries.contains_key(&key) {
                let args = vec![key.0.clone(), value, Term::map(entries)];
                return Err(blame(raise_with("badkey", key.0), "maps", "update", args));
            }
            entries.insert(key, value);
        }
        self.checked(Term::map(entries))
    }

    fn entries(&mut self, base: Option<&Term>, more: usize) -> Result<BTreeMap<Key, Term>, Raised> {
        let Some(base) = base else {
            self.charge(weight::MAP + 2 * more)?;
            return Ok(BTreeMap::new());
        };
        let Some(entries) = base.as_map() else {
            let args = vec![Term::atom("k"), Term::atom("v"), base.clone()];
            return Err(blame(
                raise_with("badmap", base.clone()),
                "maps",
                "put",
                args,
            ));
        };
        self.charge(weight::MAP + 2 * (entries.len() + more))?;
        Ok(entries.clone())
    }
}
