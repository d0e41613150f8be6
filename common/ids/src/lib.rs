//! openpam-ids
