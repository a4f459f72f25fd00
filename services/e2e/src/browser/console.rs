//! What a page has told its console.

use serde_json::Value;

/// A line of a console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `SEVERE`, `WARNING`, `INFO`, `DEBUG`.
    pub level: String,
    /// Who wrote it: `javascript`, `network`, `security`, `console-api`, …
    pub source: String,
    /// What it says.
    pub message: String,
}

impl Entry {
    /// Reads what the driver tells.
    pub(super) fn read(value: &Value) -> Self {
        let field = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        Self { level: field("level"), source: field("source"), message: field("message") }
    }

    /// Whether it tells of an error: one of the page's, or something the browser refused or did not get.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.level == "SEVERE"
    }

    /// Whether a browser writes this by itself, whatever a page does, when nothing listens at `host` (`name:port`) or
    /// a connection there breaks off.
    #[must_use]
    pub fn tells_that_nothing_answers_at(&self, host: &str) -> bool {
        /// Nobody listens there, or the connection ended without an answer.
        const WHY: [&str; 4] = [
            "net::ERR_CONNECTION_REFUSED",
            "net::ERR_CONNECTION_RESET",
            "net::ERR_EMPTY_RESPONSE",
            "net::ERR_SOCKET_NOT_CONNECTED",
        ];
        let socket = self.message.contains(&format!("WebSocket connection to 'ws://{host}/"))
            && self.message.contains("' failed: ");
        let call = self.source == "network"
            && self.message.starts_with(&format!("http://{host}/"))
            && self.message.contains("Failed to load resource: ");
        (socket || call) && WHY.iter().any(|why| self.message.contains(why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(source: &str, message: &str) -> Entry {
        Entry { level: "SEVERE".to_owned(), source: source.to_owned(), message: message.to_owned() }
    }

    #[test]
    fn only_what_a_browser_writes_about_a_server_that_is_away_is_excused() {
        let excused = |source, message| entry(source, message).tells_that_nothing_answers_at("127.0.0.1:80");
        assert!(excused(
            "javascript",
            "http://127.0.0.1:80/streamit.js 9:1 WebSocket connection to 'ws://127.0.0.1:80/ws/room/x/' failed: \
             Error in connection establishment: net::ERR_CONNECTION_REFUSED"
        ));
        assert!(excused(
            "network",
            "http://127.0.0.1:80/api/x - Failed to load resource: net::ERR_CONNECTION_REFUSED"
        ));
        for other in [
            "http://127.0.0.1:80/x - Failed to load resource: the server responded with a status of 500 ()",
            "http://127.0.0.1:81/x - Failed to load resource: net::ERR_CONNECTION_REFUSED",
            "http://127.0.0.1:80/watch.js 3:1 Uncaught TypeError: net::ERR_CONNECTION_REFUSED is not a function",
        ] {
            assert!(!excused("network", other), "{other}");
        }
    }
}
