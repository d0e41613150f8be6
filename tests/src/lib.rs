//! What the suite shares: the development stack, a fresh database and a real hub for each story, a
//! client of the API and one of the terminal's WebSocket, and faults to put between them.
//!
//! Nothing here replaces a server: PostgreSQL, OpenBao, the OpenID provider, the SSH targets and
//! the hub are the real ones. What no real one does, an attacker's does (`hostile`, `forger`).

pub mod client;
pub mod control;
pub mod database;
pub mod folder;
pub mod forger;
pub mod hostile;
pub mod hub;
pub mod nats;
pub mod openbao;
pub mod postgres;
pub mod proxy;
pub mod s3;
pub mod sshd;
pub mod stack;
pub mod terminal;
pub mod vault;
pub mod wait;
pub mod webhook;
pub mod world;

pub use client::{Answer, Client};
pub use database::Database;
pub use hub::{Hub, HubOptions};
pub use stack::Stack;
pub use terminal::Terminal;
pub use wait::eventually;
pub use world::World;

/// A name that no other test uses: `prefix` and twelve random hexadecimal digits.
pub fn unique(prefix: &str) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{prefix}-{}", &random[..12])
}
