//! Application variables, and the templates over them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use crate::manifest::Variable;

/// The application variables with the values they have for this run.
#[derive(Debug, Default)]
pub struct Variables {
    values: BTreeMap<String, String>,
}

impl Variables {
    /// Gives every declared variable its value: the first that `given`, the environment (`SPIN_VARIABLE_<NAME>`, the
    /// name in capitals) and the manifest's default have.
    ///
    /// # Errors
    /// When a required variable has no value, a name is not one Spin accepts, or `given` names an undeclared variable.
    pub fn resolve(
        declared: &BTreeMap<String, Variable>,
        given: &[(String, String)],
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        if let Some((name, _)) = given.iter().find(|(name, _)| !declared.contains_key(name)) {
            bail!("--variable {name}: the manifest declares no variable of this name");
        }
        let given: BTreeMap<_, _> = given.iter().cloned().collect();
        let mut values = BTreeMap::new();
        let mut missing = Vec::new();
        for (name, variable) in declared {
            check_name(name)?;
            let value = given
                .get(name)
                .cloned()
                .or_else(|| environment(&environment_name(name)))
                .or_else(|| variable.default.clone());
            match value {
                Some(value) => drop(values.insert(name.clone(), value)),
                None => missing.push(format!("{name:?}")),
            }
        }
        ensure!(
            missing.is_empty(),
            "required variable(s) without a value: {}; give each by --variable NAME=VALUE or SPIN_VARIABLE_NAME",
            missing.join(", ")
        );
        Ok(Self { values })
    }

    /// Only the defaults of the manifest, as Spin uses them to check a manifest before it knows the values.
    #[must_use]
    pub fn defaults(declared: &BTreeMap<String, Variable>) -> Self {
        let values = declared.iter();
        let values = values.filter_map(|(name, variable)| Some((name.clone(), variable.default.clone()?)));
        Self {
            values: values.collect(),
        }
    }

    /// Fills a template: every `{{ name }}` becomes that variable's value.
    ///
    /// # Errors
    /// When a brace is not closed, or a name is not a variable with a value.
    pub fn render(&self, template: &str) -> Result<String> {
        let mut rendered = String::new();
        let mut rest = template;
        while let Some((literal, after)) = rest.split_once("{{") {
            let (name, after) = after
                .split_once("}}")
                .with_context(|| format!("unmatched '{{{{' in the template {template:?}"))?;
            let name = name.trim();
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

    /// The values of a component's own variables.
    ///
    /// # Errors
    /// As [`Variables::render`], or when a name is not one Spin accepts.
    pub fn render_all(&self, templates: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
        let render = |(name, template): (&String, &String)| {
            check_name(name)?;
            Ok((name.clone(), self.render(template)?))
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

    fn given(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), value.to_owned())]
    }

    #[test]
    fn the_command_line_wins_over_the_environment_and_that_over_the_default() {
        let environment = |name: &str| (name == "SPIN_VARIABLE_API_TOKEN").then(|| "from env".to_owned());
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
        let error = Variables::resolve(&declared(), &[], |_| None).expect_err("api_token has no value");
        assert!(error.to_string().contains("\"api_token\""), "{error}");
        let error = Variables::resolve(&declared(), &given("typo", "x"), |_| None).expect_err("undeclared");
        assert!(error.to_string().contains("typo"), "{error}");
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
