//! PATCH bodies tell "absent" from "null".

use serde::{Deserialize, Deserializer};

/// For a field `Option<Option<T>>` with `#[serde(default, deserialize_with = "nullable")]`: absent is
/// `None`, null is `Some(None)`.
///
/// # Errors
/// When the value is neither null nor a `T`.
pub fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}
