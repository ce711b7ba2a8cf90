//! What a server counts, in the text format of Prometheus.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::limits::{self, LIMITS};
use super::working;
use crate::auth::Attributes;

/// Of the time that requests take, in milliseconds.
const BUCKETS_MS: [u64; 10] = [1, 5, 10, 25, 50, 100, 250, 1_000, 5_000, 60_000];

#[derive(Debug, Default)]
pub(super) struct Metrics {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    requests: HashMap<Series, u64>,
    times: HashMap<&'static str, Times>,
}

/// Requests that are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Series {
    verb: &'static str,
    group: String,
    resource: String,
    subresource: String,
    code: u16,
}

#[derive(Debug, Default)]
struct Times {
    buckets: [u64; BUCKETS_MS.len()],
    count: u64,
    sum: Duration,
}

/// What is so at the moment of a scrape.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Gauges {
    pub(super) reading: usize,
    pub(super) writing: usize,
    pub(super) watches: usize,
    /// Name of a pool, who has a seat, who waits.
    pub(super) pools: Vec<(&'static str, usize, usize)>,
    pub(super) revision: u64,
    pub(super) objects: usize,
}

impl Metrics {
    /// Counts an answer. Names from a request are only kept if `is_served`, so that nobody can fill the table.
    pub(super) fn count(&self, wanted: &Attributes, is_served: bool, code: u16, time: Duration) {
        let verb = verb_label(wanted);
        let kept = |text: &str| if is_served { text.to_owned() } else { String::new() };
        let mut series = Series {
            verb,
            group: kept(&wanted.group),
            resource: kept(&wanted.resource),
            subresource: kept(&wanted.subresource),
            code,
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.requests.len() >= LIMITS.metric_series && !state.requests.contains_key(&series) {
            series = Series {
                group: String::new(),
                resource: String::new(),
                subresource: String::new(),
                ..series
            };
        }
        *state.requests.entry(series).or_default() += 1;
        if verb != "WATCH" {
            state.times.entry(verb).or_default().add(time);
        }
    }

    pub(super) fn text(&self, gauges: &Gauges) -> String {
        let mut text = Text::default();
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        text.head(
            "apiserver_request_total",
            "counter",
            "Requests by what was asked and how it was answered.",
        );
        let mut requests: Vec<_> = state.requests.iter().collect();
        requests.sort();
        for (series, count) in requests {
            let code = series.code.to_string();
            let labels = [
                ("verb", series.verb),
                ("group", &series.group),
                ("resource", &series.resource),
                ("subresource", &series.subresource),
                ("code", &code),
            ];
            text.sample("apiserver_request_total", &labels, *count);
        }
        let name = "apiserver_request_duration_seconds";
        text.head(name, "histogram", "From the head of a request to its answer, watches aside.");
        let mut times: Vec<_> = state.times.iter().collect();
        times.sort_by_key(|(verb, _)| *verb);
        for (verb, times) in times {
            times.write(&mut text, name, verb);
        }
        drop(state);
        text.gauges(gauges);
        text.head(
            "apiserver_limit_reached_total",
            "counter",
            "How often a limit kept something from being done.",
        );
        for (limit, count) in limits::counts() {
            text.sample("apiserver_limit_reached_total", &[("limit", limit)], count);
        }
        text.head("apiserver_panics_total", "counter", "Requests that caused a panic, and were told so.");
        text.sample("apiserver_panics_total", &[], working::panics());
        text.0
    }
}

impl Times {
    fn add(&mut self, time: Duration) {
        for (bucket, bound) in self.buckets.iter_mut().zip(BUCKETS_MS) {
            *bucket += u64::from(time <= Duration::from_millis(bound));
        }
        self.count += 1;
        self.sum += time;
    }

    fn write(&self, text: &mut Text, name: &str, verb: &str) {
        for (bucket, bound) in self.buckets.iter().zip(BUCKETS_MS) {
            let bound = Duration::from_millis(bound).as_secs_f64().to_string();
            text.sample(&format!("{name}_bucket"), &[("verb", verb), ("le", &bound)], *bucket);
        }
        text.sample(&format!("{name}_bucket"), &[("verb", verb), ("le", "+Inf")], self.count);
        text.sample(&format!("{name}_sum"), &[("verb", verb)], self.sum.as_secs_f64());
        text.sample(&format!("{name}_count"), &[("verb", verb)], self.count);
    }
}

/// As metrics of a real server call it.
fn verb_label(wanted: &Attributes) -> &'static str {
    match wanted.verb.as_str() {
        "create" | "post" => "POST",
        "update" | "put" => "PUT",
        "get" => "GET",
        "list" => "LIST",
        "watch" => "WATCH",
        "patch" => "PATCH",
        "delete" => "DELETE",
        "deletecollection" => "DELETECOLLECTION",
        _ => "other",
    }
}

#[derive(Debug, Default)]
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a text cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn gauges(&mut self, gauges: &Gauges) {
        let name = "apiserver_current_inflight_requests";
        self.head(name, "gauge", "Requests that are worked on, watches aside.");
        self.sample(name, &[("request_kind", "readOnly")], gauges.reading);
        self.sample(name, &[("request_kind", "mutating")], gauges.writing);
        let simple = [
            ("apiserver_watches", "Watches that are open.", gauges.watches as u64),
            ("apiserver_store_revision", "The revision of the store.", gauges.revision),
            ("apiserver_store_objects", "Objects in the store.", gauges.objects as u64),
        ];
        for (name, help, value) in simple {
            self.head(name, "gauge", help);
            self.sample(name, &[], value);
        }
        self.head("apiserver_seats_taken", "gauge", "Requests that have a seat.");
        for (pool, taken, _) in &gauges.pools {
            self.sample("apiserver_seats_taken", &[("pool", pool)], taken);
        }
        self.head("apiserver_seats_awaited", "gauge", "Requests that wait for a seat.");
        for (pool, _, waiting) in &gauges.pools {
            self.sample("apiserver_seats_awaited", &[("pool", pool)], waiting);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(verb: &str, resource: &str) -> Attributes {
        Attributes {
            verb: verb.to_owned(),
            is_resource: true,
            resource: resource.to_owned(),
            ..Attributes::default()
        }
    }

    #[test]
    fn requests_are_counted_by_what_they_are_and_how_they_end() {
        let metrics = Metrics::default();
        let time = Duration::from_millis(20);
        metrics.count(&wanted("list", "services"), true, 200, time);
        metrics.count(&wanted("list", "services"), true, 200, time);
        metrics.count(&wanted("create", "services"), true, 409, time);
        metrics.count(&wanted("get", "made-up\"\n"), false, 404, time);
        let text = metrics.text(&Gauges {
            watches: 3,
            revision: 7,
            pools: vec![("light", 1, 2)],
            ..Gauges::default()
        });
        for line in [
            "# TYPE apiserver_request_total counter",
            r#"apiserver_request_total{verb="LIST",group="",resource="services",subresource="",code="200"} 2"#,
            r#"apiserver_request_total{verb="POST",group="",resource="services",subresource="",code="409"} 1"#,
            r#"apiserver_request_total{verb="GET",group="",resource="",subresource="",code="404"} 1"#,
            r#"apiserver_request_duration_seconds_bucket{verb="LIST",le="0.01"} 0"#,
            r#"apiserver_request_duration_seconds_bucket{verb="LIST",le="0.025"} 2"#,
            r#"apiserver_request_duration_seconds_sum{verb="LIST"} 0.04"#,
            r#"apiserver_request_duration_seconds_count{verb="LIST"} 2"#,
            "apiserver_watches 3",
            "apiserver_store_revision 7",
            r#"apiserver_seats_awaited{pool="light"} 2"#,
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
        assert!(
            text.lines().any(|it| it.starts_with("apiserver_limit_reached_total{limit=\"body_bytes\"} "))
        );
    }

    #[test]
    fn nobody_can_make_the_table_grow_without_end() {
        let metrics = Metrics::default();
        for number in 0..LIMITS.metric_series + 5 {
            metrics.count(&wanted("get", &format!("r{number}")), true, 200, Duration::ZERO);
        }
        let state = metrics.state.lock().unwrap();
        assert_eq!(state.requests.len(), LIMITS.metric_series + 1);
    }
}
