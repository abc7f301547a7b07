//! Which request asks for what, and by which token.

use super::*;

fn asked_with(token: &str, method: Method, target: &str) -> Result<Route, u16> {
    let config = AdminConfig {
        tokens: vec![
            (Access::All("admin_token"), "open".to_owned()),
            (Access::Reading, "read".to_owned()),
        ],
        tick_key: None,
    };
    let mut headers = HeaderMap::new();
    headers.insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let admitted = admit(&config, &method, path, query, &headers);
    admitted.map(|(route, _)| route).map_err(|answer| answer.status)
}

fn asked(method: Method, target: &str) -> Result<Route, u16> {
    asked_with("open", method, target)
}

#[test]
fn every_route_has_its_method() {
    assert_eq!(asked(Method::GET, "/admin/status"), Ok(Route::Status));
    assert_eq!(
        asked(Method::GET, "/admin/dead-letters/"),
        Ok(Route::List(Query::default()))
    );
    assert_eq!(asked(Method::POST, "/admin/dead-letters/replay"), Ok(Route::Replay));
    assert_eq!(asked(Method::DELETE, "/admin/dead-letters"), Ok(Route::Discard));
    assert_eq!(asked(Method::GET, "/admin/metrics"), Ok(Route::Metrics));
    assert_eq!(asked(Method::GET, "/admin/history"), Ok(Route::History));
    assert_eq!(asked(Method::GET, "/admin/history/month"), Ok(Route::Month));
    assert!(matches!(
        asked(Method::GET, "/admin/dead-letters?format=jsonl"),
        Ok(Route::Export(_))
    ));
    assert_eq!(
        asked(Method::GET, "/admin/entities/products/a%2Fb"),
        Ok(Route::Entity(Kind::Product, "a/b".to_owned()))
    );
    assert_eq!(asked(Method::POST, "/admin/adopt"), Ok(Route::Adopt));
    assert_eq!(asked(Method::POST, "/admin/brake/release"), Ok(Route::ReleaseBrake));
    assert_eq!(asked(Method::POST, "/admin/waits/end"), Ok(Route::EndWaits));
    assert_eq!(asked(Method::POST, "/admin/reconcile"), Ok(Route::Reconcile));
    assert_eq!(
        asked(Method::DELETE, "/admin/dead-letters/product-models/a%2Fb%20c"),
        Ok(Route::DiscardOne(Kind::ProductModel, "a/b c".to_owned()))
    );
    for (method, path) in [
        (Method::PUT, "/admin/dead-letters"),
        (Method::GET, "/admin/dead-letters/replay"),
        (Method::GET, "/admin/dead-letters/products/x"),
        (Method::POST, "/admin/status"),
        (Method::POST, "/admin/metrics"),
        (Method::DELETE, "/admin/entities/products/x"),
        (Method::GET, "/admin/adopt"),
        (Method::GET, "/admin/brake/release"),
    ] {
        assert_eq!(asked(method, path), Err(405), "{path}");
    }
    for path in [
        "/admin",
        "/admin/other",
        "/admin/dead-letters/families/x",
        "/admin/dead-letters/products",
        "/admin/entities/families/x",
    ] {
        assert_eq!(asked(Method::GET, path), Err(404), "{path}");
    }
    assert_eq!(asked(Method::GET, "/admin/dead-letters?limit=many"), Err(400));
}

/// Every route, with every method: whoever has `read_token` is let in at five of them, and learns nothing of others.
#[test]
fn who_may_read_alone_changes_nothing() {
    let readable = [
        "/admin/status",
        "/admin/metrics",
        "/admin/history",
        "/admin/history/month",
        "/admin/entities/products/x",
    ];
    let others = [
        "/admin/dead-letters",
        "/admin/dead-letters?format=jsonl",
        "/admin/dead-letters/replay",
        "/admin/dead-letters/products/x",
        "/admin/adopt",
        "/admin/brake/release",
        "/admin/waits/end",
        "/admin/reconcile",
        "/admin/pause",
        "/admin/resume",
        "/admin/entities/products/x/push",
        "/admin/journal",
        "/admin/other",
    ];
    for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::HEAD] {
        for path in readable {
            let admitted = asked_with("read", method.clone(), path);
            assert_eq!(admitted.is_ok(), method == Method::GET, "{method} {path}");
        }
        for path in others {
            assert_eq!(asked_with("read", method.clone(), path), Err(403), "{method} {path}");
        }
    }
    assert_eq!(asked_with("wrong", Method::GET, "/admin/status"), Err(401));
    assert_eq!(
        asked(Method::POST, "/admin/entities/product-models/a%2Fb/push"),
        Ok(Route::Push(Kind::ProductModel, "a/b".to_owned()))
    );
}

#[test]
fn reconciliation_is_asked_for_in_a_few_ways() {
    let command = |scan, since_s, force| Ok(Command::Reconcile { scan, since_s, force });
    for (body, expected) in [
        ("", command(ScanKind::Recent, None, false)),
        (r#"{"scan":"recent"}"#, command(ScanKind::Recent, None, false)),
        (r#"{"scan":"full"}"#, command(ScanKind::Full, None, false)),
        (r#"{"scan":"full","force":true}"#, command(ScanKind::Full, None, true)),
        (
            r#"{"since":"2026-02-02T02:40:00Z"}"#,
            command(ScanKind::Recent, Some(1_770_000_000), false),
        ),
    ] {
        assert_eq!(reconciliation(body.as_bytes()), expected, "{body}");
    }
    for body in [
        "{",
        r#"{"scan":"some"}"#,
        r#"{"since":"yesterday"}"#,
        r#"{"force":true}"#,
        r#"{"scan":"full","since":"2026-02-02T02:40:00Z"}"#,
        r#"{"scan":"full","forced":true}"#,
    ] {
        assert!(reconciliation(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn whoever_adopts_says_what() {
    let pair = r#"{"v":1,"pim":"https://pim.example","destination":"https://shop.example","shape":"identity"}"#;
    let good = format!(r#"{{"empty_index":false,"configured":{pair}}}"#);
    let command = adoption(good.as_bytes()).expect("a command");
    assert!(matches!(command, Command::Adopt { configured: Some(pair), .. } if pair.pim == "https://pim.example"));
    for bad in [
        "",
        "{}",
        r#"{"empty_index":true}"#,
        &format!(r#"{{"configured":{pair}}}"#),
        &good.replace("shape", "form"),
    ] {
        assert!(adoption(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn nobody_is_told_anything_without_the_token() {
    for tokens in [vec![], vec![(Access::All("admin_token"), "open".to_owned())]] {
        let config = AdminConfig { tokens, tick_key: None };
        for path in ["/admin/status", "/admin/other", "/admin/dead-letters"] {
            let answer = admit(&config, &Method::GET, path, "", &HeaderMap::new()).expect_err("a refusal");
            assert_eq!(answer.status, 401, "{path}");
        }
    }
}
