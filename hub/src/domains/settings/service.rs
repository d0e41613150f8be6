//! Reading and changing the settings of a tenant.

use sqlx::PgConnection;

use super::{
    error::SettingsError,
    store,
    types::{Chosen, Effective},
};
use crate::{
    config::Config,
    context::Context,
    db::DbError,
    domains::audit::{self, Event},
    http::FieldError,
    permissions::{Permission, permits},
};

/// What to change; `None` stays, `Some(None)` gives the choice back to the configuration.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) idle_timeout_seconds: Option<Option<i32>>,
    pub(super) max_duration_seconds: Option<Option<i32>>,
    pub(super) resume_grace_seconds: Option<Option<i32>>,
    pub(super) clipboard_write: Option<bool>,
    pub(super) require_reason: Option<bool>,
    pub(super) watch_visible: Option<bool>,
    pub(super) motd: Option<Option<String>>,
    pub(super) recording_required: Option<Option<bool>>,
    pub(super) recording_retention_days: Option<Option<i32>>,
}

impl Change {
    fn apply(self, chosen: &mut Chosen) {
        fn set<T>(place: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *place = value;
            }
        }
        set(&mut chosen.idle_timeout_seconds, self.idle_timeout_seconds);
        set(&mut chosen.max_duration_seconds, self.max_duration_seconds);
        set(&mut chosen.resume_grace_seconds, self.resume_grace_seconds);
        set(&mut chosen.clipboard_write, self.clipboard_write);
        set(&mut chosen.require_reason, self.require_reason);
        set(&mut chosen.watch_visible, self.watch_visible);
        set(&mut chosen.recording_required, self.recording_required);
        set(&mut chosen.recording_retention_days, self.recording_retention_days);
        set(&mut chosen.motd, self.motd.map(|motd| motd.filter(|text| !text.trim().is_empty())));
    }
}

/// The settings that hold in the transaction's tenant.
///
/// # Errors
/// When the database fails.
pub async fn effective(connection: &mut PgConnection, config: &Config) -> Result<Effective, DbError> {
    Ok(store::read(connection).await?.over(config))
}

pub(super) async fn update(
    connection: &mut PgConnection,
    context: &Context,
    config: &Config,
    change: Change,
) -> Result<Effective, SettingsError> {
    // Who changes something else at the same time must not put this back.
    store::lock(connection, context.tenant_id).await.map_err(DbError::from)?;
    let before = store::read(connection).await.map_err(DbError::from)?;
    let mut chosen = before.clone();
    change.apply(&mut chosen);
    validate(&chosen)?;
    // What is older than that is deleted: a limited token must be allowed to do so.
    if chosen.recording_retention_days != before.recording_retention_days
        && !permits(&context.principal, Permission::RecordingPurge)
    {
        return Err(SettingsError::BeyondScope);
    }
    store::write(connection, context.tenant_id, &chosen).await.map_err(DbError::from)?;
    let event = Event::success("settings.update")
        .with_change("idle_timeout_seconds", before.idle_timeout_seconds, chosen.idle_timeout_seconds)
        .with_change("max_duration_seconds", before.max_duration_seconds, chosen.max_duration_seconds)
        .with_change("resume_grace_seconds", before.resume_grace_seconds, chosen.resume_grace_seconds)
        .with_change("clipboard_write", before.clipboard_write, chosen.clipboard_write)
        .with_change("require_reason", before.require_reason, chosen.require_reason)
        .with_change("watch_visible", before.watch_visible, chosen.watch_visible)
        .with_change("recording_required", before.recording_required, chosen.recording_required)
        .with_change("recording_retention_days", before.recording_retention_days, chosen.recording_retention_days)
        .with_change("motd", before.motd.as_deref(), chosen.motd.as_deref());
    audit::record(connection, context, event).await.map_err(DbError::from)?;
    Ok(chosen.over(config))
}

fn validate(chosen: &Chosen) -> Result<(), SettingsError> {
    let mut errors = Vec::new();
    let mut add = |field: &'static str, code: &'static str, message: String| {
        errors.push(FieldError { field: field.into(), code: code.into(), message });
    };
    let ranges = [
        ("terminal.idle_timeout_seconds", chosen.idle_timeout_seconds, 30, 604_800),
        ("terminal.max_duration_seconds", chosen.max_duration_seconds, 60, 2_592_000),
        ("terminal.resume_grace_seconds", chosen.resume_grace_seconds, 0, 3_600),
    ];
    for (field, value, least, most) in ranges {
        if value.is_some_and(|value| !(least..=most).contains(&value)) {
            add(field, "out_of_range", format!("must be between {least} and {most} seconds"));
        }
    }
    if chosen.recording_retention_days.is_some_and(|days| !(1..=36_500).contains(&days)) {
        add("recording.retention_days", "out_of_range", "must be between 1 and 36500 days".to_owned());
    }
    if chosen.motd.as_ref().is_some_and(|motd| motd.chars().count() > 2_000) {
        add("motd", "too_long", "may have 2000 characters at the most".to_owned());
    }
    if chosen.motd.as_ref().is_some_and(|motd| motd.contains('\0')) {
        add("motd", "malformed", "must not contain NUL".to_owned());
    }
    if errors.is_empty() { Ok(()) } else { Err(SettingsError::Invalid(errors)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_gives_a_choice_back_and_absence_keeps_it() {
        let mut chosen = Chosen {
            idle_timeout_seconds: Some(60),
            max_duration_seconds: Some(600),
            motd: Some("hello".to_owned()),
            ..Chosen::default()
        };
        Change { idle_timeout_seconds: Some(None), motd: Some(Some("  ".to_owned())), ..Change::default() }
            .apply(&mut chosen);
        assert_eq!(chosen.idle_timeout_seconds, None);
        assert_eq!(chosen.max_duration_seconds, Some(600));
        assert_eq!(chosen.motd, None, "a blank message is none");
    }

    #[test]
    fn every_value_out_of_range_is_named() {
        let chosen = Chosen {
            idle_timeout_seconds: Some(29),
            resume_grace_seconds: Some(-1),
            recording_retention_days: Some(0),
            ..Chosen::default()
        };
        let Err(SettingsError::Invalid(errors)) = validate(&chosen) else { panic!("should be refused") };
        assert_eq!(
            errors.iter().map(|error| &*error.field).collect::<Vec<_>>(),
            ["terminal.idle_timeout_seconds", "terminal.resume_grace_seconds", "recording.retention_days"]
        );
    }
}
