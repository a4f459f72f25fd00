//! What the watch page looks like. `make screenshots` keeps the pictures; the ordinary run looks at them and forgets.

use std::fs;
use std::path::Path;

use streamit_e2e::browser::{Browser, Look};

use crate::alone::Alone;
use crate::watcher::Watcher;

/// A picture in a document should not take longer to load than the document, in bytes.
pub(crate) const LARGEST: usize = 200 * 1024;

#[tokio::test]
async fn screenshots_show_a_room_that_fits_light_dark_and_on_a_phone() {
    let _turn = crate::turn().await;
    let server = Alone::start().await;
    let browser = Browser::start().await;
    let ana = Watcher::arrives(&browser, "Ana", &server.origin()).await;
    let (link, _) = ana.opens_room("PUBLIC").await;
    let bo = Watcher::joins(&browser, "Bo", &link, &ana).await;
    let cy = Watcher::joins(&browser, "Cyrus", &link, &ana).await;

    ana.clicks("#play").await;
    ana.slides("#seek", 83.0).await;
    ana.says("Everybody here? Then off we go.").await;
    bo.reads("Everybody here?").await;
    bo.says("Here! Frame 2,100, and you?").await;
    cy.reads("Frame 2,100").await;
    cy.says("The same. From a train, no less.").await;
    ana.reads("From a train").await;
    cy.says("Who picked this one?").await;
    ana.reads("Who picked").await;
    ana.says("It grows on you. The hand goes round, you will see.").await;
    cy.reads("grows on you").await;
    bo.says("No spoilers please").await;
    ana.reads("No spoilers").await;
    ana.says("Nobody tells how it ends.").await;

    // What others see of it: the one who follows is the one to be looked at.
    bo.reads("how it ends").await;
    bo.sees("film.currentTime > 83").await;
    bo.sees("document.querySelector('#panel').offsetHeight > 0").await;
    bo.sees("streamit.drift.state === 'playing' && Math.abs(streamit.drift.drift) < 0.02").await;
    // The line of the last minute has something to show.
    bo.sees("film.currentTime > 95").await;
    let looks = [
        ("light", Look::default()),
        ("dark", Look { is_dark: true, ..Look::default() }),
        ("phone", Look { width: 390, height: 844, ..Look::default() }),
    ];
    bo.run("document.activeElement.blur()", serde_json::json!([])).await;
    for (name, look) in looks {
        bo.becomes(&look).await;
        if name == "phone" {
            bo.clicks("#panel-toggle").await;
        }
        // All that is drawn again by and by has been.
        let since: f64 = bo.value("film.currentTime").await;
        bo.sees(&format!("film.currentTime > {since} + 1")).await;
        bo.sees(&format!("innerWidth === {} && innerHeight === {}", look.width, look.height)).await;
        bo.sees("document.documentElement.scrollWidth <= innerWidth").await;
        let picture = bo.picture().await;
        assert!(picture.len() <= LARGEST, "{name}: {} bytes", picture.len());
        keep(name, &picture);
    }
    bo.has_no_errors().await;
}

/// Writes a picture to where `STREAMIT_SCREENSHOTS` says, seen from the top of the repository, if it says so.
pub(crate) fn keep(name: &str, picture: &[u8]) {
    let Some(directory) = std::env::var_os("STREAMIT_SCREENSHOTS") else { return };
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(directory);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(format!("{name}.png")), picture).unwrap();
}
