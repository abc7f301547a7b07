//! What somebody asks for.

use crate::filter;
use serde_json::{Value, json};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// What is there is shown, and what connecting would do.
    Show,
    /// What is wanted is done at Akeneo.
    Connect,
    /// A suspended subscription is resumed.
    Resume,
    /// Nothing is to be left at Akeneo.
    Remove,
    /// What Akeneo has logged of this relay's subscription is told.
    Logs,
    /// A new secret is made, to be set as a variable. It is kept nowhere.
    Secret,
}

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What is to be done.
    pub what: What,
    /// Where Akeneo is to write to people.
    pub email: Option<String>,
    /// The filter that the subscription gets, empty for none; unset leaves it as it is.
    pub filter: Option<String>,
    /// Whether secrets are changed although deliveries may be refused meanwhile.
    pub force: bool,
    /// What whoever asks has seen would be done: nothing is done where it is something else by now.
    pub seen: Option<Vec<String>>,
}

impl Asked {
    /// Reads what is asked for: `do`, and for connecting `email`, `filter`, `force` and `seen`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(body: &[u8]) -> Result<Asked, String> {
        let document: Value = match body.is_empty() {
            true => json!({}),
            false => serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?,
        };
        let members = document.as_object().ok_or("the body must be an object")?;
        if let Some(unknown) = members
            .keys()
            .find(|name| !["do", "email", "filter", "force", "seen"].contains(&name.as_str()))
        {
            return Err(format!(
                "`{unknown}` is not understood: `do`, `email`, `filter`, `force` and `seen` are"
            ));
        }
        let what = match members.get("do").map(|what| what.as_str().unwrap_or_default()) {
            None | Some("show") => What::Show,
            Some("connect") => What::Connect,
            Some("resume") => What::Resume,
            Some("remove") => What::Remove,
            Some("logs") => What::Logs,
            Some("secret") => What::Secret,
            Some(_) => {
                return Err("`do` must be `show`, `connect`, `resume`, `remove`, `logs` or `secret`".to_owned());
            }
        };
        let text = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim().to_owned())),
            Some(_) => Err(format!("`{name}` must be a text")),
        };
        let (email, filter) = (text("email")?, text("filter")?);
        if let Some(wrong) = filter.as_deref().and_then(filter::flaw) {
            return Err(wrong);
        }
        let force = match members.get("force") {
            None => false,
            Some(force) => force.as_bool().ok_or("`force` must be true or false")?,
        };
        let seen = match members.get("seen") {
            None => None,
            Some(seen) => serde_json::from_value(seen.clone())
                .map_err(|_| "`seen` must be a list of texts, as `would` was shown")?,
        };
        Ok(Asked {
            what,
            email,
            filter,
            force,
            seen,
        })
    }

    /// What it is called in the journal; none where nothing is changed.
    pub fn changes(&self) -> Option<&'static str> {
        match self.what {
            What::Show | What::Logs | What::Secret => None,
            What::Connect => Some("connect to the Event Platform"),
            What::Resume => Some("resume the subscription"),
            What::Remove => Some("remove the subscription"),
        }
    }
}
