//! One window, and the page in it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use streamit_client::Http;

use super::{Entry, Look};
use crate::until;

/// Under this name the protocol hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// The keys, as the protocol writes them.
const TAB: &str = "\u{E004}";
const ENTER: &str = "\u{E007}";
/// Between two looks at a page. Shorter ones would take processor time from the film.
const BLINK: Duration = Duration::from_millis(40);
/// What a page may answer while it is still becoming what is waited for.
const NOT_YET: [&str; 4] =
    ["no such element", "stale element reference", "element not interactable", "element click intercepted"];

/// A window with a page, and somebody who uses it.
#[derive(Debug)]
pub struct Window {
    owner: String,
    http: Http,
    session: String,
    console: Mutex<Vec<Entry>>,
}

impl Window {
    pub(super) fn new(owner: &str, http: Http, session: &str) -> Self {
        let session = format!("/session/{session}");
        Self { owner: owner.to_owned(), http, session, console: Mutex::default() }
    }

    /// Whose it is.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Gives it another size or other colours.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn becomes(&self, look: &Look) {
        let Look { width, height, .. } = look;
        // What is narrow is a phone, whose scroll bars lie over the page.
        let is_phone = *width < 600;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone});
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = if look.is_dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// Goes to an address, and waits until it is loaded.
    ///
    /// # Panics
    /// When it can't be loaded.
    pub async fn open(&self, url: &str) {
        self.must("POST", "/url", &json!({"url": url})).await;
    }

    /// Goes to an address in a new tab, in which nobody has clicked anything, and closes the one before.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn opens_anew(&self, url: &str) {
        self.console().await;
        let tab = self.must("POST", "/window/new", &json!({"type": "tab"})).await;
        self.must("DELETE", "/window", &Value::Null).await;
        self.must("POST", "/window", &json!({"handle": tab["handle"]})).await;
        self.open(url).await;
    }

    /// Closes it. Its owner is gone, as far as anybody can tell.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn close(self) {
        self.must("DELETE", "", &Value::Null).await;
    }

    /// Clicks what the selector names, as soon as it can be clicked.
    ///
    /// # Panics
    /// When that takes too long.
    pub async fn clicks(&self, selector: &str) {
        self.on(selector, "/click", &json!({})).await;
    }

    /// Types into the field that the selector names, in place of what it holds.
    ///
    /// # Panics
    /// When there is no such field.
    pub async fn types(&self, selector: &str, text: &str) {
        self.on(selector, "/clear", &json!({})).await;
        self.on(selector, "/value", &json!({"text": text})).await;
    }

    /// Presses Enter in the field that the selector names.
    ///
    /// # Panics
    /// When there is no such field.
    pub async fn presses_enter(&self, selector: &str) {
        self.on(selector, "/value", &json!({"text": ENTER})).await;
    }

    /// Presses keys, one after the other, wherever the focus is: `\t` is Tab, `\n` Enter.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn presses(&self, keys: &str) {
        let key = |key: char| match key {
            '\t' => TAB.to_owned(),
            '\n' => ENTER.to_owned(),
            key => key.to_string(),
        };
        let press =
            |key: String| [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})];
        let strokes: Vec<Value> = keys.chars().flat_map(|stroke| press(key(stroke))).collect();
        let hand = json!({"type": "key", "id": "keyboard", "actions": strokes});
        self.must("POST", "/actions", &json!({"actions": [hand]})).await;
    }

    /// Chooses the entry with this value in the list that the selector names, by its own option.
    ///
    /// # Panics
    /// When there is none.
    pub async fn chooses(&self, selector: &str, value: &str) {
        self.clicks(&format!("{selector} option[value={value:?}]")).await;
    }

    /// Moves the slider that the selector names, as a hand does: to `value`, then lets go.
    ///
    /// # Panics
    /// When there is none.
    pub async fn slides(&self, selector: &str, value: f64) {
        let hand = "const [slider, value] = [document.querySelector(arguments[0]), arguments[1]]; \
             slider.focus(); slider.value = value; \
             for (const type of ['input', 'change']) slider.dispatchEvent(new Event(type, {bubbles: true}));";
        self.run(hand, json!([selector, value])).await;
    }

    /// Runs a script in the page; what it returns.
    ///
    /// # Panics
    /// When it throws.
    pub async fn run(&self, script: &str, args: Value) -> Value {
        self.must("POST", "/execute/sync", &json!({"script": script, "args": args})).await
    }

    /// The value of an expression in the page.
    ///
    /// # Panics
    /// When there is none, or it is no `T`.
    pub async fn value<T: DeserializeOwned>(&self, expression: &str) -> T {
        let value = self.run(&format!("return ({expression})"), json!([])).await;
        let read = serde_json::from_value(value.clone());
        read.unwrap_or_else(|error| panic!("{}: {expression} is {value}: {error}", self.owner))
    }

    /// Waits until an expression is true in the page.
    ///
    /// # Panics
    /// With what the page shows, when it does not become so.
    pub async fn sees(&self, expression: &str) {
        if let Err(why) = self.saw(expression).await {
            panic!("{why}\n{}", self.describe().await);
        }
    }

    async fn saw(&self, expression: &str) -> Result<(), String> {
        // What is not there yet is not an error of whoever waits for it.
        let script = format!("try {{ return !!({expression}) }} catch (error) {{ return String(error) }}");
        let mut last = Value::Null;
        let what = format!("{}: {expression}", self.owner);
        let seen = until(&what, async || {
            last = self.run(&script, json!([])).await;
            if last == Value::Bool(true) {
                return Some(());
            }
            tokio::time::sleep(BLINK).await;
            None
        });
        seen.await.map_err(|why| format!("{why} (it was {last})"))
    }

    /// A picture of what is shown, as a PNG.
    ///
    /// # Panics
    /// When the browser gives none.
    pub async fn picture(&self) -> Vec<u8> {
        let picture = self.must("GET", "/screenshot", &Value::Null).await;
        STANDARD.decode(picture.as_str().unwrap_or_default()).unwrap()
    }

    /// All that its console has told so far.
    ///
    /// # Panics
    /// When it can't be read.
    pub async fn console(&self) -> Vec<Entry> {
        let new = self.must("POST", "/se/log", &json!({"type": "browser"})).await;
        let mut console = self.console.lock().unwrap_or_else(PoisonError::into_inner);
        console.extend(new.as_array().into_iter().flatten().map(Entry::read));
        console.clone()
    }

    /// The errors that its console has told so far.
    ///
    /// # Panics
    /// When it can't be read.
    pub async fn errors(&self) -> Vec<Entry> {
        self.console().await.into_iter().filter(Entry::is_error).collect()
    }

    /// Tells the browser something that the protocol has no word for.
    async fn devtools(&self, command: &str, params: Value) -> Value {
        self.must("POST", "/goog/cdp/execute", &json!({"cmd": command, "params": params})).await
    }

    /// What a person would see, for whoever reads a failure.
    async fn describe(&self) -> String {
        /// The beginning of a page is enough to tell where somebody is stuck.
        const MOST: usize = 1500;
        let body = "({...document.body.dataset, text: document.body.innerText})";
        let body: Value = self.value(body).await;
        let text: String = body["text"].as_str().unwrap_or_default().chars().take(MOST).collect();
        let console: Vec<String> =
            self.console().await.iter().map(|entry| format!("{} {}", entry.level, entry.message)).collect();
        format!(
            "---- {} at {}, view {}, status {}\n{text}\n---- console\n{}",
            self.owner,
            self.value::<String>("location.href").await,
            body["view"],
            body["status"],
            console.join("\n")
        )
    }

    /// Does something with the element that the selector names, as soon as it is there and can be used.
    async fn on(&self, selector: &str, what: &str, body: &Value) {
        let mut last = String::new();
        let whole = format!("{}: {selector}{what}", self.owner);
        let done = until(&whole, async || match self.try_on(selector, what, body).await {
            Ok(()) => Some(()),
            Err(why) if NOT_YET.iter().any(|reason| why.starts_with(reason)) => {
                last = why;
                tokio::time::sleep(BLINK).await;
                None
            }
            Err(why) => panic!("{whole}: {why}"),
        });
        if let Err(why) = done.await {
            panic!("{why} ({last})\n{}", self.describe().await);
        }
    }

    async fn try_on(&self, selector: &str, what: &str, body: &Value) -> Result<(), String> {
        let locator = json!({"using": "css selector", "value": selector});
        let element = self.ask("POST", "/element", &locator).await?;
        let id = element[ELEMENT].as_str().ok_or("no such element: the answer names none")?;
        self.ask("POST", &format!("/element/{id}{what}"), body).await.map(drop)
    }

    async fn must(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.ask(method, path, body).await;
        answer.unwrap_or_else(|why| panic!("{}: {path}: {why}\n{body}", self.owner))
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        ask(&self.http, method, &format!("{}{path}", self.session), body).await
    }
}

/// Asks the driver; its refusal begins with the protocol's word for it.
pub(super) async fn ask(http: &Http, method: &str, path: &str, body: &Value) -> Result<Value, String> {
    let body = (method == "POST").then_some(body);
    let answer = http.raw(method, path, body).await.map_err(|error| error.to_string())?;
    let value = answer.json()["value"].take();
    if answer.status == 200 {
        return Ok(value);
    }
    let told = |name: &str| value[name].as_str().unwrap_or_default();
    Err(format!("{}: {}", told("error"), told("message").lines().next().unwrap_or_default()))
}
