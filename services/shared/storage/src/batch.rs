//! Batches as one JSON parameter: the same value for both engines, taken apart by `json_to_recordset` on
//! PostgreSQL and `json_each` on SQLite, where ids become bytes again with `unhex`.

use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::{Error, Result};

/// An id as 32 hexadecimal digits, which both engines read.
#[derive(Clone, Copy)]
pub(crate) struct Hex(pub(crate) Uuid);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.simple().encode_lower(&mut Uuid::encode_buffer()))
    }
}

/// The parameter for a batch.
pub(crate) fn json<T: Serialize>(items: &[T]) -> Result<String> {
    // Only a number that is not finite could fail, and the domain has none.
    serde_json::to_string(items).map_err(|error| Error::Other(sqlx::Error::Encode(error.into())))
}

/// The parameter for a batch of ids.
pub(crate) fn ids(ids: impl IntoIterator<Item = Uuid>) -> Result<String> {
    let ids: Vec<Hex> = ids.into_iter().map(Hex).collect();
    json(&ids)
}
