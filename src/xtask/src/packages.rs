//! Programs that only tests need: the installed ones, else Debian's packages, unpacked under `target`.
//!
//! They are not installed, so that no service starts and nothing of the system changes. apt says which packages are
//! missing, fetches and verifies them; the programs are started with their libraries beside the system's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::progress::Step;
use crate::{debian, workspace};

/// Programs that come together.
pub(crate) struct Bundle {
    /// Its folder below `target`, and what it is called while it is brought.
    name: &'static str,
    /// What is asked for; what these need, apt finds out.
    packages: &'static [&'static str],
    /// The names of the programs, and where the packages have them; a star at the end of a path is for a version.
    programs: &'static [(&'static str, &'static str)],
}

/// The store of two hosts.
pub(crate) const REDIS: Bundle = Bundle {
    name: "redis",
    packages: &["redis-server"],
    programs: &[("redis-server", "usr/bin/redis-server")],
};

/// Prometheus' own parser of metrics and alert rules.
pub(crate) const PROMETHEUS: Bundle = Bundle {
    name: "prometheus",
    packages: &["prometheus"],
    programs: &[("promtool", "usr/bin/promtool")],
};

/// A browser, and what drives it; with a font, without which it shows no text.
pub(crate) const CHROMIUM: Bundle = Bundle {
    name: "chromium",
    packages: &["chromium", "chromium-driver", "fontconfig-config", "fonts-dejavu-core"],
    // The first is a script in Debian, which wants the whole package where it would be installed.
    programs: &[
        ("chromium", "usr/lib/chromium/chromium"),
        ("chromedriver", "usr/bin/chromedriver"),
    ],
};

/// The server that Akeneo's guide has before PHP.
pub(crate) const APACHE: Bundle = Bundle {
    name: "apache",
    packages: &["apache2"],
    programs: &[("apache2", "usr/sbin/apache2")],
};

/// PHP as a server runs it.
pub(crate) const PHP: Bundle = Bundle {
    name: "php",
    packages: &["php-fpm"],
    programs: &[("php-fpm", "usr/sbin/php-fpm*")],
};

/// What often stands before a server.
pub(crate) const NGINX: Bundle = Bundle {
    name: "nginx",
    packages: &["nginx"],
    programs: &[("nginx", "usr/sbin/nginx")],
};

/// What stands before a server, and gets its certificates by itself.
pub(crate) const CADDY: Bundle = Bundle {
    name: "caddy",
    packages: &["caddy"],
    programs: &[("caddy", "usr/bin/caddy")],
};

/// A search engine.
pub(crate) const GROONGA: Bundle = Bundle {
    name: "groonga",
    packages: &["groonga-bin"],
    programs: &[("groonga", "usr/bin/groonga")],
};

impl Bundle {
    /// The programs, in their order; unpacks them first where one is not installed.
    ///
    /// # Errors
    /// There is no apt here, or it cannot fetch the packages.
    pub(crate) fn find_or_bring(&self) -> Result<Vec<PathBuf>> {
        let names = || self.programs.iter().map(|(name, _)| *name);
        if let Some(installed) = names().map(workspace::on_path).collect() {
            return Ok(installed);
        }
        let folder = workspace::target_dir().join(self.name);
        let scripts: Vec<PathBuf> = names().map(|name| folder.join(name)).collect();
        if !scripts.iter().all(|script| script.is_file()) {
            self.bring(&folder)
                .with_context(|| format!("no {} here; installing it by hand helps", self.name))?;
        }
        Ok(scripts)
    }

    fn bring(&self, folder: &Path) -> Result<()> {
        for program in ["apt-get", "dpkg-deb"] {
            ensure!(workspace::on_path(program).is_some(), "there is no {program}");
        }
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        let root = folder.join("root");
        fs::create_dir_all(&root)?;
        let step = Step::begin(format!("Bringing Debian's {}", self.name));
        // An old list names files that the mirror no longer has; without rights to renew it, it is used as it is.
        workspace::output(Command::new("apt-get").args(["-qq", "update"])).ok();
        let packages = self.missing_packages()?;
        ensure!(!packages.is_empty(), "apt names no package");
        workspace::output(
            Command::new("apt-get")
                .args(["-qq", "download"])
                .args(&packages)
                .current_dir(folder),
        )?;
        for entry in fs::read_dir(folder)?.flatten() {
            let file = entry.path();
            if file.extension().is_some_and(|extension| extension == "deb") {
                workspace::output(Command::new("dpkg-deb").arg("--extract").arg(&file).arg(&root))?;
                fs::remove_file(file)?;
            }
        }
        write_fonts(folder, &root)?;
        // Written last: they say that all else is there.
        for (name, path) in self.programs {
            write_script(folder, name, path)?;
        }
        step.end();
        Ok(())
    }

    /// What is asked for and what it needs, as far as it is not installed.
    fn missing_packages(&self) -> Result<Vec<String>> {
        let mut command = Command::new("apt-get");
        command
            .args(["-qq", "install", "--simulate", "--no-install-recommends"])
            .args(self.packages)
            .env("LC_ALL", "C");
        Ok(parse_simulation(&workspace::output(&mut command)?))
    }
}

/// Reads `Inst <package> (<version> ...)`; an update has `[<old version>]` before the parenthesis.
fn parse_simulation(printed: &str) -> Vec<String> {
    printed
        .lines()
        .filter_map(|line| line.strip_prefix("Inst ")?.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// The name of the file that says where fonts lie.
const FONTS: &str = "fonts.conf";

/// Lets the unpacked fonts be found beside the system's own.
fn write_fonts(folder: &Path, root: &Path) -> Result<()> {
    let text = format!(
        "<?xml version=\"1.0\"?>\n<fontconfig>\n\
         <include ignore_missing=\"yes\">/etc/fonts/fonts.conf</include>\n\
         <dir>{}</dir>\n<cachedir>{}</cachedir>\n</fontconfig>\n",
        root.join("usr/share/fonts").display(),
        folder.join("fonts").display()
    );
    Ok(fs::write(folder.join(FONTS), text)?)
}

/// Becomes the program, so that a signal to the script reaches it.
fn write_script(folder: &Path, name: &str, path: &str) -> Result<()> {
    let root = folder.join("root");
    let libraries: Vec<String> = library_folders(&root)
        .iter()
        .map(|folder| folder.display().to_string())
        .collect();
    let program = program(&root, path).with_context(|| format!("the packages have no {path}"))?;
    let text = format!(
        "#!/bin/sh\nFONTCONFIG_FILE='{}' LD_LIBRARY_PATH='{}' exec '{}' \"$@\"\n",
        folder.join(FONTS).display(),
        libraries.join(":"),
        program.display()
    );
    let script = folder.join(name);
    fs::write(&script, text)?;
    debian::make_executable(&script)
}

/// The program at a path that may end with a star.
fn program(root: &Path, path: &str) -> Option<PathBuf> {
    let path = root.join(path);
    let Some(beginning) = path.file_name()?.to_str()?.strip_suffix('*') else {
        return Some(path);
    };
    let entries = fs::read_dir(path.parent()?).ok()?.flatten();
    let mut found = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(beginning));
    found.next().map(|entry| entry.path())
}

/// The folders of libraries that packages for this machine have: those of its architecture, and one below that a
/// program installed in its place would know of.
fn library_folders(root: &Path) -> Vec<PathBuf> {
    let of = |parent: &str| fs::read_dir(root.join(parent)).into_iter().flatten().flatten();
    let entries = of("usr/lib").chain(of("lib"));
    let folders = entries.map(|entry| entry.path());
    folders
        .filter(|folder| folder.to_string_lossy().contains("-linux-gnu"))
        .flat_map(|folder| [folder.join("pulseaudio"), folder])
        .filter(|folder| folder.is_dir())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_apt_would_install() {
        let printed = "Inst liblzf1 (3.6-3 Debian:12/stable [amd64])\n\
                       Inst redis-tools [5:6] (5:7 Debian:12/stable [amd64]) []\nConf liblzf1 (3.6-3)";
        assert_eq!(parse_simulation(printed), ["liblzf1", "redis-tools"]);
    }
}
