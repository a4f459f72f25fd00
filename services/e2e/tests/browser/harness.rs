//! The harness sees what it must see: else no test here could fail.

use std::path::Path;

use streamit_e2e::browser::{Browser, Look, Place};

const PAGE: &str = r#"<!doctype html><title>Harness</title>
<meta name="viewport" content="width=device-width">
<input id="name"><button id="go">Go</button>
<p id="shown"></p>
<script type="module">
    document.querySelector('#go').onclick = () => {
        document.querySelector('#shown').textContent = document.querySelector('#name').value;
        setTimeout(() => { throw new Error('thrown on purpose') });
        Promise.reject(new Error('rejected on purpose'));
        fetch('/missing.json');
        fetch('http://127.0.0.1:9/').catch(() => {});
    };
</script>"#;

#[tokio::test]
async fn errors_of_a_page_are_seen_whatever_kind_they_are() {
    let _turn = crate::turn().await;
    let browser = Browser::start().await;
    let files = Place::take().await.serve(Path::new("."), PAGE);
    let dark = Look { is_dark: true, width: 400, height: 700, ..Look::default() };
    let window = browser.window("Ana", &dark).await;
    window.open(&files.origin()).await;
    assert!(window.errors().await.is_empty());
    assert!(window.value::<bool>("matchMedia('(prefers-color-scheme: dark)').matches").await);
    assert_eq!(window.value::<(u32, u32)>("[innerWidth, innerHeight]").await, (400, 700));

    window.types("#name", "first").await;
    window.types("#name", "Ana").await;
    window.clicks("#go").await;
    window.sees("document.querySelector('#shown').innerText === 'Ana'").await;

    for told in ["thrown on purpose", "rejected on purpose", "404", "net::ERR_"] {
        let seen = streamit_e2e::until(told, async || {
            window.errors().await.iter().any(|entry| entry.message.contains(told)).then_some(())
        });
        seen.await.unwrap();
    }
}
