//! Names of metrics and log fields, in one place so that dashboards can rely on them.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Bucket borders of every histogram in seconds.
pub const SECONDS_BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// HTTP requests by method, route and status.
pub const HTTP_REQUESTS: &str = "openpam_http_requests_total";
/// Duration of HTTP requests by route.
pub const HTTP_DURATION: &str = "openpam_http_request_duration_seconds";
/// Connections that were closed before they asked anything, by reason: `address_limit`, `slow_head`, `outstayed`, `gave_way`.
pub const CONNECTIONS_REFUSED: &str = "openpam_connections_refused_total";
/// Sessions that run now, by protocol.
pub const SESSIONS_ACTIVE: &str = "openpam_sessions_active";
/// People who watch or join a session now, by kind.
pub const SESSION_PARTICIPANTS: &str = "openpam_session_participants";
/// Screens drawn for who watches.
pub const SCREENS_DRAWN: &str = "openpam_session_screens_drawn_total";
/// Sessions that ended, by protocol and status.
pub const SESSIONS_ENDED: &str = "openpam_sessions_ended_total";
/// Time from the request to a ready session.
pub const SESSION_OPEN_DURATION: &str = "openpam_session_open_duration_seconds";
/// Bytes carried by sessions, by direction.
pub const SESSION_BYTES: &str = "openpam_session_bytes_total";
/// Bytes of recordings, as stored.
pub const RECORDING_BYTES: &str = "openpam_recording_bytes_total";
/// 1 while the store of recordings takes what it is given, 0 while it does not.
pub const RECORDING_STORE_AVAILABLE: &str = "openpam_recording_store_available";
/// Bytes of recordings that wait in this hub's spool.
pub const RECORDING_SPOOL_BYTES: &str = "openpam_recording_spool_bytes";
/// Gauge: bytes that were set aside in this hub's spool.
pub const RECORDING_SPOOL_ASIDE_BYTES: &str = "openpam_recording_spool_aside_bytes";
/// Age of what waits longest in this hub's spool.
pub const RECORDING_SPOOL_AGE: &str = "openpam_recording_spool_age_seconds";
/// Parts of recordings that wait in this hub's spool for longer than other hubs wait for them.
pub const RECORDING_SPOOL_OVERDUE: &str = "openpam_recording_spool_overdue_parts";
/// Stored segments of running or just ended sessions whose text is not indexed yet.
pub const RECORDING_INDEX_WAITING: &str = "openpam_recording_index_waiting_segments";
/// 1 on the hub that leads the ledger.
pub const LEDGER_LEADER: &str = "openpam_ledger_leader";
/// Entries of the ledger that this hub gave their places.
pub const LEDGER_ENTRIES: &str = "openpam_ledger_entries_total";
/// Age of the oldest entry that no checkpoint speaks for yet.
pub const LEDGER_CHECKPOINT_LAG: &str = "openpam_ledger_checkpoint_lag_seconds";
/// 1 while an anchor of the ledger, by name, takes the checkpoints of the hub that leads.
pub const LEDGER_ANCHOR_AVAILABLE: &str = "openpam_ledger_anchor_available";
/// Checkpoints that an anchor of the ledger, by name, took from this hub.
pub const LEDGER_ANCHORED: &str = "openpam_ledger_anchored_checkpoints_total";
/// Attempts to deliver an event, by subscriber and outcome.
pub const EVENT_DELIVERIES: &str = "openpam_event_deliveries_total";
/// Sign-ins by method and outcome.
pub const LOGINS: &str = "openpam_logins_total";
/// Access decisions by action and outcome.
pub const DECISIONS: &str = "openpam_decisions_total";
/// Looks at running sessions of a tenant, by cause: an announced change, or time.
pub const ACCESS_CHECKS: &str = "openpam_access_checks_total";
/// Requests to the vault by operation and outcome.
pub const VAULT_REQUESTS: &str = "openpam_vault_requests_total";
/// 1 while the vault's circuit breaker is closed, 0 while it is open.
pub const VAULT_AVAILABLE: &str = "openpam_vault_available";

/// Attaches help texts and units; called once by [`crate::init_metrics`].
pub(crate) fn describe() {
    describe_counter!(HTTP_REQUESTS, "HTTP requests by method, route and status");
    describe_histogram!(HTTP_DURATION, Unit::Seconds, "Duration of HTTP requests by route");
    describe_counter!(CONNECTIONS_REFUSED, "Connections closed before they asked anything, by reason");
    describe_gauge!(SESSIONS_ACTIVE, "Sessions that run now, by protocol");
    describe_gauge!(SESSION_PARTICIPANTS, "People who watch or join a session now, by kind");
    describe_counter!(SCREENS_DRAWN, "Screens drawn for who begins to watch or fell behind");
    describe_counter!(SESSIONS_ENDED, "Sessions that ended, by protocol and status");
    describe_histogram!(SESSION_OPEN_DURATION, Unit::Seconds, "Time from the request to a ready session");
    describe_counter!(SESSION_BYTES, Unit::Bytes, "Bytes carried by sessions, by direction");
    describe_gauge!(RECORDING_STORE_AVAILABLE, "1 while the store of recordings takes what it is given");
    describe_gauge!(RECORDING_SPOOL_BYTES, Unit::Bytes, "Bytes of recordings that wait in this hub's spool");
    describe_gauge!(
        RECORDING_SPOOL_ASIDE_BYTES,
        Unit::Bytes,
        "Bytes of recordings that were set aside in this hub's spool"
    );
    describe_gauge!(RECORDING_SPOOL_AGE, Unit::Seconds, "Age of what waits longest in this hub's spool");
    describe_gauge!(
        RECORDING_SPOOL_OVERDUE,
        "Parts that wait in this hub's spool for longer than recording.spool_wait_seconds: other hubs close without them"
    );
    describe_gauge!(RECORDING_INDEX_WAITING, "Stored segments of this hub's sessions whose text is not indexed yet");
    describe_gauge!(LEDGER_LEADER, "1 on the hub that leads the ledger");
    describe_counter!(LEDGER_ENTRIES, "Entries of the ledger that this hub gave their places");
    describe_gauge!(LEDGER_CHECKPOINT_LAG, Unit::Seconds, "Age of the oldest entry that no checkpoint speaks for yet");
    describe_gauge!(LEDGER_ANCHOR_AVAILABLE, "1 while an anchor, by name, takes the ledger's checkpoints");
    describe_counter!(LEDGER_ANCHORED, "Checkpoints that an anchor of the ledger, by name, took");
    describe_counter!(EVENT_DELIVERIES, "Attempts to deliver an event, by subscriber and outcome");
    describe_counter!(LOGINS, "Sign-ins by method and outcome");
    describe_counter!(DECISIONS, "Access decisions by action and outcome");
    describe_counter!(ACCESS_CHECKS, "Looks at running sessions of a tenant, by cause");
    describe_counter!(VAULT_REQUESTS, "Requests to the vault by operation and outcome");
    describe_gauge!(VAULT_AVAILABLE, "1 while the vault answers, 0 while its circuit breaker is open");
}
