//! Reading `null` as absent, which is what the API server's own clients do.

use serde::{Deserialize, Deserializer};

/// For `#[serde(deserialize_with)]`: an explicit `null` is the default value.
pub(crate) fn as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}
