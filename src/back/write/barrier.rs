//! Panics in group commit: a shared transaction that panics is rolled back and its writes run alone; one that panics alone is told so.
//!
//! What was being committed when it panicked may or may not be there: that is said, and the database is opened anew.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::group::{Group, Ran};
use crate::back::constraint;
use crate::job::{Item, Written};

/// Panics that were caught here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fallen {
    /// In transactions that several writes shared.
    pub shared: u32,
    /// In transactions of one write.
    pub alone: u32,
}

impl Group<'_, '_, '_> {
    /// [`Group::together`], and after a panic the plain path: whoever has no outcome runs alone.
    pub(super) fn together_or_alone(&mut self, items: &mut [Item]) -> Result<Option<usize>, Ran> {
        let start = self.engine.reply.len();
        if let Ok(ran) = catch_unwind(AssertUnwindSafe(|| self.together(items))) {
            return ran;
        }
        self.fallen.shared += 1;
        self.clear_away(start, items)?;
        Ok(None)
    }

    /// [`Group::alone`]; after a panic its neighbours go on.
    pub(super) fn alone_or_told(&mut self, item: &mut Item) -> Result<(), Ran> {
        let start = self.engine.reply.len();
        if let Ok(ran) = catch_unwind(AssertUnwindSafe(|| self.alone(item))) {
            return ran;
        }
        self.fallen.alone += 1;
        self.clear_away(start, std::slice::from_mut(item))?;
        item.outcome = Some(Written::Panicked);
        Ok(())
    }

    /// Leaves no transaction behind, and nothing in the reply.
    fn clear_away(&mut self, start: usize, items: &mut [Item]) -> Result<(), Ran> {
        self.engine.reply.truncate(start);
        self.engine.free();
        self.roll_back();
        if self.committing {
            let open = items.iter_mut().filter(|item| item.outcome.is_none());
            open.for_each(|item| item.outcome = Some(Written::Problem(constraint::not_known())));
            return Err(Ran::Lost);
        }
        if self.engine.conn.is_autocommit() { Ok(()) } else { Err(Ran::Lost) }
    }
}
