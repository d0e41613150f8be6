//! openpam-telemetry
