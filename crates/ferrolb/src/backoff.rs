//! How long to wait before the next try.

use std::time::Duration;

use tokio::time::Instant;

/// Doubles with each failure. Half of it is left to chance, so that many do not come back at once.
pub(crate) fn delay(failures: u32, least: Duration, most: Duration) -> Duration {
    let whole = least.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(most);
    let chance = f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX);
    whole.mul_f64(0.5 + chance / 2.0)
}

/// Comes to its end at this moment, if there is one: for the branch of a `select!` that has it as its condition.
pub(crate) async fn sleep_until(at: Option<impl Into<Instant>>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at.into()).await;
    }
}
