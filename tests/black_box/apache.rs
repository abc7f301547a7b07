//! A PIM and a destination in PHP, served as Akeneo's own guide says: Apache with PHP-FPM, and nginx before it.

use crate::admin::ask;
use http::Method;
use serde_json::{Value, json};
use simulator::catalogue::{Action, Catalogue, Change};
use simulator::destination::sha256;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tests::application::Application;
use tests::client;
use tests::servers::{Nginx, Server, answers, free_port, open_folder, program};
use tests::world::{World, deliver_all, platform_deliveries};

/// How many products are pushed.
const PRODUCTS: usize = 500;

#[tokio::test]
#[ignore = "needs Apache and PHP-FPM: `cargo xtask test --full`"]
async fn behind_apache_with_php_fpm_no_body_arrives_empty() {
    let apache = Apache::start(Packing::AsAsked).await;
    play(&apache, &apache.url).await;
}

#[tokio::test]
#[ignore = "needs Apache, PHP-FPM and nginx: `cargo xtask test --full`"]
async fn behind_apache_and_nginx_no_body_arrives_empty() {
    let apache = Apache::start(Packing::AsAsked).await;
    let nginx = Nginx::start(&format!("location / {{ proxy_pass {}; }}", apache.url), "")
        .await
        .unwrap();
    play(&apache, &nginx.url).await;
}

#[tokio::test]
#[ignore = "needs Apache, PHP-FPM and nginx: `cargo xtask test --full`"]
async fn behind_apache_and_nginx_what_is_larger_than_nginx_takes_says_so() {
    let apache = Apache::start(Packing::AsAsked).await;
    let nginx = Nginx::start(&format!("location / {{ proxy_pass {}; }}", apache.url), "")
        .await
        .unwrap();
    let world = World::start(Catalogue::generate(1, 0, 11)).await.unwrap();
    let product = world.products().remove(0);
    // By default nginx takes a megabyte. It answers before it has read the body.
    let changes = world.edit(&product, text_of("x".repeat(3_000_000))).unwrap();
    let setup = world.setup().with("destination_url", &nginx.url);
    let application = Application::start(setup).await.unwrap();
    deliver_all(&application, &platform_deliveries(&changes, 1))
        .await
        .unwrap();
    application.tick_until_idle().await.unwrap();
    let letters = ask(&application, Method::GET, "/admin/dead-letters", json!(null))
        .await
        .json();
    let reason = letters["items"][0]["reason"].as_str();
    assert!(reason.is_some_and(|reason| reason.starts_with("413")), "{letters}");
}

#[tokio::test]
#[ignore = "needs Apache and PHP-FPM: `cargo xtask test --full`"]
async fn behind_apache_that_packs_whatever_is_accepted_answers_are_read() {
    let apache = Apache::start(Packing::Always).await;
    let agent = ("user-agent".to_owned(), "akeneo-relay/test".to_owned());
    let answer = client::request(Method::GET, &format!("{}/x", apache.url), &[agent], "").await;
    assert_eq!(answer.unwrap().header("content-encoding"), Some("gzip"));
    play(&apache, &apache.url).await;
}

/// Pushes products of 1 to 300 KB through the application, with many tokens, and looks at what arrived.
async fn play(apache: &Apache, url: &str) {
    let world = World::start(Catalogue::generate(PRODUCTS, 0, 11)).await.unwrap();
    let mut random = fastrand::Rng::with_seed(11);
    let changes: Vec<Change> = world
        .products()
        .iter()
        .flat_map(|product| world.edit(product, any_text(&mut random)).unwrap())
        .collect();
    let expected: BTreeMap<String, String> = world.pim.with(|pim| {
        let bodies = pim.bodies(None);
        let texts = bodies.map(|(id, body)| (id.key(), body.to_string()));
        texts.inspect(|(id, text)| apache.put_product(id, text)).collect()
    });
    let expected: BTreeMap<String, String> = expected
        .into_iter()
        .map(|(id, text)| (format!("/products/{id}"), sha256(text.as_bytes())))
        .collect();
    let setup = world.setup().with("pim_url", url).with("destination_url", url);
    let application = Application::start(setup).await.unwrap();
    deliver_all(&application, &platform_deliveries(&changes, 1))
        .await
        .unwrap();
    application.tick_until_idle().await.unwrap();

    let received = apache.received();
    let empty: Vec<&Value> = received
        .iter()
        .filter(|request| request["method"] != "GET" && request["length"] == 0)
        .collect();
    assert_eq!(empty, Vec::<&Value>::new());
    let of = |method: &str, path: &str| -> Vec<&Value> {
        let all = received.iter();
        all.filter(|request| request["method"] == method && request["path"].as_str().unwrap().starts_with(path))
            .collect()
    };
    let tokens = of("POST", "/api/oauth/v1/token").len();
    let pushes = of("PUT", "/products/");
    let (least, most) = (
        pushes.iter().map(|push| push["length"].as_u64()).min(),
        pushes.iter().map(|push| push["length"].as_u64()).max(),
    );
    println!(
        "{tokens} tokens; {} pushes of {least:?} to {most:?} bytes",
        pushes.len()
    );
    assert!(tokens >= 100, "{tokens} tokens");
    assert!(least < Some(Some(3000)) && most > Some(Some(250_000)));
    let arrived: BTreeMap<String, String> = pushes
        .iter()
        .map(|push| (text(push, "path"), text(push, "sha256")))
        .collect();
    assert_eq!((pushes.len(), arrived), (PRODUCTS, expected));
    assert!(
        received
            .iter()
            .all(|request| text(request, "agent").starts_with("akeneo-relay/"))
    );
}

fn text(request: &Value, member: &str) -> String {
    request[member].as_str().unwrap_or_default().to_owned()
}

/// A text of up to 300 KB in JSON, small ones as likely as large ones.
fn any_text(random: &mut fastrand::Rng) -> Action {
    let bytes = if random.bool() { 270_000 } else { 10_000 };
    let words = ["lamp ", "théière ", "☕ ", "line\n", "\"quoted\" "];
    let mut text = String::new();
    let length = random.usize(..bytes);
    while text.len() < length {
        text.push_str(words[random.usize(..words.len())]);
    }
    text_of(text)
}

fn text_of(text: String) -> Action {
    Action::SetValue {
        attribute: "name".to_owned(),
        locale: Some("en_US".to_owned()),
        scope: None,
        data: text.into(),
    }
}

/// Whether answers come packed.
#[derive(Clone, Copy, PartialEq)]
enum Packing {
    AsAsked,
    Always,
}

/// An Apache with PHP-FPM of the test's own, before `index.php`. Dropping it ends it.
struct Apache {
    _processes: [Server; 2],
    folder: TempDir,
    url: String,
}

impl Apache {
    /// Starts the programs that `APACHE2` and `PHP_FPM` name.
    async fn start(packing: Packing) -> Apache {
        let folder = open_folder().unwrap();
        let at = folder.path().display();
        std::fs::create_dir(folder.path().join("public")).unwrap();
        std::fs::create_dir(folder.path().join("products")).unwrap();
        std::fs::write(folder.path().join("public/index.php"), include_str!("apache/index.php")).unwrap();
        let php = format!(
            "[global]\nerror_log = {at}/php-fpm.log\ndaemonize = no\n\
             [www]\nuser = root\ngroup = root\nlisten = {at}/php-fpm.sock\nlisten.mode = 0666\n\
             pm = static\npm.max_children = 5\n"
        );
        std::fs::write(folder.path().join("php-fpm.conf"), php).unwrap();
        let mut command = program("PHP_FPM", "php-fpm");
        // Without the system's settings; where the test runs as root, so does PHP.
        command
            .args(["-n", "-F", "-R", "-y"])
            .arg(folder.path().join("php-fpm.conf"));
        let mut php = Server::start(command, folder.path()).unwrap();
        php.wait_for(|| folder.path().join("php-fpm.sock").exists())
            .await
            .unwrap();

        let port = free_port().unwrap();
        std::fs::write(folder.path().join("apache.conf"), site(folder.path(), port, packing)).unwrap();
        let mut command = program("APACHE2", "apache2");
        command
            .args(["-D", "FOREGROUND", "-f"])
            .arg(folder.path().join("apache.conf"));
        let mut apache = Server::start(command, folder.path()).unwrap();
        apache.wait_for(|| answers(port)).await.unwrap();
        Apache {
            _processes: [apache, php],
            folder,
            url: format!("http://127.0.0.1:{port}"),
        }
    }

    fn put_product(&self, id: &str, text: &str) {
        std::fs::write(self.folder.path().join("products").join(id), text).unwrap();
    }

    /// What PHP received.
    fn received(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("received")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The site as in Akeneo's guide ("Install Akeneo PIM manually", Apache), and around it what Debian configures.
fn site(folder: &Path, port: u16, packing: Packing) -> String {
    let at = folder.display();
    let mut names = vec![
        "mpm_event",
        "authz_core",
        "setenvif",
        "rewrite",
        "proxy",
        "proxy_fcgi",
        "mime",
        "filter",
        "deflate",
    ];
    let modules = modules();
    // Some builds have them inside.
    names.retain(|name| modules.join(format!("mod_{name}.so")).exists());
    let modules: String = names
        .iter()
        .map(|name| format!("LoadModule {name}_module {}/mod_{name}.so\n", modules.display()))
        .collect();
    let packing = match packing {
        Packing::AsAsked => "",
        Packing::Always => "SetOutputFilter DEFLATE\nSetEnvIf Request_URI . force-gzip=1\n",
    };
    format!(
        "ServerRoot {at}\nServerName localhost\nListen 127.0.0.1:{port}\nPidFile {at}/apache.pid\n\
         DefaultRuntimeDir {at}\nMutex file:{at} default\nErrorLog {at}/apache.log\n{modules}TypesConfig /dev/null\n\
         User nobody\nGroup nogroup\n{packing}\
         <VirtualHost *:{port}>\n\
         DocumentRoot {at}/public\n\
         <Directory {at}/public>\n\
         AllowOverride None\nRequire all granted\nOptions -MultiViews\nRewriteEngine On\n\
         RewriteCond %{{REQUEST_FILENAME}} -f\nRewriteRule ^ - [L]\nRewriteRule ^ index.php [QSA,L]\n\
         </Directory>\n\
         <FilesMatch \\.php$>\n\
         SetHandler \"proxy:unix:{at}/php-fpm.sock|fcgi://localhost/\"\n\
         </FilesMatch>\n\
         SetEnvIf Authorization .+ HTTP_AUTHORIZATION=$0\n\
         </VirtualHost>\n"
    )
}

/// Where Apache's modules are: beside the unpacked program, or where Debian installs them.
fn modules() -> PathBuf {
    let below = "usr/lib/apache2/modules";
    let program = std::env::var_os("APACHE2").map(PathBuf::from);
    let unpacked = program.and_then(|program| Some(program.parent()?.join("root").join(below)));
    unpacked
        .filter(|folder| folder.exists())
        .unwrap_or_else(|| Path::new("/").join(below))
}
