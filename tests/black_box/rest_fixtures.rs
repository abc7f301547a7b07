//! The PIM client reads Akeneo's own REST payloads, and answers of its own in the same shapes.

use akeneo::paging::List;
use akeneo::pim::{Page, Pim, Read, limits};
use config::{Credentials, PimConfig};
use http::{Request, Response};
use model::entity::Kind;
use model::failure::{Class, Failure};
use queue::keyspace::Keyspace;
use queue::lease::Lease;
use serde_json::{Value, json};
use std::cell::RefCell;
use tests::fixtures;
use tests::hearing::Hearing;
use upstream::governor::{Deadlines, Governor};
use upstream::governor_state::GovernorState;
use world::log::LogLevel;

/// A PIM that gives one answer to everything but the token request.
struct OneAnswer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    asked: RefCell<Vec<String>>,
}

impl OneAnswer {
    fn of(status: u16, body: impl Into<Vec<u8>>) -> OneAnswer {
        OneAnswer {
            status,
            headers: Vec::new(),
            body: body.into(),
            asked: RefCell::default(),
        }
    }

    fn answer(&self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        if request.uri().path() == "/api/oauth/v1/token" {
            let token = fixtures::folder("rest").map(|folder| std::fs::read(folder.join("token.json")).unwrap());
            let own = json!({"access_token": "t", "expires_in": 3600, "token_type": "bearer", "scope": null, "refresh_token": "r"});
            return Response::new(token.unwrap_or_else(|| own.to_string().into_bytes()));
        }
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        response.body(self.body.clone()).unwrap()
    }

    async fn ask<T>(&self, question: impl AsyncFnOnce(&mut Pim<'_, Hearing<'_>>) -> T) -> T {
        let hearing = Hearing::new(|request| self.answer(request));
        let config = PimConfig {
            origin: "https://pim.example.test".to_owned(),
            credentials: Credentials::Connection {
                client_id: "1_id".to_owned(),
                client_secret: "secret".to_owned(),
                username: "relay".to_owned(),
                password: "password".to_owned(),
            },
        };
        let lease = Lease::alone();
        let deadlines = Deadlines {
            lease: &lease,
            begin_ms: 20_000,
            end_ms: 58_000,
        };
        let governor = Governor::new(
            &hearing,
            limits(15_000),
            LogLevel::All,
            "trackingid",
            deadlines,
            GovernorState::default(),
            String::new(),
        );
        let came = question(&mut Pim::new(
            &hearing,
            &governor,
            &Keyspace::new("main"),
            &config,
            true,
        ))
        .await;
        let heard = hearing
            .heard
            .take()
            .into_iter()
            .map(|request| request.uri().to_string());
        self.asked.borrow_mut().extend(heard);
        came
    }

    async fn list(&self, kind: Kind) -> Result<Vec<Value>, Failure> {
        let ids = self.ids(kind);
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        self.ask(async |pim| pim.list(kind, &ids, 0).await).await
    }

    /// The ids in its answer: an answer counts only if it is what was asked for.
    fn ids(&self, kind: Kind) -> Vec<String> {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let items = body.pointer("/_embedded/items").and_then(Value::as_array);
        let ids: Vec<String> = match items {
            Some(items) => items.iter().filter_map(|item| kind.id_in(item)).collect(),
            None => kind.id_in(&body).into_iter().collect(),
        };
        if ids.is_empty() {
            vec!["one".to_owned(), "other".to_owned()]
        } else {
            ids
        }
    }

    async fn by_id(&self, kind: Kind) -> Result<Read, Failure> {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let told = body.get("message").and_then(Value::as_str).unwrap_or_default();
        let quoted = told.split(['"', '\'']).nth(1).map(str::to_owned);
        let id = quoted.unwrap_or_else(|| self.ids(kind).remove(0));
        self.ask(async |pim| pim.by_id(kind, &id, "name", 0).await).await
    }

    async fn page(&self, cursor: Option<&str>) -> Result<Page, Failure> {
        self.ask(async |pim| pim.page_of(Kind::ProductModel, List::Below(&["model"]), cursor).await)
            .await
    }
}

/// A fixture, or else a payload of our own in the same shape.
fn payload(name: &str, own: &Value) -> Vec<u8> {
    match fixtures::folder("rest") {
        Some(folder) => std::fs::read(folder.join(name)).unwrap(),
        None => own.to_string().into_bytes(),
    }
}

fn own_page(items: &[Value]) -> Value {
    json!({
        "_links": {
            "self": {"href": "http://elsewhere.test/api/rest/v1/product-models?pagination_type=search_after&limit=3"},
            "first": {"href": "http://elsewhere.test/api/rest/v1/product-models?pagination_type=search_after&limit=3"},
            "next": {"href": "http://elsewhere.test/api/rest/v1/product-models?pagination_type=search_after&search_after=qg%3D%3D&limit=3"},
        },
        "_embedded": {"items": items},
    })
}

#[tokio::test]
async fn pages_are_read() {
    let own = own_page(&[json!({"uuid": "a"}), json!({"uuid": "b"}), json!({"uuid": "c"})]);
    let products = OneAnswer::of(200, payload("products-uuid.page.json", &own))
        .list(Kind::Product)
        .await
        .unwrap();
    assert_eq!(products.len(), 3);
    assert!(products.iter().all(|product| product["uuid"].is_string()));

    let empty = OneAnswer::of(200, payload("products-uuid.search-after.envelope.json", &own_page(&[])))
        .list(Kind::Product)
        .await
        .unwrap();
    assert_eq!(empty, Vec::<Value>::new());

    let own = own_page(&[json!({"code": "a"}), json!({"code": "b"}), json!({"code": "c"})]);
    let world = OneAnswer::of(200, payload("product-models.search-after.page.json", &own));
    let page = world.page(None).await.unwrap();
    assert_eq!(page.items.len(), 3);
    let cursor = page.next.expect("the page names the next one");
    assert!(cursor.contains("search_after="), "{cursor}");
    world.page(Some(&cursor)).await.unwrap();
    let asked = world.asked.borrow();
    assert!(
        asked.iter().all(|url| url.starts_with("https://pim.example.test/")),
        "links keep our own origin: {asked:?}"
    );
    assert!(asked.last().unwrap().contains("search_after="), "{asked:?}");
}

#[tokio::test]
async fn entities_are_read_by_id() {
    for (name, kind, own) in [
        ("product-uuid.json", Kind::Product, json!({"uuid": "x", "values": {}})),
        (
            "product-model.json",
            Kind::ProductModel,
            json!({"code": "x", "values": {}}),
        ),
        ("category.json", Kind::Category, json!({"code": "x", "values": {}})),
    ] {
        let read = OneAnswer::of(200, payload(name, &own)).by_id(kind).await.unwrap();
        assert!(
            matches!(read, Read::Found(entity) if entity["values"].is_object()),
            "{name}"
        );
    }
    let own = json!({"code": 404, "message": "Product \"a\" does not exist."});
    assert_eq!(
        OneAnswer::of(404, payload("error.404.json", &own))
            .by_id(Kind::Product)
            .await,
        Ok(Read::Gone)
    );
    let proxy = OneAnswer::of(404, "<html>not found</html>")
        .by_id(Kind::Product)
        .await
        .unwrap_err();
    assert_eq!(
        proxy.class,
        Class::Unavailable,
        "a proxy's 404 says nothing of the entity"
    );
}

#[tokio::test]
async fn errors_are_told_apart() {
    let own = |status: u16| json!({"code": status, "message": "no"});
    for (status, name, class) in [
        (400, "error.400.json", Class::Permanent),
        (401, "error.401.json", Class::Misconfigured),
        (403, "error.403.json", Class::Misconfigured),
        (406, "error.406.json", Class::Misconfigured),
        (413, "error.413.json", Class::Permanent),
        (415, "error.415.json", Class::Misconfigured),
        (422, "error.422.limit.json", Class::Permanent),
        (422, "error.422.max-offset.json", Class::Permanent),
        (422, "error.422.unknown-property.json", Class::Permanent),
        (422, "error.422.validation.json", Class::Permanent),
        // No entity's fault: the rate is lowered, and it is asked again.
        (429, "error.429.json", Class::NotCalled),
    ] {
        let failure = OneAnswer::of(status, payload(name, &own(status)))
            .list(Kind::ProductModel)
            .await
            .unwrap_err();
        assert_eq!(
            (failure.class, failure.status),
            (class, Some(status)),
            "{name}: {failure:?}"
        );
    }
}

#[tokio::test]
async fn a_wait_is_taken_from_the_head_of_a_429() {
    let head = match fixtures::folder("rest") {
        Some(folder) => std::fs::read_to_string(folder.join("error.429.http")).unwrap(),
        None => "HTTP/1.1 429 Too Many Requests\nRetry-After: 10\n".to_owned(),
    };
    let headers = head.lines().filter_map(|line| line.split_once(':'));
    let headers: Vec<(String, String)> = headers
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let world = OneAnswer {
        headers,
        ..OneAnswer::of(429, "")
    };
    let failure = world.list(Kind::ProductModel).await.unwrap_err();
    assert!(failure.retry_after_s.is_some_and(|seconds| seconds > 0), "{failure:?}");
    let calls = world
        .asked
        .borrow()
        .iter()
        .filter(|url| url.contains("/product-models"))
        .count();
    assert_eq!(calls, 1, "no quick retry against a wait that was asked for");
}
