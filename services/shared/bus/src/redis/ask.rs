//! What every call has in common: it is a pipeline, and its answers are errors as soon as one of them is.

use std::sync::LazyLock;

use redis::{RedisError, Value};

use super::script::Named;
use crate::Error;

/// What all commands of a pipeline are.
#[derive(Clone, Copy)]
pub(super) enum What {
    /// Calls of a script.
    Script(&'static Named),
    /// Commands; the first of them, or what they do together, names them in metrics.
    Commands(&'static str),
}

impl What {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Script(script) => script.name,
            Self::Commands(name) => name,
        }
    }
}

impl From<&'static LazyLock<Named>> for What {
    fn from(script: &'static LazyLock<Named>) -> Self {
        Self::Script(script)
    }
}

impl From<&'static str> for What {
    fn from(name: &'static str) -> Self {
        Self::Commands(name)
    }
}

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
