//! The fixed memory in which a query is planned and its rows are shaped, and the schema that it is planned on.

use super::rows::RowShape;
use super::trail::Trail;
use crate::api::canonical::Canonical;
use crate::api::catalog::Catalog;
use crate::api::named::Bound;
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

    /// What was last read of the schema.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }
}
