//! `openpam doctor`: looks at everything the hub needs, one by one, and says what to do.
//!
//! INVARIANT: nothing here changes what is stored anywhere, uses up a wrapping token, or prints a secret.
//! A secret id that is not wrapped serves for a login of its own; the listen address is bound for a moment;
//! the store of recordings gets an object of its own, which is deleted again.

use std::{io::Write as _, path::Path, process::ExitCode};

use chrono::TimeDelta;
use serde::Serialize;

use crate::{config::Config, context::Clock};

mod database;
mod files;
mod ledger;
mod listener;
mod nats;
mod provider;
mod recordings;
mod vault;

/// Seconds another server's clock may differ before it is worth a warning.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::seconds(5);

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// The hub works, but not for ever or not as safely as it should.
    Warning,
    Failed,
    /// It could not be looked at, because something before it failed or is not configured.
    Skipped,
}

impl State {
    const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "WARNING",
            Self::Failed => "FAILED",
            Self::Skipped => "skipped",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    /// Stable name.
    name: &'static str,
    state: State,
    /// What was found.
    message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// Everything that was looked at, in order.
#[derive(Debug, Default, Serialize)]
struct Report {
    healthy: bool,
    checks: Vec<Check>,
}

impl Report {
    fn ok(&mut self, name: &'static str, message: impl Into<String>) {
        self.add(name, State::Ok, message, None);
    }

    fn warning(&mut self, name: &'static str, message: impl Into<String>, remedy: impl Into<String>) {
        self.add(name, State::Warning, message, Some(remedy.into()));
    }

    fn failed(&mut self, name: &'static str, message: impl Into<String>, remedy: impl Into<String>) {
        self.add(name, State::Failed, message, Some(remedy.into()));
    }

    fn skipped(&mut self, name: &'static str, message: impl Into<String>) {
        self.add(name, State::Skipped, message, None);
    }

    fn add(&mut self, name: &'static str, state: State, message: impl Into<String>, remedy: Option<String>) {
        self.checks.push(Check { name, state, message: message.into(), remedy });
    }

    /// Judges the clock of another server against ours.
    fn clock(&mut self, name: &'static str, whose: &str, theirs: chrono::DateTime<chrono::Utc>, tolerance: TimeDelta) {
        let ahead = theirs - Clock.now();
        let seconds = ahead.num_seconds();
        let words = match seconds {
            0 => format!("agrees with the clock of {whose}"),
            1.. => format!("the clock of {whose} is {seconds} s ahead of this machine's"),
            _ => format!("the clock of {whose} is {} s behind this machine's", -seconds),
        };
        // One second is lost where a clock is told in whole seconds.
        if ahead.abs() <= tolerance + TimeDelta::seconds(1) {
            self.ok(name, words);
        } else {
            let remedy = "set the clocks of both machines through NTP (chrony or systemd-timesyncd)";
            if ahead.abs() > TimeDelta::seconds(60) {
                self.failed(name, words, remedy);
            } else {
                self.warning(name, words, remedy);
            }
        }
    }

    fn finish(mut self) -> Self {
        self.healthy = self.checks.iter().all(|check| check.state != State::Failed);
        self
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for check in &self.checks {
            text.push_str(&format!("{:<8} {:<20} {}\n", check.state.label(), check.name, check.message));
            if let Some(remedy) = &check.remedy {
                text.push_str(&format!("{:<8} {:<20} → {remedy}\n", "", ""));
            }
        }
        let count = |state| self.checks.iter().filter(|check| check.state == state).count();
        text.push_str(&format!(
            "\n{} ok, {} to look at, {} failed, {} skipped\n",
            count(State::Ok),
            count(State::Warning),
            count(State::Failed),
            count(State::Skipped)
        ));
        text
    }
}

/// `openpam doctor`: success when nothing failed.
///
/// # Errors
/// When standard output is closed.
pub async fn doctor(config_path: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let report = examine(config_path).await.finish();
    let mut output = std::io::stdout();
    if json {
        writeln!(output, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        write!(output, "{}", report.text())?;
    }
    Ok(if report.healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn examine(config_path: &Path) -> Report {
    let mut report = Report::default();
    let config = match Config::load_for_hub(config_path) {
        Ok(config) => config,
        Err(error) => {
            for mistake in &error.0 {
                let what = format!("{}: {}", mistake.key, mistake.message);
                report.failed("configuration", what, format!("correct this key in {}", config_path.display()));
            }
            report.skipped("everything else", "needs a valid configuration");
            return report;
        }
    };
    report.ok("configuration", format!("{}: every key is valid", config_path.display()));
    files::examine(&config, config_path, &mut report);
    files::certificate(&config, &mut report);
    let hub = listener::examine(&config, &mut report).await;
    database::examine(&config.database, &mut report).await;
    vault::examine(&config, hub.as_ref(), &mut report).await;
    provider::examine(&config, &mut report).await;
    recordings::examine(&config, &mut report).await;
    ledger::examine(&config.ledger, &mut report).await;
    nats::examine(&config, &mut report).await;
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_far_off_fails_and_one_that_is_a_little_off_warns() {
        let mut report = Report::default();
        let now = Clock.now();
        for seconds in [0, 20, 600, -600] {
            report.clock("clock", "the database", now + TimeDelta::seconds(seconds), CLOCK_TOLERANCE);
        }
        let states = report.checks.iter().map(|check| check.state).collect::<Vec<_>>();
        assert_eq!(states, [State::Ok, State::Warning, State::Failed, State::Failed]);
        assert!(report.checks[3].message.contains("behind"), "{}", report.checks[3].message);
        assert!(!report.finish().healthy);
    }
}
