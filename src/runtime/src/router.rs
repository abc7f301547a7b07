//! Which component answers a path, by the library and the rules Spin uses.

use anyhow::{Result, anyhow};

use crate::manifest::{HttpTrigger, Route};

/// The routes of an application. Exact segments win over named ones, and these over a trailing wildcard.
#[derive(Debug)]
pub struct Router {
    routes: routefinder::Router<Target>,
}

#[derive(Debug)]
struct Target {
    component: String,
    /// As the manifest has it.
    raw: String,
    /// With a leading slash and no trailing one.
    based: String,
}

/// A path matched to a component.
#[derive(Debug)]
pub struct RouteMatch<'a> {
    target: &'a Target,
    /// What the trailing wildcard stands for; empty without one.
    path_info: String,
    named: Vec<(String, String)>,
}

impl Router {
    /// Builds the router. Of two equal routes the later one counts.
    ///
    /// # Errors
    /// When a route cannot be read.
    pub fn new(triggers: &[HttpTrigger]) -> Result<Self> {
        let mut routes = routefinder::Router::new();
        for (index, trigger) in triggers.iter().enumerate() {
            let Route::Path(raw) = &trigger.route else {
                continue;
            };
            let replaced = |later: &HttpTrigger| matches!(&later.route, Route::Path(route) if route == raw);
            if triggers[index + 1..].iter().any(replaced) {
                eprintln!(
                    "the route {raw} of {:?} is defined again below: not used",
                    trigger.component
                );
                continue;
            }
            let target = Target {
                component: trigger.component.clone(),
                raw: raw.clone(),
                based: based(raw),
            };
            let pattern = match target.based.strip_suffix("/...") {
                Some(prefix) => format!("{prefix}/*"),
                None => target.based.clone(),
            };
            routes
                .add(pattern, target)
                .map_err(|error| anyhow!("the route {raw:?}: {error}"))?;
        }
        Ok(Self { routes })
    }

    /// The component for a path, which has no query string.
    #[must_use]
    pub fn route(&self, path: &str) -> Option<RouteMatch<'_>> {
        let found = self.routes.best_match(path)?;
        let captures = found.captures();
        Some(RouteMatch {
            target: found.handler(),
            path_info: captures
                .wildcard()
                .map(|rest| path_info(rest, path))
                .unwrap_or_default(),
            named: captures
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        })
    }

    /// Every route with its component's id.
    pub fn routes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.routes
            .iter()
            .map(|(_, target)| (target.raw.as_str(), target.component.as_str()))
    }
}

impl RouteMatch<'_> {
    /// The component's id.
    #[must_use]
    pub fn component(&self) -> &str {
        &self.target.component
    }

    /// The `spin-*` headers of a request that took this route.
    #[must_use]
    pub fn headers(&self, full_url: &str, client: std::net::SocketAddr) -> Vec<(String, String)> {
        let raw = &self.target.raw;
        let fixed = [
            ("spin-path-info", self.path_info.as_str()),
            ("spin-full-url", full_url),
            ("spin-matched-route", &self.target.based),
            ("spin-base-path", "/"),
            ("spin-raw-component-route", raw),
            ("spin-component-route", raw.strip_suffix("/...").unwrap_or(raw)),
            ("spin-client-addr", &client.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let named = self.named.iter();
        let named = named.map(|(name, value)| {
            (
                format!("spin-path-match-{}", name.replace('_', "-").to_ascii_lowercase()),
                value.clone(),
            )
        });
        fixed.into_iter().chain(named).collect()
    }
}

fn based(raw: &str) -> String {
    let absolute = if raw.starts_with('/') {
        raw.to_owned()
    } else {
        format!("/{raw}")
    };
    absolute.strip_suffix('/').map(str::to_owned).unwrap_or(absolute)
}

/// The library drops slashes at the end, Spin keeps one.
fn path_info(rest: &str, path: &str) -> String {
    match (rest.is_empty(), path.ends_with('/')) {
        (true, false) => String::new(),
        (true, true) => "/".to_owned(),
        (false, false) => format!("/{rest}"),
        (false, true) => format!("/{rest}/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(routes: &[&str]) -> Router {
        let trigger = |route: &&str| HttpTrigger {
            route: Route::Path((*route).to_owned()),
            component: format!("for {route}"),
        };
        Router::new(&routes.iter().map(trigger).collect::<Vec<_>>()).expect("valid routes")
    }

    fn taken(routes: &[&str], path: &str) -> Option<String> {
        let router = router(routes);
        router.route(path).map(|found| found.target.raw.clone())
    }

    #[test]
    fn the_most_specific_route_wins() {
        let routes = ["/...", "/a", "/a/...", "/a/:id", "/a/b"];
        for (path, route) in [
            ("/", "/..."),
            ("/x/y", "/..."),
            ("/a", "/a"),
            ("/a/", "/a"),
            ("/a/b", "/a/b"),
            ("/a/c", "/a/:id"),
            ("/a/c/d", "/a/..."),
        ] {
            assert_eq!(taken(&routes, path).as_deref(), Some(route), "{path}");
        }
    }

    #[test]
    fn a_trailing_slash_matches_an_exact_route_and_a_longer_path_does_not() {
        assert_eq!(taken(&["/hook"], "/hook/").as_deref(), Some("/hook"));
        assert_eq!(taken(&["/hook"], "/hook/x"), None);
        assert_eq!(taken(&["/hook"], "/Hook"), None);
        assert_eq!(taken(&["/hook/..."], "/hook").as_deref(), Some("/hook/..."));
        assert_eq!(taken(&["/"], "/").as_deref(), Some("/"));
        assert_eq!(taken(&["/"], "/x"), None);
    }

    #[test]
    fn the_later_of_two_equal_routes_counts() {
        let mut triggers = Vec::new();
        for component in ["first", "second"] {
            triggers.push(HttpTrigger {
                route: Route::Path("/a".to_owned()),
                component: component.to_owned(),
            });
        }
        let router = Router::new(&triggers).expect("valid routes");
        assert_eq!(router.route("/a").expect("a route").component(), "second");
    }

    #[test]
    fn headers_say_how_the_route_was_taken() {
        let router = router(&["/user/:user_id/..."]);
        let found = router.route("/user/42/mail/").expect("a route");
        let headers = found.headers("http://h/user/42/mail/?q=1", ([127, 0, 0, 1], 99).into());
        for (name, value) in [
            ("spin-path-info", "/mail/"),
            ("spin-full-url", "http://h/user/42/mail/?q=1"),
            ("spin-raw-component-route", "/user/:user_id/..."),
            ("spin-component-route", "/user/:user_id"),
            ("spin-client-addr", "127.0.0.1:99"),
            ("spin-path-match-user-id", "42"),
        ] {
            assert!(
                headers.contains(&(name.to_owned(), value.to_owned())),
                "{name} in {headers:?}"
            );
        }
    }
}
