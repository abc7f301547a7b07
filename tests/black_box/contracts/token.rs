//! Where a token is had: what the systems ask of whoever wants one, and what they answer.

use super::{Answer, decoded};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How a token is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    /// By a form, as RFC 6749 has it.
    Form,
    /// By JSON, in a login of the system's own.
    Json,
}

impl Asks {
    /// The type of what is sent.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Asks::Form => "application/x-www-form-urlencoded",
            Asks::Json => "application/json",
        }
    }

    /// The member of the answer that is the token.
    pub(super) fn token(self) -> &'static str {
        match self {
            Asks::Form => "access_token",
            Asks::Json => "token",
        }
    }

    /// Reads what is sent.
    pub(super) fn read(self, body: &[u8]) -> Option<Form> {
        match self {
            Asks::Form => Form::read(body),
            Asks::Json => serde_json::from_slice(body).ok().map(Form),
        }
    }

    /// What is sent to ask with these members.
    pub(super) fn written(self, members: &[(String, String)]) -> String {
        match self {
            Asks::Form => {
                let pairs = members.iter().map(|(name, value)| format!("{name}={value}"));
                pairs.collect::<Vec<_>>().join("&")
            }
            Asks::Json => json!(members.iter().cloned().collect::<BTreeMap<_, _>>()).to_string(),
        }
    }
}

/// What asks for a token: the members of a form, or of an object.
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    /// Reads a form; none if it names a member twice, which RFC 6749 forbids in section 3.2.
    fn read(body: &[u8]) -> Option<Form> {
        let body = String::from_utf8_lossy(body).replace('+', " ");
        let mut members = BTreeMap::new();
        for (name, value) in body.split('&').filter_map(|pair| pair.split_once('=')) {
            if members.insert(decoded(name), decoded(value)).is_some() {
                return None;
            }
        }
        Some(Form(members))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// What is wrong with the grant or with the client, if anything is.
    fn wrong(&self) -> Option<Answer> {
        const SOURCE: &str = "RFC 6749, sections 4.4.2 and 5.2";
        if self.get("grant_type") != Some("client_credentials") {
            return Some(Answer(400, json!({ "error": "unsupported_grant_type" }), SOURCE));
        }
        let client = (self.get("client_id"), self.get("client_secret"));
        let is_known = client == (Some("id"), Some("key"));
        (!is_known).then(|| Answer(401, json!({ "error": "invalid_client" }), SOURCE))
    }

    /// The token, for a client that is known.
    fn granted(&self, token: Value, source: &'static str) -> Answer {
        self.wrong().unwrap_or(Answer(200, token, source))
    }
}

/// Of a system that has no login.
pub(super) fn none(_: &Form) -> Answer {
    Answer(404, Value::Null, "RFC 9110, section 15.5.5")
}

/// Of Microsoft's, for a resource: the scope names it, and all that the application may do there. Without a scope there
/// is no token.
pub(super) fn of_entra(form: &Form, resource: &str) -> Answer {
    const SOURCE: &str = "learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow";
    let fail = |error: &str, said: &str| {
        let error = json!({ "error": error, "error_description": said });
        Answer(400, error, SOURCE)
    };
    match form.get("scope") {
        None => fail(
            "invalid_request",
            "AADSTS900144: The request body must contain the following parameter: 'scope'.",
        ),
        Some(scope) if scope.strip_suffix("/.default") != Some(resource) => fail(
            "invalid_scope",
            "AADSTS70011: The provided value for 'scope' is not valid.",
        ),
        Some(_) => {
            let token = json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": "secret" });
            form.granted(token, SOURCE)
        }
    }
}

/// Of Salesforce, which does not tell when a token ends.
pub(super) fn of_salesforce(form: &Form) -> Answer {
    let token = json!({
        "access_token": "secret", "signature": "c2lnbmVk", "scope": "api", "instance_url": "https://my.salesforce.com",
        "id": "https://my.salesforce.com/id/00D/005", "token_type": "Bearer", "issued_at": "1767225600000",
    });
    let source = "help.salesforce.com, OAuth 2.0 Client Credentials Flow for Server-to-Server Integration";
    form.granted(token, source)
}

/// Of Shopware, whose tokens last ten minutes.
pub(super) fn of_shopware(form: &Form) -> Answer {
    let token = json!({ "token_type": "Bearer", "expires_in": 600, "access_token": "secret" });
    form.granted(
        token,
        "shopware/shopware: src/Core/Framework/Api/Controller/AuthController.php",
    )
}

/// Of Shopify, whose tokens last a day; what one may do is set in the application, and asked for by nobody here.
pub(super) fn of_shopify(form: &Form) -> Answer {
    let token = json!({ "access_token": "secret", "scope": "write_products", "expires_in": 86399 });
    let source = "shopify.dev/docs/apps/build/authentication-authorization/access-tokens/client-credentials-grant";
    form.granted(token, source)
}

/// Of OroCommerce, whose tokens last an hour; what one may do is set in the application, and asked for by nobody.
pub(super) fn of_orocommerce(form: &Form) -> Answer {
    let token = json!({ "token_type": "Bearer", "expires_in": 3600, "access_token": "secret" });
    form.granted(token, "doc.oroinc.com/api/authentication/oauth-client-credentials")
}

/// Of PrestaShop. The token has the rights that are asked for, so that one is given for none, and is good for nothing.
pub(super) fn of_prestashop(form: &Form) -> Answer {
    const SOURCE: &str = "PrestaShop/PrestaShop: src/PrestaShopBundle/Security/OAuth2/Repository/ScopeRepository.php, tests/Integration/ApiPlatform/EndPoint/ApiAccessTokenEndpointTest.php";
    let scopes: Vec<&str> = form.get("scope").unwrap_or_default().split_whitespace().collect();
    let rights = ["product_read", "product_write"];
    if let Some(unknown) = scopes.iter().find(|scope| !rights.contains(scope)) {
        let said = "The requested scope is invalid, unknown, or malformed";
        let hint = format!("Check the `{unknown}` scope");
        let error = json!({ "error": "invalid_scope", "error_description": said, "hint": hint, "message": said });
        return form.wrong().unwrap_or(Answer(400, error, SOURCE));
    }
    let has_all = rights.iter().all(|right| scopes.contains(right));
    let token = if has_all { "secret" } else { "of fewer rights" };
    form.granted(
        json!({ "token_type": "Bearer", "expires_in": 3600, "access_token": token }),
        SOURCE,
    )
}

/// Of Sylius, which lets an administrator in by an e-mail address and a password, and does not tell when a token ends.
pub(super) fn of_sylius(form: &Form) -> Answer {
    const SOURCE: &str = "Sylius/Sylius: tests/Api/Admin/AdminUsersTest.php, tests/Api/Responses/admin/admin_user/log_in_admin_response.json, config/packages/security.yaml";
    match (form.get("email"), form.get("password")) {
        (Some("id"), Some("key")) => {
            let token = json!({ "token": "secret", "adminUser": "/api/v2/admin/administrators/1" });
            Answer(200, token, SOURCE)
        }
        (Some(_), Some(_)) => {
            let error = json!({ "code": 401, "message": "Invalid credentials." });
            Answer(401, error, SOURCE)
        }
        _ => {
            let said = "The key \"email\" or \"password\" must be provided.";
            Answer(400, json!({ "status": 400, "detail": said }), SOURCE)
        }
    }
}
