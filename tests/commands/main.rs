//! The small commands beside the hub, against real servers: `openpam config check`, `openpam doctor`.

mod config;
mod doctor;
mod setting;
