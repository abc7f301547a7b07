//! The calls of Akeneo's management API (the contract's part on kinds, 3.1).

use http::{Method, Request};
use model::json;
use preflight::calls::ask_for_all;
use serde_json::Value;
use upstream::governor::Governor;
use world::host::Host;

/// Why a call came to nothing: what to tell people, and what they can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What was to be done, and what came of it.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// A call that came to nothing, and the status with which it was refused, if it was answered at all.
struct Refused {
    status: Option<u16>,
    trouble: Trouble,
}

/// The management API, for one PIM and one connection.
pub struct Management<'a, H> {
    governor: &'a Governor<'a, H>,
    origin: &'a str,
    pim: &'a str,
    client_id: &'a str,
    token: String,
}

impl<'a, H: Host> Management<'a, H> {
    /// The API at an origin, for a PIM and the connection that the token was given to.
    pub fn new(
        governor: &'a Governor<'a, H>,
        origin: &'a str,
        pim: &'a str,
        (client_id, token): (&'a str, String),
    ) -> Self {
        governor.keep_secret(&token);
        Management {
            governor,
            origin,
            pim,
            client_id,
            token,
        }
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Trouble> {
        let result = self.ask(method, path, body).await;
        result.map_err(|refused| refused.trouble)
    }

    /// Reads one thing by its id; none where there is none.
    async fn read(&self, path: &str) -> Result<Option<Value>, Trouble> {
        match self.ask(Method::GET, path, None).await {
            Ok(said) => Ok(Some(said)),
            // What belongs to another connection, or to another PIM, is none of this one's.
            Err(refused) if matches!(refused.status, Some(401 | 403 | 404)) => Ok(None),
            Err(refused) => Err(refused.trouble),
        }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Refused> {
        let request = Request::builder()
            .method(method.clone())
            .uri(format!("{}/api/v1{path}", self.origin))
            .header("x-pim-url", self.pim)
            .header("x-pim-token", &self.token)
            .header("x-pim-client-id", self.client_id)
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .body(body.map(|body| body.to_string().into_bytes()).unwrap_or_default());
        let answer = ask_for_all(self.governor, request).await.map_err(|reason| Refused {
            status: None,
            trouble: Trouble {
                what: format!("the management API does not answer {method} {path}: {reason}"),
                remedy: "see event_platform_url, and ask again".to_owned(),
            },
        })?;
        let status = answer.status().as_u16();
        let said = json::read(answer.body()).map(|read| read.value);
        if let (200..=299, Some(said)) = (status, &said) {
            return Ok(said.clone());
        }
        let said = said.unwrap_or_default();
        let why = said.pointer("/errors/0/message").and_then(Value::as_str);
        // Akeneo may quote what was sent.
        let why = self.governor.excerpt(why.unwrap_or("no more is said").as_bytes(), 200);
        Err(Refused {
            status: Some(status),
            trouble: Trouble {
                what: format!("the management API answers {status} to {method} {path}: {why}"),
                remedy: remedy(status).to_owned(),
            },
        })
    }

    /// All subscribers of this connection.
    ///
    /// # Errors
    /// What came of the call instead.
    pub async fn subscribers(&self) -> Result<Vec<Value>, Trouble> {
        list(self.call(Method::GET, "/subscribers", None).await?)
    }

    /// All subscriptions of a subscriber.
    ///
    /// # Errors
    /// What came of the call instead.
    pub async fn subscriptions(&self, subscriber: &str) -> Result<Vec<Value>, Trouble> {
        let path = format!("/subscribers/{subscriber}/subscriptions");
        list(self.call(Method::GET, &path, None).await?)
    }

    /// A subscriber, be it in no list any more; none where there is none.
    ///
    /// # Errors
    /// What came of the call instead.
    pub async fn subscriber(&self, id: &str) -> Result<Option<Value>, Trouble> {
        self.read(&format!("/subscribers/{id}")).await
    }

    /// A subscription, be it in no list any more; none where there is none.
    ///
    /// # Errors
    /// What came of the call instead.
    pub async fn subscription(&self, subscriber: &str, id: &str) -> Result<Option<Value>, Trouble> {
        self.read(&format!("/subscribers/{subscriber}/subscriptions/{id}"))
            .await
    }

    /// What is logged. The path, and what may be asked, is described in no public place.
    ///
    /// # Errors
    /// What came of the call instead.
    pub async fn logs(&self) -> Result<Value, Trouble> {
        let logs = self.call(Method::GET, "/logs", None).await;
        logs.map_err(|trouble| Trouble {
            remedy: format!(
                "{}; or ask Akeneo's support for the logs: how they are read is not public",
                trouble.remedy
            ),
            ..trouble
        })
    }

    /// Makes a subscriber.
    ///
    /// # Errors
    /// What came of the call instead.
    pub async fn make_subscriber(&self, body: &Value) -> Result<Value, Trouble> {
        self.call(Method::POST, "/subscribers", Some(body)).await
    }

    /// Changes a subscriber.
    ///
    /// # Errors
    /// What came of the call instead.
    pub async fn change_subscriber(&self, id: &str, body: &Value) -> Result<Value, Trouble> {
        self.call(Method::PATCH, &format!("/subscribers/{id}"), Some(body))
            .await
    }

    /// Makes a subscription.
    ///
    /// # Errors
    /// What came of the call instead.
    pub async fn make_subscription(&self, subscriber: &str, body: &Value) -> Result<Value, Trouble> {
        let path = format!("/subscribers/{subscriber}/subscriptions");
        self.call(Method::POST, &path, Some(body)).await
    }

    /// Changes a subscription.
    ///
    /// # Errors
    /// What came of the call instead.
    pub async fn change_subscription(&self, subscriber: &str, id: &str, body: &Value) -> Result<Value, Trouble> {
        let path = format!("/subscribers/{subscriber}/subscriptions/{id}");
        self.call(Method::PATCH, &path, Some(body)).await
    }

    /// Resumes a suspended subscription.
    ///
    /// # Errors
    /// What came of the call instead.
    pub async fn resume(&self, subscriber: &str, id: &str) -> Result<Value, Trouble> {
        let path = format!("/subscribers/{subscriber}/subscriptions/{id}/resume");
        self.call(Method::POST, &path, None).await
    }

    /// Deletes a subscription, for good.
    ///
    /// # Errors
    /// What came of the call instead.
    pub async fn delete_subscription(&self, subscriber: &str, id: &str) -> Result<Value, Trouble> {
        let path = format!("/subscribers/{subscriber}/subscriptions/{id}");
        self.call(Method::DELETE, &path, None).await
    }

    /// Deletes a subscriber, for good.
    ///
    /// # Errors
    /// What came of the call instead.
    pub async fn delete_subscriber(&self, id: &str) -> Result<Value, Trouble> {
        self.call(Method::DELETE, &format!("/subscribers/{id}"), None).await
    }
}

/// The members of a list, which is bare.
///
/// # Errors
/// It is no list: then nothing is known of what is there.
fn list(said: Value) -> Result<Vec<Value>, Trouble> {
    match said {
        Value::Array(list) => Ok(list),
        _ => Err(Trouble {
            what: "the management API answers with no list where one was asked for".to_owned(),
            remedy: "see event_platform_url".to_owned(),
        }),
    }
}

fn remedy(status: u16) -> &'static str {
    match status {
        401 => {
            "see pim_url (as Akeneo knows it, over HTTPS), pim_client_id and the connection: a wrong one of each looks alike"
        }
        403 => "tick the Event Platform's permission in the connection's settings: no API can do that",
        409 => {
            "there are as many as Akeneo allows, or what is to be changed is deleted: delete what nobody uses, and ask again"
        }
        429 | 500..=599 => "ask again later",
        _ => "see the message, and Akeneo's description of the Event Platform",
    }
}
