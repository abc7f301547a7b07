//! What an instance keeps in its memory from one request to the next, for a second: variables and single records. The
//! open store and its ways to the log it keeps for as long as it lives.
//!
//! All that is kept for a second is read within that second and forgotten at once, so that nothing in it is older than
//! the rest. Nothing here is borrowed while anything is waited for: the instance has other requests meanwhile.

use spin_sdk::key_value::Store;
use spin_sdk::wasip3::cli::stdout::{self, ErrorCode};
use spin_sdk::wasip3::wit_bindgen::{FutureReader, StreamWriter};
use spin_sdk::wasip3::wit_stream;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// For how long variables and records are kept.
const KEPT: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Kept {
    /// When the first of what is kept for a second was read.
    since: Option<Instant>,
    variables: BTreeMap<String, Option<String>>,
    records: BTreeMap<String, Option<Vec<u8>>>,
    store: Option<Rc<Store>>,
    outputs: Vec<Output>,
}

/// A way to standard output.
struct Output {
    writer: StreamWriter<u8>,
    /// How writing ended. Nobody waits for that, but without it the host might stop.
    _end: FutureReader<Result<(), ErrorCode>>,
}

thread_local! {
    static MEMORY: RefCell<Kept> = RefCell::default();
}

/// What is kept, without what has become too old.
fn memory<T>(use_it: impl FnOnce(&mut Kept) -> T) -> T {
    MEMORY.with_borrow_mut(|kept| {
        if kept.since.is_none_or(|since| since.elapsed() >= KEPT) {
            kept.since = Some(Instant::now());
            kept.variables.clear();
            kept.records.clear();
        }
        use_it(kept)
    })
}

/// A variable that is kept: its value, or that it has none.
pub(crate) fn variable(name: &str) -> Option<Option<String>> {
    memory(|kept| kept.variables.get(name).cloned())
}

/// Keeps a variable.
pub(crate) fn keep_variable(name: &str, value: Option<String>) {
    memory(|kept| kept.variables.insert(name.to_owned(), value));
}

/// A record that is kept: its value, or that it has none.
pub(crate) fn record(key: &str) -> Option<Option<Vec<u8>>> {
    memory(|kept| kept.records.get(key).cloned())
}

/// Keeps a record.
pub(crate) fn keep_record(key: &str, value: Option<Vec<u8>>) {
    memory(|kept| kept.records.insert(key.to_owned(), value));
}

/// The store, if it is open.
pub(crate) fn store() -> Option<Rc<Store>> {
    MEMORY.with_borrow(|kept| kept.store.clone())
}

/// Keeps the store, or forgets it.
pub(crate) fn keep_store(store: Option<Rc<Store>>) {
    MEMORY.with_borrow_mut(|kept| kept.store = store);
}

/// Writes to standard output, each time in one piece. What `print!` does, but that the instance has its other requests
/// meanwhile: each that writes at the same time has a way of its own.
pub(crate) async fn write_out(lines: Vec<u8>) {
    let known = MEMORY.with_borrow_mut(|kept| kept.outputs.pop());
    let mut output = known.unwrap_or_else(|| {
        let (writer, reader) = wit_stream::new();
        let end = stdout::write_via_stream(reader);
        Output { writer, _end: end }
    });
    // What the host takes no more of is written by the next request on a way of its own, if by any.
    if output.writer.write_all(lines).await.is_empty() {
        MEMORY.with_borrow_mut(|kept| kept.outputs.push(output));
    }
}
