//! The commands beside serving.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use streamit_client::Http;
use streamit_e2e::{Answer, Plan, database};

use crate::Desk;

const PASSWORD: &str = " a password with spaces, kept as it is ";

#[tokio::test]
async fn migrating_twice_is_as_good_as_once() {
    let desk = Desk::new();
    let postgres = database().await.unwrap();
    let sqlite = format!("sqlite://{}", desk.path("api.db"));
    for url in [&postgres, &sqlite] {
        for _ in 0..2 {
            let ended = desk.run("streamit-api", &["migrate"], &[("DATABASE_URL", url)]).await;
            assert!(ended.is_success(), "{url}: {}", ended.stderr);
        }
    }
    for _ in 0..2 {
        let ended = desk.run("streamit", &["migrate"], &[("STREAMIT_DATA_DIR", &desk.path("data"))]).await;
        assert!(ended.is_success(), "{}", ended.stderr);
    }
    let ended = desk.run("streamit-api", &["migrate"], &[]).await;
    assert!(!ended.is_success() && ended.stderr.contains("DATABASE_URL"), "{}", ended.stderr);
}

#[tokio::test]
async fn many_replicas_may_migrate_at_the_same_moment() {
    let desks = [Desk::new(), Desk::new(), Desk::new()];
    let url = database().await.unwrap();
    let env = [("DATABASE_URL", url.as_str())];
    let ended =
        futures_util::future::join_all(desks.iter().map(|desk| desk.run("streamit-api", &["migrate"], &env)));
    for ended in ended.await {
        assert!(ended.is_success(), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_superuser_is_made_from_flags_and_standard_input() {
    let desk = Desk::new();
    let data = desk.path("data");
    let env = [("STREAMIT_DATA_DIR", data.as_str())];
    let make = async |more: &[&str], input: &str| {
        let args = [&["createsuperuser", "--email", "Root@Example.org"][..], more].concat();
        desk.run_with("streamit", &args, &env, input).await
    };
    // The data directory is made and migrated on the way.
    let ended = make(&["--password-stdin"], &format!("{PASSWORD}\n")).await;
    assert!(ended.is_success(), "{}", ended.stderr);
    assert!(!ended.stdout.contains(PASSWORD.trim()) && !ended.stderr.contains(PASSWORD.trim()));
    let is_private = |path: &str| std::fs::metadata(path).unwrap().permissions().mode() & 0o077 == 0;
    assert!(is_private(&data), "the data directory is for its owner alone");

    Plan::standalone()
        .env("STREAMIT_DATA_DIR", &data)
        .run(async |system| {
            let login = async |password: &str| {
                let body = json!({"email": "root@example.org", "password": password});
                system.post("/api/auth/login/", &body).await
            };
            let root = login(PASSWORD).await.is(200);
            assert_eq!((&root["display_name"], &root["is_guest"]), (&json!("Admin"), &json!(false)));
            login(PASSWORD.trim()).await.is_refused(401, "INVALID_CREDENTIALS");

            // Once more, for somebody who has forgotten: while it serves.
            let again = make(&["--display-name", "Root", "--password-stdin"], "another password\r\n").await;
            assert!(again.is_success(), "{}", again.stderr);
            let root = login("another password").await.is(200);
            assert_eq!(root["display_name"], "Root");
            let keys = system.home().join("data/keys");
            assert!(!keys.exists(), "the keys are in the named directory");
            assert!(is_private(&format!("{data}/keys")), "keys are for their owner alone");
        })
        .await;
}

#[tokio::test]
async fn a_superuser_that_cant_be_is_refused() {
    let desk = Desk::new();
    let data = desk.path("data");
    let env = [("STREAMIT_DATA_DIR", data.as_str())];
    for (args, input, word) in [
        (&["--email", "nobody", "--password-stdin"][..], "long enough", "email"),
        (&["--email", "root@example.org", "--password-stdin"], "short", "8 characters"),
        (&["--email", "root@example.org", "--password-stdin"], "", "8 characters"),
        (
            &["--email", "root@example.org", "--display-name", "\u{202e}x", "--password-stdin"],
            "long enough",
            "display-name",
        ),
        (&["--email", "root@example.org"], "", "--password-stdin"),
        (&["--password-stdin"], "long enough", "--email"),
    ] {
        let args = [&["createsuperuser"][..], args].concat();
        let ended = desk.run_with("streamit", &args, &env, input).await;
        assert!(!ended.is_success(), "{args:?}");
        assert!(ended.stderr.contains(word), "{args:?} lacks {word}:\n{}", ended.stderr);
    }
}

#[tokio::test]
async fn the_api_makes_superusers_too() {
    let desk = Desk::new();
    Plan::cluster(1, 1)
        .run(async |system| {
            let env = [("DATABASE_URL", system.database().unwrap())];
            let args = ["createsuperuser", "--email", "root@example.org", "--password-stdin"];
            let ended = desk.run_with("streamit-api", &args, &env, PASSWORD).await;
            assert!(ended.is_success(), "{}", ended.stderr);
            let body = json!({"email": "root@example.org", "password": PASSWORD});
            system.post("/api/auth/login/", &body).await.is(200);
        })
        .await;
}

#[tokio::test]
async fn a_healthcheck_tells_whether_a_program_lives() {
    let desk = Desk::new();
    Plan::cluster(1, 1)
        .run(async |system| {
            let api = system.http(0).base().replace("http://", "");
            let node = system.ws(0).replace("ws://", "");
            for (program, address) in
                [("streamit-api", &api), ("streamit-realtime", &node), ("streamit", &api)]
            {
                let ended = desk.run(program, &["healthcheck"], &[("STREAMIT_LISTEN", address)]).await;
                assert!(ended.is_success(), "{program}: {}", ended.stderr);
            }
            system.node(0).kill();
            let ended = desk.run("streamit-realtime", &["healthcheck"], &[("STREAMIT_LISTEN", &node)]).await;
            assert!(!ended.is_success());
            assert!(ended.stderr.contains(&node), "{}", ended.stderr);
        })
        .await;
}

#[tokio::test]
async fn an_api_whose_database_was_not_migrated_does_not_serve() {
    let desk = Desk::new();
    let keys = desk.path("keys");
    let sqlite = format!("sqlite://{}", desk.path("empty.db"));
    std::fs::create_dir(&keys).unwrap();
    let env = [
        ("DATABASE_URL", sqlite.as_str()),
        ("REDIS_URL", "redis://127.0.0.1:1"),
        ("STREAMIT_SIGNING_KEYS", &keys),
        ("STREAMIT_LISTEN", "127.0.0.1:0"),
        ("STREAMIT_GRPC_LISTEN", "127.0.0.1:0"),
    ];
    let api = desk.start("streamit-api", &env);
    match api.printed("listening http://").await {
        // It may wait for somebody to migrate, but then it is not ready.
        Ok(address) => {
            let http = Http::new(&format!("http://{address}")).unwrap();
            assert_eq!(http.raw("GET", "/readyz", None).await.unwrap().status, 503);
            http.raw("GET", "/livez", None).await.unwrap().is(200);
        }
        Err(why) => assert!(why.contains("ended with"), "{why}"),
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_order_to_a_node_is_told() {
    let desk = Desk::new();
    let nobody = [("REDIS_URL", "redis://127.0.0.1:1")];
    let whole = ["shed", "--node", "a", "--percent", "10"];
    for (args, env, told) in [
        (&["shed", "--percent", "10"][..], &nobody[..], "--node"),
        (&["shed", "--node", "a"], &nobody, "--percent"),
        (&["shed", "--node", "a", "--percent", "0"], &nobody, "1..=100"),
        (&["shed", "--node", "a", "--percent", "101"], &nobody, "1..=100"),
        (&[&whole[..], &["--over", "soon"]].concat(), &nobody, "15s"),
        (&[&whole[..], &["--over", "11m"]].concat(), &nobody, "up to 10m"),
        (&whole, &[], "REDIS_URL"),
        (&whole, &nobody, "REDIS_URL can't be reached"),
        (&["drain"], &nobody, "--node"),
        (&["drain", "--node", "a", "--over", "11m"], &nobody, "up to 10m"),
        (&["drain", "--node", "a"], &nobody, "REDIS_URL can't be reached"),
        (&["resume"], &nobody, "--node"),
        (&["resume", "--node", "a"], &[], "REDIS_URL"),
        (&["nodes"], &nobody, "REDIS_URL can't be reached"),
    ] {
        let ended = desk.run("streamit-api", args, env).await;
        assert!(!ended.is_success() && ended.stdout.is_empty(), "{args:?}");
        assert!(ended.stderr.contains(told), "{args:?}: {}", ended.stderr);
    }
}
