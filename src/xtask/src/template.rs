//! A template for `spin new`: a folder with the released manifest, whose components lie at the release's address.
//!
//! Spin expands a template's files by Liquid, whose places look as those of the manifest's own variables do. So all of the
//! manifest stands raw but for what whoever uses the template is asked for.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;

/// What the template is called.
const NAME: &str = "akeneo-relay";

/// What is asked for: what of the manifest it takes the place of, what it is called, what is said, and what fits.
const ASKED: [(&str, &str, &str, &str); 2] = [
    (
        "pim_url = { default = \"https://unset.invalid\" }",
        "pim-url",
        "The PIM's origin, such as https://my-pim.cloud.akeneo.com",
        "^https?://[^/]+$",
    ),
    (
        "destination_url = { default = \"https://unset.invalid\" }",
        "destination-url",
        "The destination's origin; https://unset.invalid until it is known",
        "^https?://[^/]+$",
    ),
];

/// What is set in the environment, which Spin reads of this file: no secret stands in the manifest.
const ENVIRONMENT: &str = "\
# Of a connection in the PIM (Connect, Connection settings).
SPIN_VARIABLE_PIM_CLIENT_ID=
SPIN_VARIABLE_PIM_CLIENT_SECRET=
SPIN_VARIABLE_PIM_USERNAME=
SPIN_VARIABLE_PIM_PASSWORD=
# Opens /console and /admin: for instance what `openssl rand -hex 32` prints.
SPIN_VARIABLE_ADMIN_TOKEN=
# What deliveries are signed with.
SPIN_VARIABLE_EVENT_PLATFORM_SECRET=
# What the destination wants.
SPIN_VARIABLE_DESTINATION_TOKEN=
";

/// Writes the template of a released manifest below `templates` in a folder.
///
/// # Errors
/// The manifest is not as it is known here, or a file cannot be written.
pub(crate) fn write(folder: &Path, manifest: &str) -> Result<()> {
    let template = folder.join("templates").join(NAME);
    for (file, text) in [
        ("metadata/spin-template.toml", metadata()),
        ("content/spin.toml", content(manifest)?),
        ("content/.env", ENVIRONMENT.to_owned()),
        ("content/.gitignore", ".env\n.spin/\n".to_owned()),
    ] {
        let path = template.join(file);
        fs::create_dir_all(path.parent().unwrap_or(&template))?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn metadata() -> String {
    let asked = ASKED.map(|(_, name, prompt, pattern)| {
        format!("{name} = {{ type = \"string\", prompt = \"{prompt}\", pattern = '{pattern}' }}\n")
    });
    format!(
        "manifest_version = \"1\"\nid = \"{NAME}\"\n\
         description = \"Keeps a destination equal to an Akeneo PIM\"\ntags = [\"http\", \"cron\", \"akeneo\"]\n\n\
         [parameters]\n{}",
        asked.concat()
    )
}

/// The manifest as Liquid is to expand it.
fn content(manifest: &str) -> Result<String> {
    let place = |name: &str| format!("{{% endraw %}}{{{{ {name} }}}}{{% raw %}}");
    let named = format!("name = \"{NAME}\"");
    let mut text = manifest.to_owned();
    let mut put = |known: &str, instead: String| {
        ensure!(
            text.matches(known).count() == 1,
            "the manifest does not have {known} once"
        );
        text = text.replace(known, &instead);
        Ok(())
    };
    put(&named, format!("name = \"{}\"", place("project-name | kebab_case")))?;
    for (known, name, ..) in ASKED {
        put(known, known.replace("https://unset.invalid", &place(name)))?;
    }
    Ok(format!("{{% raw %}}{text}{{% endraw %}}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    /// What Liquid makes of a text, as far as it stands here: what is raw stays, and places are filled in.
    fn expanded(text: &str, fill: impl Fn(&str) -> String) -> String {
        let mut expanded = String::new();
        for part in text.split("{% raw %}") {
            let (raw, open) = part.split_once("{% endraw %}").unwrap_or(("", part));
            expanded.push_str(raw);
            let mut rest = open;
            while let Some((before, place)) = rest.split_once("{{") {
                let (place, after) = place.split_once("}}").expect("it is closed");
                expanded.push_str(before);
                expanded.push_str(&fill(place.trim()));
                rest = after;
            }
            expanded.push_str(rest);
        }
        expanded
    }

    #[test]
    fn a_template_makes_the_released_manifest_of_what_is_asked_for() {
        let manifest = fs::read_to_string(workspace::root().join("spin.toml")).expect("the manifest");
        let content = content(&manifest).expect("a template");
        let as_it_was = expanded(&content, |place| match place {
            "project-name | kebab_case" => NAME.to_owned(),
            "pim-url" | "destination-url" => "https://unset.invalid".to_owned(),
            other => panic!("nobody is asked for {other}"),
        });
        assert_eq!(as_it_was, manifest);
        let filled = expanded(&content, |place| format!("<{place}>"));
        assert!(filled.contains("pim_url = { default = \"<pim-url>\" }"), "{filled}");
        assert!(super::content(&manifest.replace(NAME, "another")).is_err());
        for (_, name, ..) in ASKED {
            assert!(metadata().contains(&format!("\n{name} = {{ type = \"string\"")));
        }
    }
}
