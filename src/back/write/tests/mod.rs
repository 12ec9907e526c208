//! Batches against real databases: every way in which a write can fail, in the middle of others.
