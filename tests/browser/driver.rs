//! A browser, driven through WebDriver, which is JSON over HTTP.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::Method;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tests::application::root;
use tests::client;
use tests::servers::turn;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, sleep};

/// How long to wait for what must come: many times what it takes on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// The member that names an element (WebDriver, 12.2).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys that are no characters (WebDriver, 17.4.2).
pub(crate) const ENTER: &str = "\u{e007}";
pub(crate) const ESCAPE: &str = "\u{e00c}";
pub(crate) const TAB: &str = "\u{e004}";

/// A browser with one window. Dropping it ends it.
pub(crate) struct Browser {
    _turn: SemaphorePermit<'static>,
    _driver: Child,
    _profile: TempDir,
    session: String,
}

/// What `cargo xtask test --full` brings.
fn brought(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable).map(PathBuf::from);
    path.unwrap_or_else(|| panic!("{variable} is not set: run `cargo xtask test --full`"))
}

impl Browser {
    /// Waits until it is its turn.
    pub(crate) async fn start() -> Browser {
        let turn = turn().await.unwrap();
        let (mut driver, port) = start_driver().await;
        let profile = TempDir::new().unwrap();
        let options = json!({
            "binary": brought("CHROMIUM"),
            // Without a sandbox, which a root user cannot have; it opens nothing but the application under test.
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--lang=en",
                "--window-size=1280,900", format!("--user-data-dir={}", profile.path().display())],
        });
        let wanted =
            json!({ "capabilities": { "alwaysMatch": { "browserName": "chrome", "goog:chromeOptions": options } } });
        let url = format!("http://127.0.0.1:{port}/session");
        let answer = client::request(Method::POST, &url, &[], wanted.to_string())
            .await
            .unwrap();
        let Some(id) = answer.json()["value"]["sessionId"].as_str().map(str::to_owned) else {
            driver.kill().await.unwrap();
            panic!("the browser does not start: {}", answer.json());
        };
        Browser {
            _turn: turn,
            _driver: driver,
            _profile: profile,
            session: format!("{url}/{id}"),
        }
    }

    /// Ends it, its window's process before the driver's.
    pub(crate) async fn end(self) {
        client::request(Method::DELETE, &self.session, &[], "").await.unwrap();
    }

    async fn command(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/{path}", self.session);
        let answer = client::request(Method::POST, &url, &[], body.to_string())
            .await
            .unwrap();
        let value = answer.json()["value"].take();
        assert_eq!(answer.status, 200, "{path} {body}: {value}");
        value
    }

    pub(crate) async fn open(&self, url: &str) {
        self.command("url", json!({ "url": url })).await;
    }

    /// Runs the body of a function in the page; gives what it returns. A promise is waited for.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.command("execute/sync", json!({ "script": script, "args": [] }))
            .await
    }

    /// Waits until an expression of the page is true, or whatever JavaScript takes for it; gives its value.
    pub(crate) async fn until(&self, expression: &str) -> Value {
        let begun = Instant::now();
        loop {
            let value = self.run(&format!("return {expression}")).await;
            if !matches!(value, Value::Null | Value::Bool(false)) && value != json!("") && value != json!(0) {
                return value;
            }
            if begun.elapsed() > PATIENCE {
                let page = self.run("return document.body.innerText").await;
                panic!(
                    "never true: {expression}\non the page:\n{}",
                    page.as_str().unwrap_or_default()
                );
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn element(&self, selector: &str) -> String {
        let found = format!(
            "[...document.querySelectorAll({})].find(e => e.checkVisibility())",
            json!(selector)
        );
        self.until(&format!("Boolean({found})")).await;
        let element = self.run(&format!("return {found}")).await;
        element[ELEMENT]
            .as_str()
            .unwrap_or_else(|| panic!("{selector}: {element}"))
            .to_owned()
    }

    /// Clicks the first element that is to be seen, as a person does.
    pub(crate) async fn click(&self, selector: &str) {
        let element = self.element(selector).await;
        self.command(&format!("element/{element}/click"), json!({})).await;
    }

    /// Types into a field, in place of what stood there.
    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        self.command(&format!("element/{element}/clear"), json!({})).await;
        self.command(&format!("element/{element}/value"), json!({ "text": text }))
            .await;
    }

    /// Presses a key, wherever the focus is.
    pub(crate) async fn press(&self, key: &str) {
        let presses = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": presses });
        self.command("actions", json!({ "actions": [keyboard] })).await;
    }

    /// Types where the focus is.
    pub(crate) async fn write(&self, text: &str) {
        for letter in text.chars() {
            self.press(&letter.to_string()).await;
        }
    }

    pub(crate) async fn text(&self, selector: &str) -> String {
        let text = self
            .run(&format!(
                "return document.querySelector({})?.innerText",
                json!(selector)
            ))
            .await;
        text.as_str().unwrap_or_default().to_owned()
    }

    async fn devtools(&self, command: &str, parameters: Value) {
        self.command("goog/cdp/execute", json!({ "cmd": command, "params": parameters }))
            .await;
    }

    /// Turns dark or light.
    pub(crate) async fn prefer(&self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": [feature] }))
            .await;
    }

    /// Becomes so wide, in pixels, as a phone or a desk has it.
    pub(crate) async fn resize(&self, width: u32, is_phone: bool) {
        let screen = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": is_phone });
        self.devtools("Emulation.setDeviceMetricsOverride", screen).await;
    }

    /// Grants what a person is asked for.
    pub(crate) async fn allow_copying(&self) {
        let permissions = json!({ "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"] });
        self.devtools("Browser.grantPermissions", permissions).await;
    }

    /// Saves what is downloaded from now on into this folder.
    pub(crate) async fn save_to(&self, folder: &Path) {
        let behavior = json!({ "behavior": "allow", "downloadPath": folder });
        self.devtools("Browser.setDownloadBehavior", behavior).await;
    }

    /// A file that is downloaded, once it is there.
    pub(crate) async fn saved(&self, file: &Path) -> String {
        let begun = Instant::now();
        loop {
            match std::fs::read_to_string(file) {
                Ok(text) if !text.is_empty() => return text,
                _ if begun.elapsed() > PATIENCE => panic!("{} never came", file.display()),
                _ => sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Writes a picture of the whole page to `target/screenshots`.
    pub(crate) async fn picture(&self, name: &str) {
        self.take(name, None).await;
    }

    /// Writes a picture of the page's beginning, of so many points in height, to `target/screenshots`, and gives it.
    pub(crate) async fn picture_of_the_beginning(&self, name: &str, height: u64) -> Vec<u8> {
        self.take(name, Some(height)).await
    }

    async fn take(&self, name: &str, height: Option<u64>) -> Vec<u8> {
        // As high as the page: what lies outside the window is not always painted.
        let size = self
            .run("return [innerWidth, document.documentElement.scrollHeight]")
            .await;
        let screen = json!({ "width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0].as_u64() < Some(600) });
        self.devtools("Emulation.setDeviceMetricsOverride", screen).await;
        self.until(&format!("innerHeight >= {}", size[1])).await;
        let painted = "return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))";
        self.run(painted).await;
        let clip = height.map(|height| json!({ "x": 0, "y": 0, "width": size[0], "height": height, "scale": 1 }));
        let params = clip.map_or(json!({}), |clip| json!({ "clip": clip }));
        let command = json!({ "cmd": "Page.captureScreenshot", "params": params });
        let picture = self.command("goog/cdp/execute", command).await;
        self.devtools("Emulation.clearDeviceMetricsOverride", json!({})).await;
        let picture = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        let folder = root().join("target/screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), &picture).unwrap();
        picture
    }

    /// What axe-core holds against the page as it is, of serious impact or worse: the rule, and where.
    pub(crate) async fn violations(&self) -> Vec<String> {
        let axe = std::fs::read_to_string(brought("AXE_CORE")).unwrap();
        let judge = "return axe.run(document).then(found => [found.passes.length, found.violations\
            .filter(one => ['serious', 'critical'].includes(one.impact))\
            .flatMap(one => one.nodes.map(node => `${one.id}: ${node.html} ${node.failureSummary}`))])";
        let found = self.run(&format!("if (!window.axe) {{ {axe} }}\n{judge}")).await;
        assert!(
            found[0].as_u64() > Some(15),
            "axe-core has judged next to nothing: {found}"
        );
        let violations = found[1].as_array().unwrap().iter();
        violations.map(|one| one.as_str().unwrap().to_owned()).collect()
    }
}

/// Starts the driver on a free port, and waits until it says so.
async fn start_driver() -> (Child, u16) {
    let mut driver = Command::new(brought("CHROMEDRIVER"))
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let port = line.strip_prefix("ChromeDriver was started successfully on port ");
        if let Some(port) = port.and_then(|port| port.trim_end_matches('.').parse().ok()) {
            // It must not block on what it prints later.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return (driver, port);
        }
    }
    panic!("the browser's driver did not start");
}
