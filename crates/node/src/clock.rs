//! The one place where the node reads the time.

use std::time::{SystemTime, UNIX_EPOCH};

/// The node's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// Seconds since 1970 (Unix time). A clock set before 1970 reads 0.
    pub fn now_seconds(self) -> u64 {
        self.now_milliseconds() / 1000
    }

    /// Milliseconds since 1970.
    pub fn now_milliseconds(self) -> u64 {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }
}
