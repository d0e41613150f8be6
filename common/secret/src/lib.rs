//! openpam-secret
