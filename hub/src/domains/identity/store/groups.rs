//! SQL of groups.
