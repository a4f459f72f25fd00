//! gRPC between the services over TLS, with certificates of one side or of both.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use streamit_client::{Connection, Options};
use streamit_e2e::{Person, Plan, Room, System};

use crate::{Desk, Env};

/// Somebody whose signature makes certificates worth something.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its own certificate, in a file.
    fn file(&self, desk: &Desk, name: &str) -> String {
        desk.file(name, &self.0.pem())
    }

    /// A certificate for this machine's address and its key, in two files.
    fn signs(&self, desk: &Desk, name: &str) -> [String; 2] {
        self.signs_for(desk, name, &["127.0.0.1"])
    }

    /// The same for what it is called.
    fn signs_for(&self, desk: &Desk, name: &str, called: &[&str]) -> [String; 2] {
        let key = KeyPair::generate().unwrap();
        let called: Vec<String> = called.iter().map(ToString::to_string).collect();
        let params = CertificateParams::new(called).unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap();
        [
            desk.file(&format!("{name}.pem"), &cert.pem()),
            desk.file(&format!("{name}-key.pem"), &key.serialize_pem()),
        ]
    }
}

/// How somebody who comes to another node of this system fares: that node reaches the api as `env` says. Gives the code
/// that the connection is closed with; nothing when they are let in.
async fn by_another_node(system: &System, room: &Room, who: &Person, env: Env<'_>) -> Option<u16> {
    let desk = Desk::new();
    let common = [
        ("STREAMIT_LISTEN", "127.0.0.1:0"),
        ("STREAMIT_API_GRPC", system.grpc().unwrap()),
        ("REDIS_URL", system.redis().unwrap()),
    ];
    // What is said last holds.
    let node = desk.start("streamit-realtime", &[&common[..], env].concat());
    let address = node.printed("listening http://").await.unwrap();
    let url = format!("ws://{address}/ws/room/{}/?token={}", room.code, who.token());
    let mut line = Connection::open_url(&url, Options::default()).await.unwrap();
    match line.welcome().await {
        Ok(_) => None,
        Err(streamit_client::Error::Closed(reason)) => Some(reason.code),
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nodes_and_api_show_each_other_certificates() {
    let desk = Desk::new();
    let (ours, theirs) = (Authority::new(), Authority::new());
    let [ca, other_ca] = [ours.file(&desk, "ca.pem"), theirs.file(&desk, "other-ca.pem")];
    let [api, api_key] = ours.signs(&desk, "api");
    let [node, node_key] = ours.signs(&desk, "node");
    let [stranger, stranger_key] = theirs.signs(&desk, "stranger");
    Plan::cluster(1, 1)
        .env("STREAMIT_GRPC_TLS_CERT", &api)
        .env("STREAMIT_GRPC_TLS_KEY", &api_key)
        .env("STREAMIT_GRPC_CLIENT_CA", &ca)
        .env("STREAMIT_API_CA", &ca)
        .env("STREAMIT_API_CERT", &node)
        .env("STREAMIT_API_KEY", &node_key)
        .run(async |system| {
            let ana = system.user("Ana").await;
            let room = ana.public_room().await;
            let mut there = room.join_on(0, &ana).await;
            there.line.sender().chat("over TLS", None).await.unwrap();
            there.hears("over TLS").await;

            let plain = system.grpc().unwrap().replace("https://", "http://");
            let by_name = behind_a_name(system);
            let (trusting, not_trusting) = (("STREAMIT_API_CA", &*ca), ("STREAMIT_API_CA", &*other_ca));
            let identity = [("STREAMIT_API_CERT", node.as_str()), ("STREAMIT_API_KEY", &node_key)];
            let strange = [("STREAMIT_API_CERT", stranger.as_str()), ("STREAMIT_API_KEY", &stranger_key)];
            for (env, code, why) in [
                ([&[trusting], &identity[..]].concat(), None, "as the other node"),
                (vec![trusting], Some(1013), "a node without a certificate"),
                ([&[trusting], &strange[..]].concat(), Some(1013), "a certificate of another authority"),
                ([&[not_trusting], &identity[..]].concat(), Some(1013), "an api of another authority"),
                (vec![("STREAMIT_API_GRPC", plain.as_str())], Some(1013), "without TLS"),
                (
                    [&[trusting, ("STREAMIT_API_GRPC", &*by_name)], &identity[..]].concat(),
                    Some(1013),
                    "an api found behind a name that its certificate does not have",
                ),
            ] {
                assert_eq!(by_another_node(system, &room, &ana, &env).await, code, "{why}");
            }
        })
        .await;
}

/// Where the api of this system is, as something to look up.
fn behind_a_name(system: &System) -> String {
    format!("dns+{}", system.grpc().unwrap().replace("127.0.0.1", "localhost"))
}

#[tokio::test]
async fn apis_are_found_behind_a_name() {
    let desk = Desk::new();
    let ours = Authority::new();
    let ca = ours.file(&desk, "ca.pem");
    let [api, key] = ours.signs_for(&desk, "api", &["127.0.0.1", "localhost"]);
    let plain = Plan::cluster(1, 1);
    let secure = Plan::cluster(1, 1)
        .env("STREAMIT_GRPC_TLS_CERT", &api)
        .env("STREAMIT_GRPC_TLS_KEY", &key)
        .env("STREAMIT_API_CA", &ca);
    for (plan, begins, ca) in
        [(plain, "dns+http://localhost:", ""), (secure, "dns+https://localhost:", ca.as_str())]
    {
        plan.run(async |system| {
            let (ana, by_name) = (system.user("Ana").await, behind_a_name(system));
            let room = ana.public_room().await;
            assert!(by_name.starts_with(begins), "{by_name}");
            let env = [("STREAMIT_API_GRPC", by_name.as_str()), ("STREAMIT_API_CA", ca)];
            assert_eq!(by_another_node(system, &room, &ana, &env).await, None, "{by_name}");
        })
        .await;
    }
}

#[tokio::test]
async fn an_api_may_show_a_certificate_and_ask_for_none() {
    let desk = Desk::new();
    let ours = Authority::new();
    let ca = ours.file(&desk, "ca.pem");
    let [api, key] = ours.signs(&desk, "api");
    Plan::cluster(1, 1)
        .env("STREAMIT_GRPC_TLS_CERT", &api)
        .env("STREAMIT_GRPC_TLS_KEY", &key)
        .env("STREAMIT_API_CA", &ca)
        .run(async |system| {
            let ana = system.user("Ana").await;
            let room = ana.public_room().await;
            room.join_on(0, &ana).await;
            let plain = system.grpc().unwrap().replace("https://", "http://");
            let env = [("STREAMIT_API_GRPC", plain.as_str())];
            assert_eq!(by_another_node(system, &room, &ana, &env).await, Some(1013), "without TLS");
        })
        .await;
}

#[tokio::test]
async fn options_that_do_not_fit_together_are_told_before_anything_binds() {
    let desk = Desk::new();
    let ours = Authority::new();
    let ca = ours.file(&desk, "ca.pem");
    let [cert, key] = ours.signs(&desk, "one");
    let [_, other_key] = ours.signs(&desk, "another");
    let nowhere = desk.path("nowhere");
    let api = [
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing"),
        ("STREAMIT_SIGNING_KEYS", "."),
        ("STREAMIT_GRPC_LISTEN", "127.0.0.1:0"),
    ];
    let secure = ("STREAMIT_API_GRPC", "https://127.0.0.1:1");
    let (of_api, of_node) = ("streamit-api", "streamit-realtime");
    let [server_cert, server_key, client_ca] =
        ["STREAMIT_GRPC_TLS_CERT", "STREAMIT_GRPC_TLS_KEY", "STREAMIT_GRPC_CLIENT_CA"];
    let [api_ca, api_cert, api_key] = ["STREAMIT_API_CA", "STREAMIT_API_CERT", "STREAMIT_API_KEY"];
    for (program, env, word) in [
        (of_api, vec![(server_cert, &*cert)], server_key),
        (of_api, vec![(server_key, &*key)], server_cert),
        (of_api, vec![(client_ca, &*ca)], server_cert),
        (of_api, vec![(server_cert, &*nowhere), (server_key, &*key)], "No such file"),
        (of_api, vec![(server_cert, &*key), (server_key, &*key)], "no certificate"),
        (of_api, vec![(server_cert, &*cert), (server_key, &*cert)], "no private key"),
        (of_api, vec![(server_cert, &*cert), (server_key, &*other_key)], "do not fit together"),
        (of_api, vec![(server_cert, &*cert), (server_key, &*key), (client_ca, &*key)], client_ca),
        (of_node, vec![(api_ca, &*ca)], "https://"),
        (of_node, vec![secure, (api_ca, &*nowhere)], api_ca),
        (of_node, vec![secure, (api_ca, &*ca), (api_cert, &*cert)], api_key),
        (of_node, vec![secure, (api_ca, &*ca), (api_key, &*key)], api_cert),
        (of_node, vec![secure, (api_ca, &*ca), (api_cert, &*cert), (api_key, &*other_key)], "can't be used"),
    ] {
        let all =
            [&api[..], &env, &[("REDIS_URL", "redis://127.0.0.1:1"), ("STREAMIT_LISTEN", "127.0.0.1:0")]];
        let ended = desk.run(program, &[] as &[&str], &all.concat()).await;
        assert!(!ended.is_success() && !ended.stdout.contains("listening"), "{program} {env:?}");
        assert!(ended.stderr.contains(word), "{program} {env:?} lacks {word}: {}", ended.stderr);
        assert!(!ended.stderr.contains("PRIVATE KEY"), "{}", ended.stderr);
    }
}
