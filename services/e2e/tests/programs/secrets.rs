//! Secrets in files, as container platforms mount them.

use serde_json::json;
use streamit_client::{Connection, Http, Options};
use streamit_e2e::{Answer, Plan};

use crate::Desk;

#[tokio::test]
async fn every_program_and_command_takes_its_secrets_from_files() {
    let desk = Desk::new();
    let token = desk.file("token", "canary-token\n");
    Plan::cluster(1, 1)
        .env("STREAMIT_GRPC_TOKEN_FILE", &token)
        .run(async |system| {
            // The node is let in by the api, and so is who comes to the node.
            let ana = system.user("Ana").await;
            let room = ana.public_room().await;
            room.join_on(0, &ana).await;

            let database = desk.file("database", &format!("{}\n", system.database().unwrap()));
            let redis = desk.file("redis", system.redis().unwrap());
            let env = [("DATABASE_URL_FILE", database.as_str())];
            let migrated = desk.run("streamit-api", &["migrate"], &env).await;
            assert!(migrated.is_success(), "{}", migrated.stderr);
            let args = ["createsuperuser", "--email", "root@example.org", "--password-stdin"];
            let made = desk.run_with("streamit-api", &args, &env, "a long password").await;
            assert!(made.is_success(), "{}", made.stderr);
            let body = json!({"email": "root@example.org", "password": "a long password"});
            system.post("/api/auth/login/", &body).await.is(200);
            let nodes = desk.run("streamit-api", &["nodes", "--redis-url-file", &redis], &[]).await;
            assert!(nodes.is_success() && nodes.stdout.contains("node-0"), "{}", nodes.stderr);

            // Another token is no way in, wherever it was read from.
            let other = desk.file("other", "another-token");
            let env = [
                ("STREAMIT_LISTEN", "127.0.0.1:0"),
                ("STREAMIT_API_GRPC", system.grpc().unwrap()),
                ("REDIS_URL_FILE", &redis),
                ("STREAMIT_GRPC_TOKEN_FILE", &other),
            ];
            let stranger = desk.start("streamit-realtime", &env);
            let address = stranger.printed("listening http://").await.unwrap();
            let url = format!("ws://{address}/ws/room/{}/?token={}", room.code, ana.token());
            let mut line = Connection::open_url(&url, Options::default()).await.unwrap();
            assert_eq!(line.closed().await.unwrap().code, 1013);
            let http = Http::new(&format!("http://{address}")).unwrap();
            assert_eq!(
                http.raw("GET", "/readyz", None).await.unwrap().status,
                503,
                "balancers are told, too"
            );
        })
        .await;
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_told_with_its_option_and_nothing_of_what_it_holds() {
    let desk = Desk::new();
    let two = desk.file("two", "canary-one\ncanary-two\n");
    let good = desk.file("good", "canary-good\n");
    let nowhere = desk.path("nowhere");
    let needs = [
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing"),
        ("REDIS_URL", "redis://127.0.0.1:1"),
        ("STREAMIT_SIGNING_KEYS", "."),
        ("STREAMIT_LISTEN", "127.0.0.1:0"),
        ("STREAMIT_GRPC_LISTEN", "127.0.0.1:0"),
        ("STREAMIT_GRPC_TOKEN", "canary-token"),
    ];
    for (program, options) in [
        ("streamit-api", &["DATABASE_URL", "REDIS_URL", "STREAMIT_GRPC_TOKEN"][..]),
        ("streamit-realtime", &["REDIS_URL", "STREAMIT_GRPC_TOKEN"]),
        ("streamit", &["STREAMIT_GRPC_TOKEN"]),
    ] {
        for option in options {
            let file = format!("{option}_FILE");
            for (path, keeps_both, words) in
                [(&nowhere, false, "No such file"), (&two, false, "one line"), (&good, true, "both set")]
            {
                let mut env: Vec<_> =
                    needs.iter().copied().filter(|(name, _)| keeps_both || name != option).collect();
                env.extend([(file.as_str(), path.as_str()), ("STREAMIT_DATA_DIR", "/dev/null/x")]);
                let ended = desk.run(program, &[] as &[&str], &env).await;
                assert!(!ended.is_success() && !ended.stdout.contains("listening"), "{program} {file}");
                for word in [&file, words] {
                    assert!(ended.stderr.contains(word), "{program} {file} lacks {word}: {}", ended.stderr);
                }
                assert!(!ended.stderr.contains("canary"), "{program} {file}: {}", ended.stderr);
            }
        }
    }
}
