//! openpam-tests
