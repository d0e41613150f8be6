//! openpam-hub
