//! What every call has in common: it is a pipeline, and its answers are errors as soon as one of them is.

use redis::{RedisError, Value};

use crate::Error;

/// The store can't be reached, or can't serve.
pub(super) fn away(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Away(Some(Box::new(error)))
}

/// Looks for the first answer that is an error.
pub(super) fn first_error(answers: &[Value]) -> Option<RedisError> {
    answers.iter().find_map(|answer| match answer {
        Value::ServerError(error) => Some(error.clone().into()),
        _ => None,
    })
}

/// The answers, if none of them is an error.
pub(super) fn sound(answers: Vec<Value>) -> Result<Vec<Value>, Error> {
    match first_error(&answers) {
        Some(error) => Err(away(error)),
        None => Ok(answers),
    }
}
