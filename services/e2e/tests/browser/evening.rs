//! A whole evening, on the standalone program.

use streamit_e2e::browser::{Browser, Look};

use crate::alone::Alone;
use crate::watcher::Watcher;

#[tokio::test]
async fn an_evening_of_two_survives_a_restart_of_the_server() {
    let _turn = crate::turn().await;
    let mut server = Alone::start().await;
    let browser = Browser::start().await;

    let ana = Watcher::arrives(&browser, "Ana", &server.origin()).await;
    let (link, _) = ana.opens_room("PUBLIC").await;
    assert!(link.starts_with(&format!("{}/r/", server.origin())), "{link}");
    let bo = Watcher::joins(&browser, "Bo", &link, &ana).await;
    bo.sees_person("Ana").await;

    ana.says("Can you see it?").await;
    bo.reads("Can you see it?").await;
    bo.says("<b>Yes</b> & more").await;
    ana.reads("<b>Yes</b> & more").await;
    bo.reads("<b>Yes</b> & more").await;

    // The remote is the host's alone, and everybody follows.
    bo.sees("![...document.querySelectorAll('#play, #pause')].some(button => button.offsetParent && !button.disabled)")
        .await;
    ana.clicks("#play").await;
    ana.sees_it_run().await;
    bo.sees_it_run().await;
    ana.slides("#seek", 120.0).await;
    for watcher in [&ana, &bo] {
        watcher.sees("film.currentTime >= 120 && film.currentTime < 150 && !film.seeking").await;
    }
    ana.clicks("#pause").await;
    ana.sees("film.paused").await;
    let stands: f64 = ana.value("streamit.room.playback.time").await;
    assert!(stands >= 120.0, "{stands}");
    ana.sees_it_stand_at(stands).await;
    bo.sees_it_stand_at(stands).await;
    for watcher in [&ana, &bo] {
        watcher.has_no_errors().await;
    }

    let loaded = (ana.loaded_at().await, bo.loaded_at().await);
    server.kill();
    for watcher in [&ana, &bo] {
        watcher.sees("document.body.dataset.status !== 'open'").await;
        watcher.sees("document.querySelector('#notice').innerText.trim() !== ''").await;
    }
    server.starts_again().await;
    ana.is_in_room().await;
    bo.is_in_room().await;
    ana.says("Here again").await;
    bo.reads("Here again").await;
    bo.says("So am I").await;
    ana.reads("So am I").await;
    ana.reads("Can you see it?").await;
    ana.clicks("#play").await;
    bo.sees_it_run().await;
    assert_eq!((ana.loaded_at().await, bo.loaded_at().await), loaded, "nobody has reloaded");
    for watcher in [&ana, &bo] {
        watcher.has_no_errors_but(|entry| entry.tells_that_nothing_answers_at(server.host())).await;
    }
}

#[tokio::test]
async fn who_knocks_waits_and_is_let_in_or_not() {
    let _turn = crate::turn().await;
    let server = Alone::start().await;
    let browser = Browser::start().await;

    let ana = Watcher::arrives(&browser, "Ana", &server.origin()).await;
    let (link, _) = ana.opens_room("APPROVAL").await;
    let bo = Watcher::arrives(&browser, "Bo", &link).await;
    bo.is_at("waiting").await;
    ana.clicks("#requests li .approve").await;
    bo.is_in_room().await;
    bo.has_film().await;
    ana.sees_person("Bo").await;
    ana.sees("document.querySelectorAll('#requests li').length === 0").await;

    let cy = Watcher::arrives(&browser, "Cy", &link).await;
    cy.is_at("waiting").await;
    ana.clicks("#requests li .reject").await;
    cy.is_at("gone").await;
    ana.sees("document.querySelectorAll('#requests li').length === 0").await;
    for watcher in [&ana, &bo, &cy] {
        watcher.has_no_errors().await;
    }
}

#[tokio::test]
async fn who_is_thrown_out_is_told_so_and_the_others_see_him_go() {
    let _turn = crate::turn().await;
    let server = Alone::start().await;
    let browser = Browser::start().await;

    let ana = Watcher::arrives(&browser, "Ana", &server.origin()).await;
    let (link, password) = ana.opens_room("PASSWORD").await;
    let bo = Watcher::arrives(&browser, "Bo", &link).await;
    bo.types("#room-password", &password).await;
    bo.clicks("#join-room").await;
    bo.is_in_room().await;
    ana.sees_person("Bo").await;

    ana.throws_out("Bo").await;
    bo.is_at("gone").await;
    bo.sees("document.querySelector('#gone-title').innerText.trim() !== ''").await;
    ana.misses_person("Bo").await;
    for watcher in [&ana, &bo] {
        watcher.has_no_errors().await;
    }
}

#[tokio::test]
async fn a_ban_and_handing_the_room_over_ask_first() {
    let _turn = crate::turn().await;
    let server = Alone::start().await;
    let browser = Browser::start().await;

    let ana = Watcher::arrives(&browser, "Ana", &server.origin()).await;
    let (link, _) = ana.opens_room("PUBLIC").await;
    let bo = Watcher::joins(&browser, "Bo", &link, &ana).await;
    let cy = Watcher::joins(&browser, "Cy", &link, &ana).await;

    ana.is_asked(".ban", "Bo").await;
    ana.answers(".no").await;
    ana.sees("!document.querySelector('.ask') && document.activeElement.matches('.ban')").await;
    // The question about somebody goes with him.
    ana.is_asked(".ban", "Cy").await;
    cy.clicks("#leave").await;
    ana.misses_person("Cy").await;
    ana.sees("!document.querySelector('.ask') && document.activeElement !== document.body").await;
    cy.open(&link).await;
    cy.is_in_room().await;
    ana.sees_person("Cy").await;
    ana.is_asked(".ban", "Cy").await;
    ana.answers(".yes").await;
    cy.is_at("gone").await;
    ana.misses_person("Cy").await;

    ana.is_asked(".transfer", "Bo").await;
    ana.answers(".yes").await;
    bo.clicks("#play").await;
    ana.sees_it_run().await;
    ana.sees(
        "document.querySelector('#play').offsetHeight + document.querySelector('#pause').offsetHeight === 0",
    )
    .await;
    // What is left to a viewer is to report somebody.
    ana.sees(
        "![...document.querySelectorAll('.ask, #people .kick, #people .actions > :not(.report)')]\
         .some(one => one.offsetHeight > 0)",
    )
    .await;
    for watcher in [&ana, &bo, &cy] {
        watcher.has_no_errors().await;
    }
}

#[tokio::test]
async fn an_account_is_opened_left_and_come_back_to() {
    let _turn = crate::turn().await;
    let server = Alone::start().await;
    let browser = Browser::start().await;

    let ana = Watcher::opens(&browser, "Ana", &server.origin()).await;
    ana.is_at("welcome").await;
    ana.clicks("#account summary").await;
    ana.clicks("#enter-register").await;
    ana.types("#register-name", "Ana").await;
    ana.types("#email", "ana@example.org").await;
    ana.types("#password", "a long password").await;
    ana.clicks("#enter-login").await;
    ana.is_at("lobby").await;
    ana.sees("document.querySelector('#whoami').innerText === 'Ana'").await;
    ana.clicks("#logout").await;
    ana.is_at("welcome").await;

    // Whoever has an account by now is asked to log in.
    ana.sees("document.querySelector('#register-name').offsetHeight === 0").await;
    ana.types("#email", "ana@example.org").await;
    ana.types("#password", "another password").await;
    ana.clicks("#enter-login").await;
    ana.sees("document.querySelector('#account-error').innerText !== ''").await;
    ana.is_at("welcome").await;
    ana.types("#password", "a long password").await;
    ana.clicks("#enter-login").await;
    ana.is_at("lobby").await;
    ana.opens_anew(&server.origin()).await;
    ana.is_at("lobby").await;
    ana.sees("document.querySelector('#whoami').innerText === 'Ana'").await;
    // A browser writes each refusal to the console.
    ana.has_no_errors_but(|entry| {
        entry.message.contains("/api/auth/login/") && entry.message.contains("401")
    })
    .await;
}

#[tokio::test]
async fn a_browser_that_forbids_sound_shows_the_film_and_a_button_for_it() {
    let _turn = crate::turn().await;
    let server = Alone::start().await;
    let browser = Browser::start().await;

    let ana = Watcher::arrives(&browser, "Ana", &server.origin()).await;
    let (link, _) = ana.opens_room("PUBLIC").await;
    ana.clicks("#play").await;
    ana.sees_it_run().await;

    let careful = Look { may_autoplay: false, ..Look::default() };
    let bo = Watcher::arrives_with(&browser, "Bo", &link, &careful).await;
    bo.is_in_room().await;
    // Whoever has clicked may hear. In a new tab he has not, and is known all the same.
    bo.opens_anew(&link).await;
    bo.is_in_room().await;
    bo.sees("document.querySelector('#unblock').offsetHeight > 0").await;
    bo.clicks("#unblock").await;
    bo.sees("document.querySelector('#unblock').offsetHeight === 0").await;
    bo.sees_it_run().await;
    bo.sees("!film.muted").await;
    for watcher in [&ana, &bo] {
        watcher.has_no_errors().await;
    }
}
