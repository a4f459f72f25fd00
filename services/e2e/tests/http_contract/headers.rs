//! What every answer of every program tells browsers.

use streamit_client::Http;
use streamit_e2e::{System, on_both};

on_both! {
    crate::SYSTEMS;
    every_answer_keeps_browsers_from_showing_embedding_and_keeping_it,
}

async fn every_answer_keeps_browsers_from_showing_embedding_and_keeping_it(system: &System) {
    let mut asked = Vec::new();
    for api in 0..system.apis() {
        for path in ["/livez", "/readyz", "/api/rooms/public/", "/api/auth/me/", "/nothing", "/%ff"] {
            asked.push((system.http(api), path));
        }
    }
    for node in 0..system.nodes() {
        let http = Http::new(&system.ws(node).replacen("ws", "http", 1)).unwrap();
        for path in ["/livez", "/readyz", "/ws/room/ABC123/?token=x", "/ws/v1/room/ABC123", "/ws/nothing/"] {
            asked.push((http.clone(), path));
        }
    }
    for (http, path) in asked {
        for proto in ["https", "http"] {
            let reply = http.request("GET", path).header("x-forwarded-proto", proto).send().await.unwrap();
            for (name, value) in [
                (
                    "content-security-policy",
                    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
                ),
                ("x-content-type-options", "nosniff"),
                ("x-frame-options", "DENY"),
                ("referrer-policy", "no-referrer"),
                ("cross-origin-opener-policy", "same-origin"),
                ("cross-origin-resource-policy", "same-origin"),
                ("cache-control", "no-store"),
            ] {
                assert_eq!(reply.header(name), Some(value), "{path} ({})", reply.status);
            }
            let tls_only = (proto == "https").then_some("max-age=31536000");
            assert_eq!(reply.header("strict-transport-security"), tls_only, "{path} ({})", reply.status);
        }
    }
}
