//! The application manifest, `spin.toml`, as far as this runtime reads it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// A manifest of version 2. Tables that change nothing here (`build`, `tool`, `targets`) are ignored.
#[derive(Debug, Deserialize)]
pub struct Manifest {
    spin_manifest_version: u32,
    /// `[application]`.
    pub application: Application,
    /// `[variables]`, by name.
    #[serde(default)]
    pub variables: BTreeMap<String, Variable>,
    /// `[[trigger.*]]`.
    pub trigger: Triggers,
    /// `[component.*]`, by id.
    #[serde(default)]
    pub component: BTreeMap<String, Component>,
}

/// `[application]`.
#[derive(Debug, Deserialize)]
pub struct Application {
    /// The application's name.
    pub name: String,
}

/// One application variable: either a default or `required`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// The value where no provider has one.
    pub default: Option<String>,
    /// Whether a provider must have a value.
    #[serde(default)]
    pub required: bool,
    /// Only a mark, as in Spin.
    #[serde(default)]
    pub secret: bool,
    /// For people.
    pub description: Option<String>,
}

/// The triggers by type. A type not named here is refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Triggers {
    /// `[[trigger.http]]`.
    #[serde(default)]
    pub http: Vec<HttpTrigger>,
    /// `[[trigger.cron]]`.
    #[serde(default)]
    pub cron: Vec<CronTrigger>,
}

/// A route and the component behind it.
#[derive(Debug, Deserialize)]
pub struct HttpTrigger {
    /// The pattern of the path.
    pub route: Route,
    /// The component's id.
    pub component: String,
}

/// The `route` of an HTTP trigger.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Route {
    /// A pattern, such as `/a/:name/...`.
    Path(String),
    /// `{ private = true }`: not reachable from outside.
    Private {
        /// Has to be true.
        private: bool,
    },
}

/// A schedule and the component it calls.
#[derive(Debug, Deserialize)]
pub struct CronTrigger {
    /// The component's id.
    pub component: String,
    /// Six fields, seconds first, in UTC.
    pub cron_expression: String,
}

/// `[component.*]`.
#[derive(Debug, Deserialize)]
pub struct Component {
    /// The WebAssembly file, relative to the manifest.
    pub source: String,
    /// What the component may connect to; templates over the application variables.
    #[serde(default)]
    pub allowed_outbound_hosts: Vec<String>,
    /// The labels of the stores it may open.
    #[serde(default)]
    pub key_value_stores: Vec<String>,
    /// Its variables; templates over the application variables.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Its environment variables, taken as they are.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    #[serde(flatten)]
    rest: BTreeMap<String, toml::Value>,
}

/// Tables of a component that would change what it does, and that only Spin offers.
const ONLY_IN_SPIN: [&str; 5] = [
    "ai_models",
    "allowed_http_hosts",
    "dependencies",
    "files",
    "sqlite_databases",
];

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// When the file cannot be read, is no manifest of version 2, names a component it does not define, or uses what
    /// this runtime does not offer.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the manifest {}; name it with --manifest", path.display()))?;
        Self::parse(&text).with_context(|| format!("in the manifest {}", path.display()))
    }

    /// Reads a manifest from text; errors as [`Manifest::load`].
    pub fn parse(text: &str) -> Result<Self> {
        let manifest: Self = toml::from_str(text)?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<()> {
        ensure!(
            self.spin_manifest_version == 2,
            "spin_manifest_version is {}, only 2 is supported",
            self.spin_manifest_version
        );
        let http = self.trigger.http.iter().map(|trigger| &trigger.component);
        let cron = self.trigger.cron.iter().map(|trigger| &trigger.component);
        for id in http.chain(cron) {
            ensure!(
                self.component.contains_key(id),
                "a trigger names the component {id:?}, but there is no [component.{id}]"
            );
        }
        for (name, variable) in &self.variables {
            ensure!(
                variable.required != variable.default.is_some(),
                "variable {name:?} needs either a default or `required = true`"
            );
        }
        for (id, component) in &self.component {
            if let Some(key) = ONLY_IN_SPIN.iter().find(|key| component.rest.contains_key(**key)) {
                bail!("component {id:?} uses {key:?}, which this runtime does not offer; run it with Spin");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
        spin_manifest_version = 2
        [application]
        name = "example"
        version = "0.1.0"
        [variables]
        url = { default = "https://unset.invalid" }
        secret = { required = true, secret = true }
        [[trigger.http]]
        route = "/worker/..."
        component = "worker"
        [[trigger.http]]
        route = { private = true }
        component = "worker"
        [[trigger.cron]]
        component = "worker"
        cron_expression = "*/10 * * * * *"
        [component.worker]
        source = "worker.wasm"
        allowed_outbound_hosts = ["{{ url }}"]
        key_value_stores = ["default"]
        [component.worker.variables]
        url = "{{ url }}"
        [component.worker.build]
        command = "make"
    "#;

    #[test]
    fn reads_what_a_manifest_says() {
        let manifest = Manifest::parse(MANIFEST).expect("a valid manifest");
        assert_eq!(manifest.application.name, "example");
        assert!(manifest.variables["secret"].required);
        assert_eq!(manifest.trigger.http.len(), 2);
        assert!(matches!(&manifest.trigger.http[0].route, Route::Path(path) if path == "/worker/..."));
        assert_eq!(manifest.trigger.cron[0].cron_expression, "*/10 * * * * *");
        assert_eq!(manifest.component["worker"].key_value_stores, ["default"]);
    }

    #[test]
    fn refuses_what_it_cannot_run() {
        for (from, to, says) in [
            ("spin_manifest_version = 2", "spin_manifest_version = 1", "only 2"),
            ("component = \"worker\"", "component = \"nobody\"", "[component.nobody]"),
            ("required = true", "required = false", "\"secret\" needs"),
            ("source =", "files = [\"a\"]\nsource =", "\"files\""),
            ("[[trigger.cron]]", "[[trigger.redis]]", "redis"),
        ] {
            let text = MANIFEST.replace(from, to);
            let error = format!("{:#}", Manifest::parse(&text).expect_err(to));
            assert!(error.contains(says), "{error}");
        }
    }
}
