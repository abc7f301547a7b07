//! Debian's Rust compiler for WebAssembly, for machines where rustup can download nothing but a Debian mirror is near.
//!
//! The packages come from Debian testing and would not fit the system, so they are not installed: apt resolves, fetches
//! and verifies them in a root of its own, they are unpacked into a folder under `target`, and started through their
//! own loader and C library. Nothing outside that folder changes, and no special rights are needed.
//!
//! ```text
//! target/wasm-toolchain/
//!   apt/       apt's sources, lists and downloads; removed when all is unpacked
//!   root/      the unpacked packages
//!   bin/       scripts that start the programs in root/
//!   complete   written last; without it, everything but the downloads is made anew
//! ```

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::mirror;
use crate::progress::Step;
use crate::toolchain::TARGET;
use crate::workspace;

/// Debian testing under its code name, which stays the same when it becomes stable. The first suite that has both a new
/// enough compiler and the standard library for WASI 0.2.
const SUITE: &str = "forky";

/// What is asked for; what these need, apt finds out.
const PACKAGES: [&str; 3] = ["rustc", "libstd-rust-dev-wasm32", "rust-clippy"];

/// What need not be fetched: native code (build scripts, procedural macros) is linked by the machine's own C toolchain.
/// To apt these are installed already.
const PRESENT: [(&str, &str); 3] = [
    ("gcc", "c-compiler"),
    ("libc6-dev", "libc-dev"),
    ("binutils", "binutils-dev"),
];

/// Started by a script of the same name.
const PROGRAMS: [&str; 2] = ["rustc", "clippy-driver"];

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Raised when what a complete folder holds changes, so that older ones are made anew.
const LAYOUT: &str = "1";

/// The unpacked compiler.
pub(crate) struct Debian {
    folder: PathBuf,
}

impl Debian {
    /// In this folder, whether there or not.
    pub(crate) fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Whether it was brought completely.
    pub(crate) fn is_complete(&self) -> bool {
        fs::read_to_string(self.folder.join("complete")).is_ok_and(|layout| layout == LAYOUT)
    }

    /// The script that starts one of [`PROGRAMS`].
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    /// Fetches, verifies and unpacks the packages: about 200 MB to download, 600 MB when done. Downloads of an
    /// interrupted run are continued.
    ///
    /// # Errors
    /// The machine is not of this kind (each reason is told), the mirror cannot be reached, or a package does not verify.
    pub(crate) fn bring(&self) -> Result<()> {
        let mirrors = usable_mirrors()?;
        fs::create_dir_all(&self.folder)?;
        let lock = File::create(self.folder.join("lock"))?;
        lock.lock().context("cannot lock the toolchain's folder")?; // Held until the end of this function.
        if self.is_complete() {
            return Ok(());
        }
        for stale in ["complete", "root", "bin"] {
            remove(&self.folder.join(stale))?;
        }
        let apt = Apt::prepare(self.folder.join("apt"))?;
        apt.update(&mirrors)?;
        let packages = apt.resolve()?;
        apt.download(&packages)?;
        self.unpack(&apt.archives(), &packages)?;
        self.write_scripts()?;
        self.check()?;
        remove(&apt.folder)?;
        fs::write(self.folder.join("complete"), LAYOUT)?;
        Ok(())
    }

    fn unpack(&self, archives: &Path, packages: &[Package]) -> Result<()> {
        let root = self.folder.join("root");
        fs::create_dir_all(&root)?;
        let total: u64 = packages.iter().map(|package| package.bytes).sum();
        let mut step = Step::begin("Unpacking Debian's Rust compiler");
        let mut done = 0;
        for package in packages {
            let file = archives.join(&package.file);
            workspace::output(Command::new("dpkg-deb").arg("--extract").arg(file).arg(&root))?;
            done += package.bytes;
            step.percent(done * 100 / total.max(1));
        }
        // The package holds the other WebAssembly targets too, a third of all.
        for entry in fs::read_dir(root.join("usr/lib/rustlib"))?.flatten() {
            let name = entry.file_name();
            if name.to_string_lossy().starts_with("wasm32-") && name != TARGET {
                remove(&entry.path())?;
            }
        }
        step.end();
        Ok(())
    }

    fn write_scripts(&self) -> Result<()> {
        fs::create_dir_all(self.folder.join("bin"))?;
        for name in PROGRAMS {
            fs::write(self.program(name), script(name))?;
            make_executable(&self.program(name))?;
        }
        Ok(())
    }

    /// Sees that the compiler starts and has the standard library.
    fn check(&self) -> Result<()> {
        let arguments = ["--print", "target-libdir", "--target", TARGET];
        let libraries = workspace::output(Command::new(self.program("rustc")).args(arguments))?;
        ensure!(
            Path::new(&libraries).is_dir(),
            "Debian's compiler came without a standard library for {TARGET}"
        );
        Ok(())
    }
}

/// The mirrors to try, or why this way is closed.
fn usable_mirrors() -> Result<Vec<String>> {
    ensure!(
        cfg!(all(target_os = "linux", target_arch = "x86_64")),
        "Debian's packages serve x86-64 Linux only"
    );
    for program in ["apt-get", "dpkg-deb"] {
        ensure!(workspace::on_path(program).is_some(), "there is no {program} here");
    }
    ensure!(Path::new(KEYRING).is_file(), "there is no {KEYRING}");
    let mirrors = mirror::debian_mirrors();
    ensure!(!mirrors.is_empty(), "/etc/apt names no Debian mirror");
    Ok(mirrors)
}

/// The program is started by the loader of its own C library, as the system's may be older. clippy-driver wants the
/// path of rustc as first argument where it has one, so our own argument comes last.
fn script(program: &str) -> String {
    format!(
        "#!/bin/sh\n\
         root=\"${{0%/*}}/../root/usr\"\n\
         libraries=\"$root/lib/x86_64-linux-gnu\"\n\
         exec \"$libraries/ld-linux-x86-64.so.2\" --library-path \"$libraries\" \"$root/bin/{program}\" \"$@\" --sysroot \"$root\"\n"
    )
}

/// A package as resolved.
#[derive(Debug, PartialEq)]
struct Package {
    file: String,
    bytes: u64,
}

/// An apt with everything of its own but the machine's proxy settings.
struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn prepare(folder: PathBuf) -> Result<Self> {
        for sub in ["lists/partial", "cache/archives/partial", "nothing/partial"] {
            fs::create_dir_all(folder.join(sub))?;
        }
        let present = PRESENT.map(|(name, provides)| {
            format!(
                "Package: {name}\nStatus: install ok installed\nProvides: {provides}\nArchitecture: amd64\n\
                 Maintainer: none\nVersion: 999\n\n"
            )
        });
        fs::write(folder.join("status"), present.concat())?;
        fs::write(folder.join("apt.conf"), configuration(&folder))?;
        Ok(Self { folder })
    }

    fn archives(&self) -> PathBuf {
        self.folder.join("cache/archives")
    }

    /// Reads the lists of packages from the first mirror that has them.
    fn update(&self, mirrors: &[String]) -> Result<()> {
        let mut failure = None;
        for mirror in mirrors {
            let source = format!("deb [arch=amd64 target=Packages signed-by={KEYRING}] {mirror} {SUITE} main\n");
            fs::write(self.folder.join("sources.list"), source)?;
            match self.run_shown(&format!("Reading Debian's package list ({SUITE})"), &["update"]) {
                Ok(()) => return Ok(()),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| anyhow::anyhow!("no mirror")))
    }

    /// Every package that is needed.
    fn resolve(&self) -> Result<Vec<Package>> {
        let mut command = self.command();
        // Names only what is not downloaded yet, so it looks at an empty folder.
        command.arg("-o").arg(format!(
            "Dir::Cache::Archives={}",
            self.folder.join("nothing").display()
        ));
        let printed = workspace::output(command.args(["install", "--yes", "--print-uris"]).args(PACKAGES))?;
        let packages: Vec<Package> = printed.lines().filter_map(parse_print_uris).collect();
        ensure!(packages.len() >= PACKAGES.len(), "apt resolved no packages: {printed}");
        Ok(packages)
    }

    fn download(&self, packages: &[Package]) -> Result<()> {
        let megabytes = packages.iter().map(|package| package.bytes).sum::<u64>() / 1_000_000;
        let what = format!(
            "Downloading Debian's Rust compiler ({} packages, {megabytes} MB)",
            packages.len()
        );
        self.run_shown(
            &what,
            &[&["install", "--yes", "--download-only"], &PACKAGES[..]].concat(),
        )
    }

    fn command(&self) -> Command {
        let mut command = Command::new("apt-get");
        // The file must be named here and not by APT_CONFIG, or the machine's settings would be read after it.
        command
            .arg("-c")
            .arg(self.folder.join("apt.conf"))
            .arg("-qq")
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    /// Runs apt-get and shows how far it is.
    fn run_shown(&self, what: &str, arguments: &[&str]) -> Result<()> {
        let log = self.folder.join("log");
        let mut step = Step::begin(what);
        let mut command = self.command();
        command.args(["-o", "APT::Status-Fd=1"]).args(arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()
            .context("cannot start apt-get")?;
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                parse_status(&line)
                    .into_iter()
                    .for_each(|percent| step.percent(percent));
            }
        }
        if !child.wait()?.success() {
            let said = fs::read_to_string(&log).unwrap_or_default();
            bail!("apt-get {} failed: {}", arguments[0], said.trim().replace('\n', "; "));
        }
        step.end();
        Ok(())
    }
}

/// Read after the machine's settings, of which the proxies are wanted, and everything that would touch the system or
/// weaken verification is not.
fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r##"Dir::State "{folder}";
Dir::State::Lists "{folder}/lists";
Dir::State::Status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Cache::Archives "{folder}/cache/archives";
Dir::Log "{folder}";
Dir::Etc::SourceList "{folder}/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::Etc::Trusted "/dev/null";
Dir::Etc::TrustedParts "/dev/null";
APT::Architecture "amd64";
APT::Sandbox::User "";
APT::Install-Recommends "false";
APT::Install-Suggests "false";
APT::Get::AllowUnauthenticated "false";
APT::Update::Error-Mode "any";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
"##
    )
}

/// `dlstatus:<item>:<percent>:<text>`.
fn parse_status(line: &str) -> Option<u64> {
    let percent: f64 = line.strip_prefix("dlstatus:")?.split(':').nth(1)?.parse().ok()?;
    Some(percent.clamp(0.0, 100.0) as u64)
}

/// `'<uri>' <file> <bytes> <hash>`.
fn parse_print_uris(line: &str) -> Option<Package> {
    let mut words = line.strip_prefix('\'')?.split_once('\'')?.1.split_whitespace();
    Some(Package {
        file: words.next()?.to_owned(),
        bytes: words.next()?.parse().ok()?,
    })
}

/// Removes a file or folder, if it is there.
fn remove(path: &Path) -> Result<()> {
    let result = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Lets everybody run a file.
#[cfg(unix)]
pub(crate) fn make_executable(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(file, fs::Permissions::from_mode(0o755))?)
}

#[cfg(not(unix))]
pub(crate) fn make_executable(_: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_how_far_apt_is() {
        assert_eq!(
            parse_status("dlstatus:4:42.9446:Retrieving file 4 of 18 (1s remaining)"),
            Some(42)
        );
        assert_eq!(parse_status("pmstatus:rustc:10:Unpacking"), None);
        assert_eq!(parse_status("anything else"), None);
    }

    #[test]
    fn reads_what_apt_resolved() {
        let line = "'http://mirror.test/pool/z/zlib1g_1%3a1.3_amd64.deb' zlib1g_1%3a1.3_amd64.deb 90912 SHA256:00ff";
        let package = Package {
            file: "zlib1g_1%3a1.3_amd64.deb".into(),
            bytes: 90912,
        };
        assert_eq!(parse_print_uris(line), Some(package));
        assert_eq!(parse_print_uris("Reading package lists..."), None);
    }
}
