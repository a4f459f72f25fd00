//! A wrong value is told with the option's name and what is allowed, before anything binds.

use std::net::TcpListener;

use crate::{Desk, Env};

/// What an api needs, and nothing of which exists: it must not come so far as to notice.
const API: Env<'_> = &[
    ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing"),
    ("REDIS_URL", "redis://127.0.0.1:1"),
    ("STREAMIT_SIGNING_KEYS", "."),
    ("STREAMIT_LISTEN", "127.0.0.1:0"),
    ("STREAMIT_GRPC_LISTEN", "127.0.0.1:0"),
];
const REALTIME: Env<'_> = &[("REDIS_URL", "redis://127.0.0.1:1"), ("STREAMIT_LISTEN", "127.0.0.1:0")];
const STANDALONE: Env<'_> = &[("STREAMIT_LISTEN", "127.0.0.1:0")];

/// An option, a value it can't have, and words that the answer must hold.
type Wrong<'a> = (&'a str, &'a str, &'a [&'a str]);

const EVERYWHERE: &[Wrong<'_>] = &[
    ("STREAMIT_LISTEN", "nowhere", &["--listen"]),
    ("STREAMIT_LISTEN", "127.0.0.1:99999", &["--listen"]),
    ("STREAMIT_LIMITS", "maybe", &["--limits", "on", "off"]),
    ("STREAMIT_TRUSTED_PROXIES", "10.0.0.0/99", &["STREAMIT_TRUSTED_PROXIES", "10.0.0.0/99"]),
    ("STREAMIT_TRUSTED_PROXIES", "proxy", &["STREAMIT_TRUSTED_PROXIES", "CIDR"]),
    ("STREAMIT_ALLOWED_ORIGINS", "example.org", &["STREAMIT_ALLOWED_ORIGINS", "https://example.org"]),
    ("STREAMIT_ALLOWED_ORIGINS", "https://a.example/path", &["STREAMIT_ALLOWED_ORIGINS"]),
    ("STREAMIT_LOG_FORMAT", "xml", &["STREAMIT_LOG_FORMAT", "json"]),
    ("RUST_LOG", "a=b=c", &["RUST_LOG"]),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "not a url", &["OTEL_EXPORTER_OTLP"]),
];
const OF_THE_API: &[Wrong<'_>] = &[
    ("STREAMIT_ACCESS_TTL", "soon", &["STREAMIT_ACCESS_TTL", "12h"]),
    ("STREAMIT_ACCESS_TTL", "1s", &["STREAMIT_ACCESS_TTL"]),
    ("STREAMIT_PUBLIC_WS_URL", "http://example.org", &["STREAMIT_PUBLIC_WS_URL", "wss://"]),
    ("STREAMIT_PUBLIC_WS_URL", "live.example.org", &["STREAMIT_PUBLIC_WS_URL", "wss://"]),
    ("STREAMIT_PUBLIC_WS_URL", "wss://", &["STREAMIT_PUBLIC_WS_URL", "wss://"]),
    ("STREAMIT_PUBLIC_WS_URL", "wss://live.example.org/?token=x", &["STREAMIT_PUBLIC_WS_URL", "no more"]),
];

/// Runs the program with one option wrong. It has to end before it says that it listens.
async fn tells(program: &str, good: Env<'_>, wrong: &[Wrong<'_>]) {
    let desk = Desk::new();
    let data = desk.path("data");
    for (option, value, words) in wrong {
        let mut env: Vec<_> = good.iter().filter(|(name, _)| name != option).copied().collect();
        env.extend([("STREAMIT_DATA_DIR", data.as_str()), (*option, *value)]);
        let ended = desk.run(program, &[] as &[&str], &env).await;
        assert!(
            !ended.is_success() && !ended.by_signal(),
            "{program} with {option}={value}: {}",
            ended.status
        );
        assert!(!ended.stdout.contains("listening"), "{program} with {option}={value}: {}", ended.stdout);
        for word in *words {
            assert!(
                ended.stderr.contains(word),
                "{program} with {option}={value} lacks {word}:\n{}",
                ended.stderr
            );
        }
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn the_standalone_program_tells_what_is_wrong() {
    tells("streamit", STANDALONE, EVERYWHERE).await;
    tells("streamit", STANDALONE, OF_THE_API).await;
    let of_its_own: &[Wrong<'_>] = &[
        ("STREAMIT_DRAIN_SECONDS", "-1", &["drain-seconds"]),
        ("STREAMIT_DATA_DIR", "/dev/null/x", &["STREAMIT_DATA_DIR"]),
    ];
    tells("streamit", STANDALONE, of_its_own).await;
}

#[tokio::test]
async fn the_api_tells_what_is_wrong() {
    tells("streamit-api", API, EVERYWHERE).await;
    tells("streamit-api", API, OF_THE_API).await;
    let of_its_own: &[Wrong<'_>] = &[
        ("DATABASE_URL", "mysql://x/y", &["DATABASE_URL", "postgres://", "sqlite://"]),
        ("DATABASE_URL", "", &["DATABASE_URL"]),
        ("REDIS_URL", "http://x", &["REDIS_URL", "redis://"]),
        ("STREAMIT_GRPC_LISTEN", "x", &["--grpc-listen"]),
        ("STREAMIT_GRPC_LISTEN", "0.0.0.0:0", &["STREAMIT_GRPC_TOKEN"]),
        ("STREAMIT_SIGNING_KEYS", "/nonexistent", &["STREAMIT_SIGNING_KEYS", "PEM"]),
    ];
    tells("streamit-api", API, of_its_own).await;
}

#[tokio::test]
async fn a_realtime_node_tells_what_is_wrong() {
    tells("streamit-realtime", REALTIME, EVERYWHERE).await;
    let of_its_own: &[Wrong<'_>] = &[
        ("REDIS_URL", "", &["REDIS_URL"]),
        ("REDIS_URL", "localhost:6379", &["REDIS_URL", "redis://"]),
        ("STREAMIT_API_GRPC", "ftp://x", &["STREAMIT_API_GRPC", "http://"]),
        ("STREAMIT_API_GRPC", ",", &["STREAMIT_API_GRPC"]),
        ("STREAMIT_API_GRPC", "dns+http://localhost", &["STREAMIT_API_GRPC", "dns+http://NAME:PORT"]),
        ("STREAMIT_API_GRPC", "dns+http://127.0.0.1:50051", &["STREAMIT_API_GRPC", "dns+http://NAME:PORT"]),
        ("STREAMIT_API_GRPC", "dns+http://api.example:50051", &["STREAMIT_GRPC_TOKEN"]),
        ("STREAMIT_API_GRPC", "http://api.example:50051", &["STREAMIT_GRPC_TOKEN"]),
        ("STREAMIT_DRAIN_SECONDS", "9999", &["drain-seconds", "3600"]),
    ];
    tells("streamit-realtime", REALTIME, of_its_own).await;
}

#[tokio::test]
async fn what_is_required_is_asked_for_by_name() {
    let desk = Desk::new();
    for (program, good) in [("streamit-api", API), ("streamit-realtime", REALTIME)] {
        for option in ["DATABASE_URL", "REDIS_URL", "STREAMIT_SIGNING_KEYS"] {
            let env: Vec<_> = good.iter().filter(|(name, _)| *name != option).copied().collect();
            if env.len() == good.len() {
                continue; // not an option of this one
            }
            let ended = desk.run(program, &[] as &[&str], &env).await;
            assert!(!ended.is_success(), "{program} without {option}");
            assert!(ended.stderr.contains(option), "{program} without {option}:\n{}", ended.stderr);
            assert!(!ended.stdout.contains("listening"), "{program} without {option}: {}", ended.stdout);
        }
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_told() {
    let desk = Desk::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let env = [("STREAMIT_LISTEN", address.as_str()), ("STREAMIT_DATA_DIR", &desk.path("data"))];
    let ended = desk.run("streamit", &[] as &[&str], &env).await;
    assert!(!ended.is_success());
    assert!(ended.stderr.contains(&address) || ended.stderr.contains("STREAMIT_LISTEN"), "{}", ended.stderr);
}

#[tokio::test]
async fn help_lists_each_option_with_its_variable_and_default() {
    let desk = Desk::new();
    let both = ["STREAMIT_LISTEN", "STREAMIT_TRUSTED_PROXIES", "STREAMIT_LIMITS", "STREAMIT_ALLOWED_ORIGINS"];
    let api = [
        "STREAMIT_GRPC_LISTEN",
        "DATABASE_URL",
        "REDIS_URL",
        "STREAMIT_SIGNING_KEYS",
        "STREAMIT_GRPC_TOKEN",
        "STREAMIT_ACCESS_TTL",
        "STREAMIT_PUBLIC_WS_URL",
        "127.0.0.1:8000",
        "127.0.0.1:50051",
        "12h",
    ];
    let realtime = [
        "STREAMIT_API_GRPC",
        "REDIS_URL",
        "STREAMIT_GRPC_TOKEN",
        "STREAMIT_NODE_ID",
        "STREAMIT_DRAIN_SECONDS",
        "127.0.0.1:8001",
        "http://127.0.0.1:50051",
        "20",
    ];
    let standalone = ["STREAMIT_DATA_DIR", "./data", "127.0.0.1:8000", "STREAMIT_ACCESS_TTL"];
    for (program, own) in
        [("streamit-api", &api[..]), ("streamit-realtime", &realtime[..]), ("streamit", &standalone[..])]
    {
        let help = desk.run(program, &["--help"], &[]).await;
        assert!(help.is_success());
        for word in both.iter().chain(own) {
            assert!(help.stdout.contains(word), "{program} --help lacks {word}:\n{}", help.stdout);
        }
        let version = desk.run(program, &["--version"], &[]).await;
        assert!(version.is_success() && version.stdout.starts_with(program), "{}", version.stdout);
    }
}
