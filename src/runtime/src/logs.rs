//! What components print: to standard error and, appended, to Spin's log files. And what the runtime itself writes down of
//! them, for tests.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll};

use anyhow::{Context, Result};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// Bytes a component may write in one go.
const WRITE_BYTES: usize = 1 << 20;

/// Both outputs of a component, shared by its instances.
#[derive(Clone)]
pub struct ComponentLogs {
    /// `<component>_stdout.txt`.
    pub stdout: LogStream,
    /// `<component>_stderr.txt`.
    pub stderr: LogStream,
}

/// One output of a component.
#[derive(Clone)]
pub struct LogStream {
    file: Arc<File>,
}

impl ComponentLogs {
    /// Opens a component's files in `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// When the folder or a file cannot be made.
    pub fn open(folder: &Path, component: &str) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make the log folder {}", folder.display()))?;
        let open = |output: &str| {
            let path = folder.join(format!("{component}_{output}.txt"));
            let file = OpenOptions::new().create(true).append(true).open(&path);
            let file = file.with_context(|| format!("cannot open the log file {}", path.display()))?;
            anyhow::Ok(LogStream { file: Arc::new(file) })
        };
        Ok(Self {
            stdout: open("stdout")?,
            stderr: open("stderr")?,
        })
    }
}

impl LogStream {
    /// Each write is one append, so lines of concurrent instances stay whole if they are written whole.
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&*self.file).write_all(bytes)?;
        // A console that went away must not stop the component.
        io::stderr().write_all(bytes).ok();
        Ok(())
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for LogStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.append(bytes).map(|()| bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.append(&bytes)
            .map_err(|error| StreamError::LastOperationFailed(error.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

/// A file to which documents of JSON are appended, a line each, or none.
#[derive(Debug, Default)]
pub struct Lines(Option<Mutex<File>>);

impl Lines {
    /// Appends to a file, or keeps nothing.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn new(path: Option<&Path>) -> Result<Self> {
        let open = |path: &Path| {
            let file = OpenOptions::new().create(true).append(true).open(path);
            file.with_context(|| format!("cannot open {}", path.display()))
        };
        Ok(Self(path.map(open).transpose()?.map(Mutex::new)))
    }

    /// Appends a document, which is made only where there is a file.
    pub fn write(&self, line: impl FnOnce() -> Value) {
        let Some(file) = &self.0 else { return };
        let line = line();
        let written = file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write_all(format!("{line}\n").as_bytes());
        if let Err(error) = written {
            eprintln!("a file of the runtime's own cannot be written: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_appended_to_the_files_of_the_component() {
        let folder = tempfile::tempdir().expect("a folder");
        for text in ["one\n", "two\n"] {
            let logs = ComponentLogs::open(&folder.path().join("logs"), "worker").expect("opens");
            logs.stderr.append(text.as_bytes()).expect("writes");
        }
        let read = |name: &str| std::fs::read_to_string(folder.path().join("logs").join(name)).expect(name);
        assert_eq!(read("worker_stderr.txt"), "one\ntwo\n");
        assert_eq!(read("worker_stdout.txt"), "");
    }
}
