//! Log lines: as the processes of a cluster write them, JSON on standard output with the keys that collectors know, and
//! for people, on standard error.

use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// The names of levels that `--log-level` takes.
pub(crate) fn level(name: &str) -> Option<LevelFilter> {
    Some(match name {
        "all" => LevelFilter::TRACE,
        "debug" => LevelFilter::DEBUG,
        "info" => LevelFilter::INFO,
        "warn" => LevelFilter::WARN,
        "error" => LevelFilter::ERROR,
        "none" => LevelFilter::OFF,
        _ => return None,
    })
}

/// From now on this process logs. What the libraries below say is left out.
pub(crate) fn start(level: LevelFilter) {
    let ours = Targets::new().with_target("apiserver", level).with_target("ferrolb", level);
    let lines = tracing_subscriber::fmt::layer().event_format(JsonLine).with_writer(std::io::stdout);
    tracing_subscriber::registry().with(lines.with_filter(ours)).init();
}

/// From now on this process logs for the people who have started it.
///
/// What the libraries below say is left out: it is much, and nobody has looked at whether there are secrets in it.
pub(crate) fn to_stderr(level: LevelFilter) {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let ours = Targets::new().with_target("apiserver", level).with_target("ferrolb", level);
    tracing_subscriber::registry().with(lines.with_filter(ours)).init();
}

/// One event on one line.
struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let file = metadata.file().unwrap_or_default();
        let file = file.rsplit('/').next().unwrap_or_default();
        let caller = format!("{file}:{}", metadata.line().unwrap_or_default());
        let level = match *metadata.level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            Level::DEBUG | Level::TRACE => "debug",
        };
        fields.0.insert("caller", caller.into());
        fields.0.insert("level", level.into());
        fields.0.insert("ts", api::time_text(Timestamp::now()).into());
        writeln!(writer, "{}", serde_json::to_string(&fields.0).map_err(|_| fmt::Error)?)
    }
}

#[derive(Default)]
struct Fields(BTreeMap<&'static str, Value>);

impl Fields {
    fn keep(&mut self, field: &Field, value: Value) {
        let name = if field.name() == "message" { "msg" } else { field.name() };
        self.0.insert(name, value);
    }
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep(field, format!("{value:?}").into());
    }
}
