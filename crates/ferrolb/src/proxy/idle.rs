//! When something last happened, for what is ended after a while in which nothing does.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

#[derive(Debug)]
pub(super) struct Activity {
    begun: Instant,
    last_ms: AtomicU64,
}

impl Activity {
    pub(super) fn new() -> Activity {
        Activity { begun: Instant::now(), last_ms: AtomicU64::new(0) }
    }

    pub(super) fn note(&self) {
        self.last_ms.store(self.begun.elapsed().as_millis() as u64, Relaxed);
    }

    /// Comes to its end when nothing has happened for so long.
    pub(super) async fn idle(&self, limit: Duration) {
        loop {
            let end = self.begun + Duration::from_millis(self.last_ms.load(Relaxed)) + limit;
            if Instant::now() >= end {
                return;
            }
            sleep_until(end).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_happens_puts_the_end_off() {
        let activity = Activity::new();
        let limit = Duration::from_secs(60);
        let begun = Instant::now();
        let noting = async {
            for _ in 0..3 {
                advance(Duration::from_secs(40)).await;
                activity.note();
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = activity.idle(limit) => {}
            () = noting => {}
        }
        assert_eq!(begun.elapsed().as_secs(), 180);
    }
}
