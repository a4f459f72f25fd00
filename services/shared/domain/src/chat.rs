//! What may be said, and what identifies it.

use crate::Invalid;

/// The longest chat message, in characters.
pub const MAX_TEXT: usize = 500;
/// The longest `client_id`, in characters.
pub const MAX_CLIENT_ID: usize = 64;
/// How many messages a joining member is shown.
pub const HISTORY: usize = 50;
/// How many messages a resuming member may have missed and still get each of them.
pub const MAX_RESUME: usize = 500;
/// How many bytes of JSON a resume may take.
pub const MAX_RESUME_BYTES: usize = 256 * 1024;

/// Trims a message and checks its length.
///
/// # Errors
/// When nothing is left, it is too long, or holds a NUL character (which PostgreSQL can't store).
pub fn text(raw: &str) -> Result<&str, Invalid> {
    let text = raw.trim();
    if text.is_empty() {
        return Err(Invalid("Message is empty"));
    }
    if text.chars().count() > MAX_TEXT {
        return Err(Invalid("Message must have at most 500 characters"));
    }
    if text.contains('\0') {
        return Err(Invalid("Message must not contain a NUL character"));
    }
    Ok(text)
}

/// Checks the mark that makes sending again harmless.
///
/// # Errors
/// When it is empty, too long or holds control characters.
pub fn client_id(raw: &str) -> Result<&str, Invalid> {
    if raw.is_empty() || raw.chars().count() > MAX_CLIENT_ID || raw.chars().any(char::is_control) {
        return Err(Invalid("client_id must have 1 to 64 characters"));
    }
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_trimmed_and_bounded_in_characters() {
        assert_eq!(text("  hi \n").unwrap(), "hi");
        assert!(text(" \t ").is_err());
        assert!(text(&"🎬".repeat(500)).is_ok());
        assert!(text(&"🎬".repeat(501)).is_err());
        assert!(text("a\0b").is_err());
    }

    #[test]
    fn client_ids_are_short_and_printable() {
        assert!(client_id("a-1").is_ok());
        assert!(client_id("").is_err());
        assert!(client_id(&"x".repeat(65)).is_err());
        assert!(client_id("a\nb").is_err());
    }
}
