//! A Rust compiler with a standard library for `wasm32-wasip2`: the installed one where it has it or rustup can add it,
//! else Debian's.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::debian::Debian;
use crate::progress::Step;
use crate::workspace;

/// WASI 0.2, which every Spin from 3.2 runs.
pub(crate) const TARGET: &str = "wasm32-wasip2";

/// rustup tries long where it reaches nothing; 20 MB come in this time on any line worth waiting for.
const RUSTUP_TIMEOUT: Duration = Duration::from_secs(120);

/// A compiler for the components, and how to call it.
pub(crate) struct Toolchain {
    /// Where cargo builds the components: two compilers in one folder would undo each other's work.
    target_dir: PathBuf,
    /// Set when Debian's compiler builds; else the installed one does.
    debian: Option<(Debian, Linker)>,
}

impl Toolchain {
    /// The first that works: the installed toolchain as it is, Debian's compiler if an earlier call brought it, the
    /// installed toolchain with the target added by rustup, Debian's compiler. Says on standard error what it does.
    ///
    /// # Errors
    /// None of them works; the error says what was tried and what to do.
    pub(crate) fn find_or_bring(root: &Path) -> Result<Self> {
        let target_dir = root.join("target");
        let installed = Installed::find()?;
        if installed.has_target() {
            return Ok(Self {
                target_dir,
                debian: None,
            });
        }
        let debian = Debian::in_folder(target_dir.join("wasm-toolchain"));
        if !debian.is_complete() {
            let Err(no_rustup) = installed.add_target() else {
                return Ok(Self {
                    target_dir,
                    debian: None,
                });
            };
            eprintln!("rustup cannot add {TARGET} ({no_rustup:#}); trying Debian's packages");
            debian.bring().map_err(|no_debian| advice(&no_rustup, &no_debian))?;
        }
        let linker = Linker::find(&installed)?;
        Ok(Self {
            target_dir: target_dir.join("wasm"),
            debian: Some((debian, linker)),
        })
    }

    /// The folder where cargo puts the components it builds in release mode.
    pub(crate) fn release_dir(&self) -> PathBuf {
        self.target_dir.join(TARGET).join("release")
    }

    /// cargo for the WebAssembly target, e.g. with `["build", "--release", "--package", "ingest"]`.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let mut cargo = workspace::cargo();
        cargo
            .args(["--config", &short_paths()])
            .args(args)
            .env("CARGO_BUILD_TARGET", TARGET)
            .env("CARGO_TARGET_DIR", &self.target_dir);
        if let Some((debian, linker)) = &self.debian {
            cargo.env("RUSTC", debian.program("rustc"));
            cargo
                .env("CARGO_TARGET_WASM32_WASIP2_LINKER", &linker.program)
                .env("PATH", &linker.path);
        }
        cargo
    }

    /// Clippy for the WebAssembly target: `args` are cargo's, `lints` what follows `--` (`["-D", "warnings"]`). In release
    /// mode, which has the procedural macros compiled already where the components were built.
    pub(crate) fn clippy(&self, args: &[&str], lints: &[&str]) -> Command {
        let Some((debian, _)) = &self.debian else {
            return self.cargo(&[&["clippy", "--release"], args, &["--"], lints].concat());
        };
        // What `cargo clippy` does, with Debian's driver: the installed one cannot read Debian's standard library.
        let mut check = self.cargo(&[&["check", "--release"], args].concat());
        let lints: String = lints.iter().flat_map(|lint| [lint, "__CLIPPY_HACKERY__"]).collect();
        check
            .env("RUSTC_WORKSPACE_WRAPPER", debian.program("clippy-driver"))
            .env("CLIPPY_ARGS", lints);
        check
    }
}

/// A setting of cargo's by which components name the registries' sources of their dependencies without the folder that
/// these lie in: a component tells nothing of the machine, and is smaller for it.
fn short_paths() -> String {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    let sources = home.and_then(|home| home.join("registry").join("src").read_dir().ok());
    let folders = sources.into_iter().flatten().flatten();
    let flags = folders.map(|folder| format!("'--remap-path-prefix={}='", folder.path().display()));
    let flags: Vec<String> = flags.collect();
    format!("target.{TARGET}.rustflags=[{}]", flags.join(","))
}

fn advice(no_rustup: &anyhow::Error, no_debian: &anyhow::Error) -> anyhow::Error {
    anyhow::anyhow!(
        "no standard library for {TARGET}.\n  \
         The installed toolchain has none.\n  \
         rustup: {no_rustup:#}\n  \
         Debian: {no_debian:#}\n\
         On a machine with rustup and a connection, `rustup target add {TARGET}` is all that is needed; \
         without rustup, install the standard library for {TARGET} of the very compiler that `rustc --version` shows"
    )
}

/// The toolchain that runs us.
struct Installed {
    rustc: OsString,
    sysroot: PathBuf,
}

impl Installed {
    fn find() -> Result<Self> {
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let sysroot = workspace::output(Command::new(&rustc).args(["--print", "sysroot"]))?;
        Ok(Self {
            rustc,
            sysroot: sysroot.into(),
        })
    }

    fn has_target(&self) -> bool {
        self.sysroot.join("lib/rustlib").join(TARGET).is_dir()
    }

    /// Lets rustup add the target, where it manages this toolchain.
    fn add_target(&self) -> Result<()> {
        ensure!(
            workspace::on_path(&format!("rustup{}", env::consts::EXE_SUFFIX)).is_some(),
            "there is no rustup"
        );
        let managed = workspace::output(Command::new("rustup").args(["which", "rustc"]))?;
        ensure!(
            Path::new(&managed).starts_with(&self.sysroot),
            "it does not manage {}",
            self.sysroot.display()
        );
        let step = Step::begin(format!("Adding {TARGET} with rustup"));
        let mut command = Command::new("rustup");
        command
            .args(["--quiet", "target", "add", TARGET])
            .stderr(Stdio::piped());
        let mut rustup = command.spawn().context("cannot start rustup")?;
        let status = wait(&mut rustup, RUSTUP_TIMEOUT)?;
        if !status.success() || !self.has_target() {
            let said = rustup.stderr.map(io::read_to_string).transpose()?.unwrap_or_default();
            bail!(
                "{}",
                said.lines()
                    .find_map(|line| line.strip_prefix("error: "))
                    .unwrap_or("it failed")
            );
        }
        step.end();
        Ok(())
    }

    /// The folder of the linkers that come with Rust.
    fn linkers(&self) -> Result<PathBuf> {
        let version = workspace::output(Command::new(&self.rustc).arg("-vV"))?;
        let host = version
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .context("rustc names no host")?;
        Ok(self.sysroot.join("lib/rustlib").join(host).join("bin"))
    }
}

/// Waits for a program, but not for ever.
fn wait(child: &mut Child, timeout: Duration) -> Result<ExitStatus> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if started.elapsed() > timeout {
            child.kill()?;
            child.wait()?;
            bail!("no end after {} s", timeout.as_secs());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// What makes a component of the compiler's output. Debian packages none that fits, Rust's own toolchains have it.
struct Linker {
    program: PathBuf,
    /// `PATH`, extended by the folder of `wasm-ld`, which the linker calls.
    path: OsString,
}

impl Linker {
    fn find(installed: &Installed) -> Result<Self> {
        let folder = installed.linkers()?;
        let path = env::var_os("PATH").unwrap_or_default();
        let program = folder.join("wasm-component-ld");
        if program.is_file() && folder.join("gcc-ld/wasm-ld").is_file() {
            let folders = [folder.join("gcc-ld")].into_iter().chain(env::split_paths(&path));
            return Ok(Self {
                program,
                path: env::join_paths(folders)?,
            });
        }
        match (workspace::on_path("wasm-component-ld"), workspace::on_path("wasm-ld")) {
            (Some(program), Some(_)) => Ok(Self { program, path }),
            _ => bail!(
                "no linker for {TARGET}: neither {} nor PATH holds both `wasm-component-ld` and `wasm-ld`; \
                 `cargo install wasm-component-ld` and the package `lld` bring them",
                folder.display()
            ),
        }
    }
}
