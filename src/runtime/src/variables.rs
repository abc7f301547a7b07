//! Application variables, and the templates over them.

use std::collections::BTreeMap;
use std::env::VarError;
use std::fmt;

use anyhow::{Context, Result, bail, ensure};

use crate::manifest::Variable;

/// The application variables with the values they have for this run.
#[derive(Debug, Default)]
pub struct Variables {
    values: BTreeMap<String, String>,
    unreadable: BTreeMap<String, ProviderFailed>,
}

/// A provider could not tell a variable's value, which is another matter than having none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderFailed(String);

impl fmt::Display for ProviderFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ProviderFailed {}

impl Variables {
    /// Gives every declared variable its value: the first that `given`, the environment (`SPIN_VARIABLE_<NAME>`, the
    /// name in capitals) and the manifest's default have. The environment fails to tell what is not Unicode, as Spin's
    /// does, and components hear of it when they ask.
    ///
    /// # Errors
    /// When a required variable has no value that can be read, a name is not one Spin accepts, or `given` names an undeclared variable.
    pub fn resolve(
        declared: &BTreeMap<String, Variable>,
        given: &[(String, String)],
        environment: impl Fn(&str) -> Result<String, VarError>,
    ) -> Result<Self> {
        if let Some((name, _)) = given.iter().find(|(name, _)| !declared.contains_key(name)) {
            bail!("--variable {name}: the manifest declares no variable of this name");
        }
        let given: BTreeMap<_, _> = given.iter().cloned().collect();
        let mut variables = Self::default();
        let mut missing = Vec::new();
        for (name, variable) in declared {
            check_name(name)?;
            let in_environment = environment_name(name);
            let value = match given.get(name).cloned().ok_or_else(|| environment(&in_environment)) {
                Ok(value) | Err(Ok(value)) => Some(value),
                Err(Err(VarError::NotPresent)) => variable.default.clone(),
                Err(Err(VarError::NotUnicode(_))) => {
                    let failed = ProviderFailed(format!("failed to resolve env var {in_environment}"));
                    variables.unreadable.insert(name.clone(), failed);
                    continue;
                }
            };
            match value {
                Some(value) => drop(variables.values.insert(name.clone(), value)),
                None => missing.push(format!("{name:?}")),
            }
        }
        let is_unreadable = |(name, variable): &(&String, &Variable)| {
            variable.default.is_none() && variables.unreadable.contains_key(*name)
        };
        missing.extend(
            declared
                .iter()
                .filter(is_unreadable)
                .map(|(name, _)| format!("{name:?}")),
        );
        ensure!(
            missing.is_empty(),
            "required variable(s) without a value: {}; give each by --variable NAME=VALUE or SPIN_VARIABLE_NAME",
            missing.join(", ")
        );
        Ok(variables)
    }

    /// That all of them can be read, which Spin wants before it lets a component call anything.
    ///
    /// # Errors
    /// With the first that a provider could not tell.
    pub fn all_readable(&self) -> Result<()> {
        match self.unreadable.values().next() {
            Some(failed) => Err(failed.clone().into()),
            None => Ok(()),
        }
    }

    /// Only the defaults of the manifest, as Spin uses them to check a manifest before it knows the values.
    #[must_use]
    pub fn defaults(declared: &BTreeMap<String, Variable>) -> Self {
        let values = declared.iter();
        let values = values.filter_map(|(name, variable)| Some((name.clone(), variable.default.clone()?)));
        Self {
            values: values.collect(),
            unreadable: BTreeMap::new(),
        }
    }

    /// Fills a template: every `{{ name }}` becomes that variable's value.
    ///
    /// # Errors
    /// When a brace is not closed, a name is not a variable with a value, or a provider failed ([`ProviderFailed`]).
    pub fn render(&self, template: &str) -> Result<String> {
        let mut rendered = String::new();
        let mut rest = template;
        while let Some((literal, after)) = rest.split_once("{{") {
            let (name, after) = after
                .split_once("}}")
                .with_context(|| format!("unmatched '{{{{' in the template {template:?}"))?;
            let name = name.trim();
            if let Some(failed) = self.unreadable.get(name) {
                return Err(failed.clone().into());
            }
            let value = self
                .values
                .get(name)
                .with_context(|| format!("unknown variable {name:?} in the template {template:?}"))?;
            rendered.push_str(literal);
            rendered.push_str(value);
            rest = after;
        }
        rendered.push_str(rest);
        Ok(rendered)
    }

    /// The values of a component's own variables, or why one cannot be told.
    ///
    /// # Errors
    /// When a template is not whole or not known, or a name is not one Spin accepts.
    pub fn render_all(
        &self,
        templates: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, Result<String, ProviderFailed>>> {
        let render = |(name, template): (&String, &String)| {
            check_name(name)?;
            let rendered = match self.render(template) {
                Ok(value) => Ok(value),
                Err(error) => Err(error.downcast::<ProviderFailed>()?),
            };
            Ok((name.clone(), rendered))
        };
        templates.iter().map(render).collect()
    }
}

/// Checks a variable's name by Spin's rule: lower-case ASCII letters, digits and single underscores, beginning with a
/// letter and not ending with an underscore.
///
/// # Errors
/// With what is wrong with the name.
pub fn check_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let reason = if name.is_empty() {
        "must not be empty"
    } else if !name.chars().all(allowed) {
        "may contain only lower-case letters, numbers, and underscores"
    } else if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        "must start with a letter"
    } else if name.ends_with('_') || name.contains("__") {
        "must not end with an underscore or have two in a row"
    } else {
        return Ok(());
    };
    bail!("variable name {name:?} {reason}")
}

fn environment_name(name: &str) -> String {
    format!("SPIN_VARIABLE_{}", name.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> BTreeMap<String, Variable> {
        let variable = |default: Option<&str>| Variable {
            default: default.map(str::to_owned),
            required: default.is_none(),
            ..Variable::default()
        };
        BTreeMap::from([
            ("origin".to_owned(), variable(Some("http://default"))),
            ("api_token".to_owned(), variable(None)),
        ])
    }

    fn absent(_: &str) -> Result<String, VarError> {
        Err(VarError::NotPresent)
    }

    fn given(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), value.to_owned())]
    }

    #[test]
    fn the_command_line_wins_over_the_environment_and_that_over_the_default() {
        let environment = |name: &str| match name {
            "SPIN_VARIABLE_API_TOKEN" => Ok("from env".to_owned()),
            _ => Err(VarError::NotPresent),
        };
        let variables = Variables::resolve(&declared(), &[], environment).expect("all have values");
        assert_eq!(
            variables.render("{{origin}}/{{ api_token }}").expect("known"),
            "http://default/from env"
        );
        let variables = Variables::resolve(&declared(), &given("api_token", "given"), environment).expect("values");
        assert_eq!(variables.render("{{ api_token }}").expect("known"), "given");
    }

    #[test]
    fn a_required_variable_without_a_value_is_named() {
        let error = Variables::resolve(&declared(), &[], absent).expect_err("api_token has no value");
        assert!(error.to_string().contains("\"api_token\""), "{error}");
        let error = Variables::resolve(&declared(), &given("typo", "x"), absent).expect_err("undeclared");
        assert!(error.to_string().contains("typo"), "{error}");
    }

    #[test]
    fn what_the_environment_cannot_tell_is_neither_unset_nor_a_default() {
        let environment = |name: &str| match name {
            "SPIN_VARIABLE_ORIGIN" => Err(VarError::NotUnicode("not Unicode".into())),
            _ => Ok("token".to_owned()),
        };
        let variables = Variables::resolve(&declared(), &[], environment).expect("none that is required");
        variables.all_readable().expect_err("one is not");
        let templates = BTreeMap::from([
            ("a".to_owned(), "x{{ origin }}".to_owned()),
            ("b".to_owned(), "{{ api_token }}".to_owned()),
        ]);
        let rendered = variables.render_all(&templates).expect("the templates are good");
        assert!(rendered["a"].is_err());
        assert_eq!(rendered["b"], Ok("token".to_owned()));

        let nothing_is_told = |_: &str| Err(VarError::NotUnicode("not Unicode".into()));
        let error = Variables::resolve(&declared(), &[], nothing_is_told).expect_err("api_token is required");
        assert!(error.to_string().contains("\"api_token\""), "{error}");
    }

    #[test]
    fn templates_must_be_whole_and_known() {
        let variables = Variables::defaults(&declared());
        assert_eq!(variables.render("plain } text").expect("literal"), "plain } text");
        assert!(variables.render("{{ origin").is_err());
        assert!(variables.render("{{ api_token }}").is_err(), "it has no default");
        assert!(variables.render("{{ nobody }}").is_err());
    }

    #[test]
    fn names_follow_spins_rule() {
        for name in ["a", "a_b", "a1"] {
            check_name(name).expect(name);
        }
        for name in ["", "A", "1a", "a_", "a__b", "a-b"] {
            check_name(name).expect_err(name);
        }
    }
}
