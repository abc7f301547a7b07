//! What is read out of variables as people write them, and what is told of those that make no sense.

use super::*;
use access::{Access, AdminConfig};

/// Reads variables that all make sense, with these values besides or instead. The provider of `failing` fails.
fn read<T>(
    values: &[(&str, &str)],
    failing: &str,
    read: impl Fn(&Variables) -> Result<T, ConfigError>,
) -> Result<T, ConfigError> {
    let sensible = [
        ("pim_url", "https://pim.example.com"),
        ("pim_client_id", "1_abc"),
        ("pim_client_secret", "secret-of-the-client"),
        ("pim_username", "relay"),
        ("pim_password", "password-of-the-user"),
        ("destination_url", "https://shop.example.com"),
        ("login_url", UNSET_ORIGIN),
    ];
    read(&Variables(&|name| {
        if name == failing {
            return Err(ProviderFailed);
        }
        let value = values.iter().chain(&sensible).find(|(known, _)| *known == name);
        Ok(value.map(|(_, value)| (*value).to_owned()))
    }))
}

fn worker(values: &[(&str, &str)]) -> Result<WorkerConfig, ConfigError> {
    read(values, "", WorkerConfig::read)
}

/// All that ingest ever reads.
struct Ingest {
    event_platform_secrets: Vec<String>,
    events_api_secrets: Vec<String>,
    notification_secrets: Vec<String>,
    own_authors: Vec<String>,
    wants_categories: bool,
}

impl Ingest {
    fn read(variables: &Variables) -> Result<Ingest, ConfigError> {
        let config = IngestConfig::read(variables)?;
        config.tolerance_s()?;
        config.is_full(u64::MAX)?;
        Ok(Ingest {
            event_platform_secrets: config.secrets(EVENT_PLATFORM_SECRET).collect::<Result<_, _>>()?,
            events_api_secrets: config.secrets(EVENTS_API_SECRET).collect::<Result<_, _>>()?,
            notification_secrets: config.secrets(NOTIFICATION_SECRET).collect::<Result<_, _>>()?,
            own_authors: config.own_authors()?,
            wants_categories: config.wants_categories()?,
        })
    }
}

fn ingest(values: &[(&str, &str)]) -> Result<Ingest, ConfigError> {
    read(values, "", Ingest::read)
}

fn admin(values: &[(&str, &str)]) -> Result<AdminConfig, ConfigError> {
    read(values, "", AdminConfig::read)
}

/// What is told of a variable with this value, if anything is wrong with it; the text must name the variable.
fn mistake(name: &str, value: &str) -> Option<String> {
    let values = [(name, value)];
    let error = worker(&values)
        .err()
        .or(ingest(&values).err())
        .or(admin(&values).err())?;
    assert!(error.0.contains(&format!("`{name}`")), "{error}");
    Some(error.0)
}

/// What people paste around a value.
const AROUND: [(&str, &str); 8] = [
    ("", "\n"),
    ("", "\r\n"),
    (" ", " "),
    ("\t", "\n\n"),
    ("\u{feff}", ""),
    ("\u{feff}\u{feff} ", "\r\n"),
    ("\u{a0}", "\u{200b}"),
    ("\n", "\0"),
];

#[test]
fn what_surrounds_a_value_is_not_of_it() {
    for (before, after) in AROUND {
        let around = |value: &str| format!("{before}{value}{after}");
        let [url, path, token, secret] = ["https://h.example:8443", "api/v1", "tok en-123", "s"].map(around);
        let [number, choice, header, name] = ["7", "failures", "X-Trace", "second-1"].map(around);
        let shape = around(r#"{"categories": {}}"#);
        let read = worker(&[
            ("pim_url", &url),
            ("pim_client_id", &token),
            ("pim_client_secret", &secret),
            ("pim_username", &token),
            ("pim_password", &secret),
            ("destination_url", &url),
            ("destination_path", &path),
            ("destination_token", &token),
            ("alert_url", &url),
            ("alert_path", &path),
            ("tick_seconds", &number),
            ("log", &choice),
            ("tracking_header", &header),
            ("instance", &name),
        ])
        .expect("good");
        let destination = read.destination.expect("set");
        let alert = read.alert.expect("set");
        for origin in [&read.pim.origin, &destination.origin, &alert.origin] {
            assert_eq!(origin, "https://h.example:8443");
        }
        assert_eq!((&*destination.path, &*alert.target), ("/api/v1", "/api/v1"));
        assert_eq!(destination.token.as_deref(), Some("tok en-123"));
        assert_eq!(
            read.pim.credentials,
            Credentials::Connection {
                client_id: "tok en-123".to_owned(),
                client_secret: "s".to_owned(),
                username: "tok en-123".to_owned(),
                password: "s".to_owned(),
            }
        );
        assert_eq!((read.tick_s, read.log), (7, LogLevel::Failures));
        assert_eq!(read.tracking_header, "x-trace");
        assert_eq!(read.keys.instance(), "second-1");

        let read = worker(&[("pim_app_token", &token)]).expect("good");
        assert_eq!(read.pim.credentials, Credentials::App("tok en-123".to_owned()));

        let read = ingest(&[
            ("event_platform_secret", &secret),
            ("event_platform_secret_previous", &token),
            ("events_api_secret", &secret),
            ("notification_secret", &secret),
            ("shape", &shape),
            ("own_authors", &around("a, b,,\n c\r\n")),
        ])
        .expect("good");
        assert_eq!(read.event_platform_secrets, ["s", "tok en-123"]);
        assert_eq!(read.events_api_secrets, ["s"]);
        assert_eq!(read.notification_secrets, ["s"]);
        assert_eq!(read.own_authors, ["a", "b", "c"]);
        assert!(read.wants_categories);

        let read = admin(&[("admin_token", &token), ("tick_key", &secret)]).expect("good");
        assert_eq!(read.tokens, [(Access::All("admin_token"), "tok en-123".to_owned())]);
        assert_eq!(read.tick_key.as_deref(), Some("s"));
    }
}

#[test]
fn what_is_empty_is_unset() {
    for empty in ["", " ", "\n", "\u{feff}", "\r\n\t"] {
        let names = [
            "instance",
            "pim_app_token",
            "destination_url",
            "destination_path",
            "destination_token",
            "destination_calls_per_second",
            "alert_url",
            "alert_path",
            "shape",
            "event_platform_secret",
            "event_platform_secret_previous",
            "notification_secret",
            "own_authors",
            "timestamp_tolerance_seconds",
            "high_water_mark",
            "admin_token",
            "admin_token_previous",
            "tick_key",
            "tick_seconds",
            "watch_seconds",
            "call_timeout_seconds",
            "recent_seconds",
            "recent_overlap_seconds",
            "walk_hours",
            "tracking_header",
            "log",
        ];
        let values = names.map(|name| (name, empty));
        let read = worker(&values).expect("all of it may be unset");
        assert!(read.destination.is_none() && read.alert.is_none());
        assert_eq!((read.tick_s, read.watch_s), (20, 50));
        assert_eq!((read.call_timeout_s, read.high_water), (15, 400_000));
        assert_eq!((read.keys.instance(), &*read.tracking_header), ("main", "trackingid"));
        assert_eq!(read.reconciliation.walk_s, Some(86_400));
        assert!(ingest(&values).expect("likewise").event_platform_secrets.is_empty());
        assert!(admin(&values).expect("likewise").tokens.is_empty());
        for name in ["pim_url", "pim_client_id", "pim_password"] {
            assert!(mistake(name, empty).expect("needed").contains("not set"));
        }
    }
}

#[test]
fn an_origin_is_read_in_every_spelling() {
    for (spelled, expected) in [
        ("HTTP://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("HttpS://Shop.Example.com/", "https://Shop.Example.com"),
        ("https://shop.example.com///", "https://shop.example.com"),
        ("http://127.0.0.1:8080//", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://[::1]/", "http://[::1]:80"),
        ("https://[2001:db8::7]", "https://[2001:db8::7]:443"),
    ] {
        let read = worker(&[
            ("pim_url", spelled),
            ("destination_url", spelled),
            ("alert_url", spelled),
        ]);
        let read = read.expect(spelled);
        assert_eq!(read.pim.origin, expected);
        assert_eq!(read.destination.expect("set").origin, expected);
        assert_eq!(read.alert.expect("set").origin, expected);
    }
    for unset in [
        "https://unset.invalid",
        "https://unset.invalid/",
        "HTTPS://UNSET.invalid",
        "/",
    ] {
        assert!(worker(&[("alert_url", unset)]).expect(unset).alert.is_none());
    }
    for strange in [
        "shop.example.com",
        "ftp://shop.example.com",
        "https://shop.example.com/api",
        "https://shop.example.com?a=b",
        "https://shop.example.com#a",
        "https://user:password@shop.example.com",
        "https://shop.example.com:99999",
        "https://shop.example.com:",
        "https://shop .example.com",
        "https://",
        "https://:443",
        "http://::1:8080",
    ] {
        for name in ["pim_url", "destination_url", "alert_url"] {
            let told = mistake(name, strange).expect(strange);
            assert!(!told.contains("password"), "an address may hold a secret");
        }
    }
}

#[test]
fn what_no_header_carries_is_named_and_not_shown() {
    for strange in [
        "abc\ndef",
        "abc\r\nx: y",
        "abc\0def",
        "abc\u{200b}def",
        "пароль",
        "“token”",
        "abc\x7fdef",
    ] {
        for name in [
            "destination_token",
            "pim_app_token",
            "admin_token",
            "admin_token_previous",
        ] {
            let told = mistake(name, strange).expect(strange);
            assert!(!told.contains(strange), "{told}");
        }
        // None of these stands in a header as it is: any character will do.
        for name in [
            "pim_password",
            "pim_username",
            "pim_client_secret",
            "event_platform_secret",
            "tick_key",
        ] {
            assert_eq!(mistake(name, strange), None);
        }
    }
    assert!(
        mistake("pim_client_id", "1_abc:secret").is_some(),
        "a user's name ends at a colon"
    );
    for strange in ["tracking id", "X-Tráce", "a:b", "a\nb"] {
        assert!(mistake("tracking_header", strange).is_some(), "{strange}");
    }
    for strange in ["Main", "a b", "überall", &"a".repeat(33)] {
        assert!(mistake("instance", strange).is_some(), "{strange}");
    }
}

#[test]
fn values_that_cannot_work_are_named() {
    for (name, good, bad) in [
        ("high_water_mark", ["10000", "1000000"], ["9999", "1000001"]),
        ("tick_seconds", ["3", "25"], ["2", "26"]),
        ("watch_seconds", ["0", "300"], ["301", "1 m"]),
        ("call_timeout_seconds", ["1", "25"], ["0", "26"]),
        ("destination_calls_per_second", ["1", "1000"], ["0", "1001"]),
        ("recent_seconds", ["0", "86400"], ["-1", "86401"]),
        ("recent_overlap_seconds", ["60", "86400"], ["59", "1e3"]),
        ("walk_hours", ["0", "8760"], ["8761", "24h"]),
        ("timestamp_tolerance_seconds", ["1", "86400"], ["0", "300 s"]),
        ("log", ["all", "failures"], ["none", "All"]),
        ("shape", ["", r#"{"products": {}}"#], ["{", r#"{"prodcts": {}}"#]),
    ] {
        for good in good {
            assert_eq!(mistake(name, good), None, "{good}");
        }
        for bad in bad {
            assert!(mistake(name, bad).is_some(), "{name}: {bad}");
        }
    }
}

#[test]
fn what_cannot_be_read_is_not_unset() {
    let of_the_worker = [
        "instance",
        "pim_url",
        "pim_app_token",
        "pim_client_id",
        "pim_password",
        "destination_url",
        "destination_path",
        "destination_token",
        "shape",
        "alert_url",
        "alert_path",
        "tick_seconds",
        "watch_seconds",
        "high_water_mark",
        "tracking_header",
        "log",
    ];
    for name in of_the_worker {
        let error = read(&[], name, WorkerConfig::read).err().expect(name);
        assert!(
            error.0.contains(&format!("`{name}`")) && error.0.contains("provider"),
            "{error}"
        );
    }
    for name in [
        "instance",
        "event_platform_secret_previous",
        "events_api_secret",
        "own_authors",
        "shape",
    ] {
        assert!(read(&[], name, Ingest::read).is_err(), "{name}");
    }
    for name in ["admin_token", "admin_token_previous", "tick_key"] {
        assert!(read(&[], name, AdminConfig::read).is_err(), "{name}");
    }
    assert!(read(&[], "high_water_mark", ConsoleConfig::read).is_err());
}

#[test]
fn people_are_told_by_whatever_can_be_read() {
    let told = |values: &[(&str, &str)], failing: &str| read(values, failing, Telling::read);
    let receiver = [("alert_url", "https://chat.example.com"), ("pim_url", "nonsense")];
    for failing in ["", "pim_url", "shape", "log", "tracking_header"] {
        let alert = told(&receiver, failing).expect("the name can be read").alert;
        assert_eq!(alert.expect("so can the receiver").origin, "https://chat.example.com");
    }
    for failing in ["alert_url", "alert_path"] {
        assert!(told(&receiver, failing).expect("the name can be read").alert.is_none());
    }
    assert!(told(&receiver, "instance").is_err());
    assert!(told(&[("instance", "No Name")], "").is_err());
}

#[test]
fn the_target_of_alerts_is_as_the_receiver_gave_it() {
    for (given, target) in [
        ("", ""),
        ("/", ""),
        ("hook", "/hook"),
        ("/hook/", "/hook/"),
        ("/hook/?key=a", "/hook/?key=a"),
        ("/?key=a", "/?key=a"),
        ("?key=a", "/?key=a"),
    ] {
        let read = worker(&[("alert_url", "https://h.example"), ("alert_path", given)]).expect("good");
        assert_eq!(read.alert.expect("set").target, target, "{given}");
    }
}

#[test]
fn a_call_that_the_platform_denies_names_the_variable_that_spin_misreads() {
    let denial = |values: &[(&str, &str)]| read(values, "", |variables| Ok(variables.denial())).expect("a text");
    let failing = read(&[], "destination_url", |variables| Ok(variables.denial())).expect("a text");
    assert!(failing.contains("`destination_url` cannot be read"));
    let alert = |value: &'static str| [("alert_url", value)];
    assert!(denial(&alert("")).contains("`alert_url` is empty"));
    assert!(denial(&alert(" \n")).contains("`alert_url` is empty"));
    assert!(denial(&[("alert_url", "https://unset.invalid"), ("destination_url", "")]).contains("`destination_url`"));
    assert!(denial(&[("login_url", "")]).contains("`login_url` is empty"));
    for (misread, meant) in [
        ("HTTP://chat.example.com", "http://chat.example.com"),
        ("http://chat.example.com:81//", "http://chat.example.com:81"),
        ("\u{feff}https://chat.example.com", "https://chat.example.com"),
        ("http://[::1]", "http://[::1]:80"),
    ] {
        let told = denial(&alert(misread));
        assert!(told.contains("`alert_url`") && told.ends_with(meant), "{told}");
    }
    for read in [
        "https://Chat.example.com/",
        " http://127.0.0.1:81\n",
        "http://[::1]:81/",
    ] {
        let told = denial(&alert(read));
        assert!(told.contains("allowed_outbound_hosts"), "{told}");
    }
}

#[test]
fn a_tick_by_http_ends_with_its_work_unless_its_caller_says_otherwise() {
    use crate::answer::watch_s;
    for (query, seconds) in [
        ("", 0),
        ("key=k", 0),
        ("watch_seconds=0", 0),
        ("key=k&watch_seconds=25", 25),
    ] {
        assert_eq!(watch_s(query).ok(), Some(seconds), "{query}");
    }
    for query in [
        "watch_seconds=",
        "watch_seconds=301",
        "watch_seconds=-1",
        "watch_seconds=1e1",
    ] {
        assert!(watch_s(query).is_err_and(|answer| answer.status == 400), "{query}");
    }
}

/// Whoever must tell no secret asks for those that the manifest calls so.
#[test]
fn the_secrets_are_those_of_the_manifest() {
    let manifest = include_str!("../../../../spin.toml");
    let is_secret = |line: &&str| line.contains("secret = true");
    let named = manifest
        .lines()
        .filter(is_secret)
        .filter_map(|line| line.split(' ').next());
    let mut named: Vec<&str> = named.collect();
    let mut known = variables::SECRETS.to_vec();
    named.sort_unstable();
    known.sort_unstable();
    assert_eq!(known, named);
    let secrets = read(
        &[("destination_token", "shop:of-the-shop"), ("tick_key", " tick ")],
        "admin_token",
        |variables| Ok(variables.secrets()),
    );
    let expected = [
        "secret-of-the-client",
        "password-of-the-user",
        "shop:of-the-shop",
        "of-the-shop",
        "tick",
    ];
    assert_eq!(secrets, Ok(expected.map(str::to_owned).to_vec()));
}
