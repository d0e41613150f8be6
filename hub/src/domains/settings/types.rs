//! What holds for a tenant.

/// The settings that hold: a tenant's choice, or the configuration's where it made none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// Seconds without a key before a session ends.
    pub idle_timeout_seconds: u64,
    /// Seconds a session may last.
    pub max_duration_seconds: u64,
    /// Seconds a session without its browser stays alive.
    pub resume_grace_seconds: u64,
    /// Whether programs in the terminal may write the browser's clipboard.
    pub clipboard_write: bool,
    /// Whether every session needs a reason, whatever its target says.
    pub require_reason: bool,
    /// Whether people are told who watches their sessions.
    pub watch_visible: bool,
    /// Shown to people before they work.
    pub motd: Option<String>,
    /// Whether sessions must be recorded: by the hub's configuration, or because the tenant is stricter.
    pub recording_required: bool,
    /// Days after which recordings are purged; none keeps them.
    pub recording_retention_days: Option<u32>,
}

/// What a tenant chose; `None` where the configuration decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) idle_timeout_seconds: Option<i32>,
    pub(super) max_duration_seconds: Option<i32>,
    pub(super) resume_grace_seconds: Option<i32>,
    pub(super) clipboard_write: bool,
    pub(super) require_reason: bool,
    pub(super) watch_visible: bool,
    pub(super) motd: Option<String>,
    pub(super) recording_required: Option<bool>,
    pub(super) recording_retention_days: Option<i32>,
}

impl Default for Chosen {
    fn default() -> Self {
        Self {
            idle_timeout_seconds: None,
            max_duration_seconds: None,
            resume_grace_seconds: None,
            clipboard_write: true,
            require_reason: false,
            watch_visible: true,
            motd: None,
            recording_required: None,
            recording_retention_days: None,
        }
    }
}

impl Chosen {
    /// Lays the choice over the configuration.
    pub(super) fn over(self, config: &crate::config::Config) -> Effective {
        let terminal = &config.terminal;
        let or = |chosen: Option<i32>, configured| chosen.and_then(|value| value.try_into().ok()).unwrap_or(configured);
        Effective {
            idle_timeout_seconds: or(self.idle_timeout_seconds, terminal.idle_timeout_seconds),
            max_duration_seconds: or(self.max_duration_seconds, terminal.max_duration_seconds),
            resume_grace_seconds: or(self.resume_grace_seconds, terminal.resume_grace_seconds),
            clipboard_write: self.clipboard_write,
            require_reason: self.require_reason,
            watch_visible: self.watch_visible,
            motd: self.motd,
            // INVARIANT: a tenant is never laxer than the hub.
            recording_required: config.recording.required || self.recording_required == Some(true),
            recording_retention_days: self.recording_retention_days.and_then(|days| days.try_into().ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_wins_over_the_configuration_and_silence_does_not() {
        let config = crate::config::Config::default();
        let chosen = Chosen { idle_timeout_seconds: Some(60), ..Chosen::default() };
        let effective = chosen.over(&config);
        assert_eq!(effective.idle_timeout_seconds, 60);
        assert_eq!(effective.max_duration_seconds, config.terminal.max_duration_seconds);
        assert!(effective.clipboard_write);
    }

    #[test]
    fn a_tenant_can_be_stricter_about_recording_and_not_laxer() {
        let mut config = crate::config::Config::default();
        for (hub, tenant, expected) in [
            (true, None, true),
            (true, Some(false), true),
            (false, Some(true), true),
            (false, None, false),
            (false, Some(false), false),
        ] {
            config.recording.required = hub;
            let chosen = Chosen { recording_required: tenant, ..Chosen::default() };
            assert_eq!(chosen.over(&config).recording_required, expected, "{hub} {tenant:?}");
        }
    }
}
