//! `rediss://`: the connection to Redis over TLS.

use std::process::{Command, Output};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use streamit_bus::Rooms;
use streamit_bus::redis::RedisOptions;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::support::*;

/// Where the half of the test that runs in a process of its own finds the server.
const URL: &str = "STREAMIT_BUS_TEST_TLS_URL";

/// Which certificates are trusted is said by the environment (`SSL_CERT_FILE`), which belongs to a whole process: so
/// the node of this test runs in another one.
#[tokio::test]
async fn a_node_works_over_tls() {
    let server = Server::start().await;
    let identity = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let authority = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&authority, identity.cert.pem()).unwrap();
    let port = serve_tls(server.port, &identity).await;

    let run = |url: String, trusted: &std::path::Path| {
        let mut node = Command::new(std::env::current_exe().unwrap());
        node.args(["suite::tls::node_over_tls", "--exact", "--ignored", "--nocapture"]);
        node.env(URL, url).env("SSL_CERT_FILE", trusted).env_remove("SSL_CERT_DIR");
        tokio::task::spawn_blocking(move || node.output().unwrap())
    };
    let output = run(format!("rediss://127.0.0.1:{port}"), authority.path()).await.unwrap();
    assert!(output.status.success(), "{}", told(&output));

    // With another authority than the one that is trusted there is no connection.
    let stranger = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&authority, stranger.cert.pem()).unwrap();
    let output = run(format!("rediss://127.0.0.1:{port}"), authority.path()).await.unwrap();
    assert!(
        !output.status.success() && told(&output).contains("the bus is not healthy"),
        "{}",
        told(&output)
    );
}

#[tokio::test]
#[ignore = "run by a_node_works_over_tls, with the environment that it needs"]
async fn node_over_tls() {
    let url = std::env::var(URL).expect("set by a_node_works_over_tls");
    let rooms = node_with(&url, RedisOptions::default()).await;
    assert!(rooms.is_healthy(), "the bus is not healthy");
    let room = room();
    let mut heard = rooms.subscribe(room).await.unwrap();
    let (change, _) = rooms.enter(room, &[entry(life(), 1, user(), "Ana")], 0).await.unwrap();
    assert_eq!(hear_change(&mut heard).await, change);
    rooms.beat(life(), &says("a")).await.unwrap();
}

fn told(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

/// Takes TLS off and forwards to a Redis without it.
async fn serve_tls(server: u16, identity: &rcgen::CertifiedKey<rcgen::KeyPair>) -> u16 {
    let key = PrivateKeyDer::try_from(identity.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![identity.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut client) = acceptor.accept(client).await
                    && let Ok(mut server) = TcpStream::connect(("127.0.0.1", server)).await
                {
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    });
    port
}
