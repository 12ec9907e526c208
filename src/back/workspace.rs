//! The fixed memory in which a query is planned and its rows are shaped, and the schema that it is planned on.

use super::rows::RowShape;
use super::trail::Trail;
use crate::api::canonical::Canonical;
use crate::api::catalog::Catalog;
use crate::api::named::Bound;
use crate::api::problem::Problem;
use crate::api::table_query::{self, TableQuery};
use crate::budget::QUERY_BYTES;
use crate::memory::StaticCell;

/// The running query's workspace.
pub struct Workspace {
    pub(super) catalog: Catalog,
    pub(super) query: TableQuery,
    /// `query` is a row by its key of the table at this place, with no parameter, and its statement goes for other keys too.
    pub(super) row_of: Option<usize>,
    pub(super) shape: RowShape,
    pub(super) trail: Trail,
    pub(super) canonical: Canonical,
    /// The values of a named route; made once, on the heap. Boxed, so that no workspace yet is all zeros.
    pub(super) bound: Option<Box<Bound>>,
}

const _: () = assert!(
    size_of::<TableQuery>() + size_of::<RowShape>() + size_of::<Trail>() + size_of::<Canonical>() <= QUERY_BYTES,
    "QUERY_BYTES holds the query workspace"
);
const _: () = assert!(size_of::<Catalog>() <= crate::budget::CATALOG_BYTES, "CATALOG_BYTES holds the catalog");

static WORKSPACE: StaticCell<Workspace> = StaticCell::new(Workspace::new());

impl Workspace {
    pub(super) const fn new() -> Workspace {
        Workspace {
            catalog: Catalog::new(),
            query: TableQuery::new(),
            row_of: None,
            shape: RowShape::new(),
            trail: Trail::new(),
            canonical: Canonical::new(),
            bound: None,
        }
    }

    /// The static one; `None` when it was taken before.
    pub fn take() -> Option<&'static mut Workspace> {
        let workspace = WORKSPACE.take()?;
        workspace.bound = Some(Box::default());
        Some(workspace)
    }

    /// Plans a row by its key. Who looks up row after row of one table has the statement of the first for all.
    ///
    /// # Errors
    /// As [`table_query::plan_row`].
    pub(super) fn plan_row(&mut self, table: usize, key: &[u8], query: &[u8]) -> Result<(), Problem> {
        let planned = self.row_of.take() == Some(table) && query.is_empty();
        match planned {
            true => table_query::bind_row(&self.catalog, key, &mut self.query)?,
            false => table_query::plan_row(&self.catalog, table, key, query, &mut self.query)?,
        }
        self.row_of = query.is_empty().then_some(table);
        Ok(())
    }

    /// The schema is another one, or statements are numbered anew: nothing holds that was made of the last.
    pub(super) fn forget_plans(&mut self) {
        self.row_of = None;
        self.shape.forget();
    }

    /// What was last read of the schema.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }
}
