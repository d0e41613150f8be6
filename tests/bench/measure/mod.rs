//! The measurements. Each one alternates between both routes within one run, so that what else the
//! machine does falls on both.

mod bulk;
mod capacity;
mod closing;
mod flood;
mod hour;
mod interrupt;
mod keys;
mod ledger;
mod opening;
mod recorder;
mod search;
mod seek;

pub use bulk::bulk;
pub use capacity::{capacity, idle_memory};
pub use closing::closing;
pub use flood::{BYTES, FEW_BYTES, flooded};
pub use interrupt::interrupt;
pub use keys::keys;
pub use ledger::ledger;
pub use opening::opening;
pub use recorder::{Both, Side, recorder};
pub use search::search;
pub use seek::{FEW_SEEKS, SEEKS, seek};

use crate::line::{Direct, Route, Through};

/// Where and how much to measure.
#[derive(Debug, Clone)]
pub struct Plan {
    /// OpenSSH's client.
    pub direct: Direct,
    /// The hub.
    pub through: Through,
    /// Process id of the hub.
    pub hub: u32,
    /// Repetitions of each comparison.
    pub repetitions: usize,
    /// Most sessions at the same time.
    pub sessions: usize,
}

impl Plan {
    fn routes(&self) -> [Route; 2] {
        [Route::Direct(self.direct.clone()), Route::Hub(self.through.clone())]
    }
}
