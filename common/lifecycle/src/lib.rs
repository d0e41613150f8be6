//! openpam-lifecycle
