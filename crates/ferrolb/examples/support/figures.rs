//! Lines of JSON, one for each figure.

use std::time::Duration;

use serde_json::{Value, json};

/// Times of trials that were alike.
#[derive(Debug, Default, Clone)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn extend(&mut self, others: &Times) {
        self.0.extend(&others.0);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The time that this share of all did not exceed.
    pub(crate) fn at(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() as f64 * share).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().map(millis).unwrap_or_default()
    }

    /// As a figure whose 99th percentile has a limit.
    pub(crate) fn print(&self, bench: &str, limit_milliseconds: f64, further: &Value) {
        let figure = json!({
            "bench": bench, "milliseconds": self.at(0.99), "limit_milliseconds": limit_milliseconds,
            "median": self.at(0.5), "most": self.at(1.0), "trials": self.0.len(),
        });
        print(figure, further);
    }
}

/// Something that is counted, and at most how often it may be.
pub(crate) fn print_count(bench: &str, count: usize, limit: usize, further: &Value) {
    print(json!({"bench": bench, "count": count, "limit_count": limit}), further);
}

pub(crate) fn print(mut figure: Value, further: &Value) {
    if let (Some(figure), Some(further)) = (figure.as_object_mut(), further.as_object()) {
        figure.extend(further.clone());
    }
    println!("{figure}");
}

pub(crate) fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 100.0
}
