//! The fixed memory in which a query is planned and its rows are shaped, and the schema that it is planned on.

use super::rows::RowShape;
use super::trail::Trail;
use crate::api::canonical::Canonical;
use crate::api::catalog::Catalog;
use crate::api::named::{Bound, VALUE_BYTES};
use crate::api::table_query::TableQuery;
use crate::budget::QUERY_BYTES;
use crate::memory::StaticCell;

/// The running query's workspace.
pub struct Workspace {
    pub(super) catalog: Catalog,
    pub(super) query: TableQuery,
    pub(super) shape: RowShape,
    pub(super) trail: Trail,
    pub(super) canonical: Canonical,
    /// A named route's values; made once, and kept when the database is opened anew.
    pub(super) bound: Option<Bound>,
}

const _: () = assert!(
    size_of::<TableQuery>() + size_of::<RowShape>() + size_of::<Trail>() + size_of::<Canonical>() <= QUERY_BYTES,
    "QUERY_BYTES holds the query workspace"
);
const _: () = assert!(VALUE_BYTES + size_of::<Bound>() <= crate::budget::BOUND_BYTES, "BOUND_BYTES holds a route's values");
const _: () = assert!(size_of::<Catalog>() <= crate::budget::CATALOG_BYTES, "CATALOG_BYTES holds the catalog");

static WORKSPACE: StaticCell<Workspace> = StaticCell::new(Workspace::new());

impl Workspace {
    pub(super) const fn new() -> Workspace {
        Workspace {
            catalog: Catalog::new(),
            query: TableQuery::new(),
            shape: RowShape::new(),
            trail: Trail::new(),
            canonical: Canonical::new(),
            bound: None,
        }
    }

    /// The static one; `None` when it was taken before.
    pub fn take() -> Option<&'static mut Workspace> {
        WORKSPACE.take()
    }

    /// Takes what room comes from the heap, once.
    pub(super) fn make_room(&mut self) {
        self.bound.get_or_insert_with(Bound::new);
    }

    /// What was last read of the schema.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }
}
