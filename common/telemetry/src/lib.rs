//! Logs, metrics and the names both use.

pub mod names;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing::Level;
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::filter_fn, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// The error with its causes: the text of many ends before the interesting part.
pub fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Text for a person at a terminal.
    Human,
}

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter directive cannot be read.
    #[error("log filter {filter:?} is not valid: {reason}")]
    Filter {
        /// What was configured.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A subscriber is already there.
    #[error("logging was set up twice")]
    LoggingTwice,
    /// A metrics recorder is already there.
    #[error("metrics were set up twice")]
    MetricsTwice,
}

/// Starts logging to standard error. Call once, first thing in `main`.
///
/// # Errors
/// When the filter is malformed or logging is already set up.
pub fn init_logging(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let filter_layer = parse_filter(filter)?;
    let layer = match format {
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(std::io::stderr)
            .boxed(),
        LogFormat::Human => tracing_subscriber::fmt::layer().with_writer(std::io::stderr).boxed(),
    };
    // Around the registry, not around the layer: a per-layer filter loses events after a span that
    // it disabled (seen with client libraries that are filtered off).
    tracing_subscriber::registry()
        .with(filter_layer)
        .with(filter_fn(|metadata| *metadata.level() <= Level::INFO || !carries(metadata.target())))
        .with(layer)
        .try_init()
        .map_err(|_| TelemetryError::LoggingTwice)
}

/// Crates that write what passes through them at the levels debug and trace: messages, headers, keys, statements.
const CARRIERS: [&str; 12] = [
    "h2",
    "hyper",
    "hyper_util",
    "openidconnect",
    "reqwest",
    "russh",
    "rustls",
    "sqlx",
    "ssh_key",
    "tokio_tungstenite",
    "tungstenite",
    "vaultrs",
];

/// INVARIANT: what these crates carry is never written down, whatever filter is configured.
fn carries(target: &str) -> bool {
    target.split("::").next().is_some_and(|crate_name| CARRIERS.contains(&crate_name))
}

/// Whether a filter can be read.
///
/// # Errors
/// When it cannot.
pub fn check_filter(filter: &str) -> Result<(), TelemetryError> {
    parse_filter(filter).map(|_| ())
}

fn parse_filter(filter: &str) -> Result<EnvFilter, TelemetryError> {
    // It tells of every attempt to connect; the hub tells what matters. A later word of the configuration wins.
    EnvFilter::try_new(format!("async_nats=warn,{filter}"))
        .map_err(|error| TelemetryError::Filter { filter: filter.to_owned(), reason: error.to_string() })
}

/// Installs the metrics recorder and returns the handle that renders `/metrics`.
///
/// # Errors
/// When a recorder is already installed.
pub fn init_metrics() -> Result<PrometheusHandle, TelemetryError> {
    let handle = PrometheusBuilder::new()
        .set_buckets(names::SECONDS_BUCKETS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|_| TelemetryError::MetricsTwice)?;
    names::describe();
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_that_carry_messages_are_known_by_every_module_of_theirs() {
        for target in ["tungstenite", "tungstenite::protocol::frame", "hyper::proto::h1::role", "sqlx::query"] {
            assert!(carries(target), "{target}");
        }
        for target in ["openpam_hub::http::observe", "hyperspace", "tower_http", ""] {
            assert!(!carries(target), "{target}");
        }
    }
}
