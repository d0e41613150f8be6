//! SQL of flows.
