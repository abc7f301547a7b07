//! A world around one upstream, for what is read or sent by one room alone.

use http::{Request, Response};
use std::cell::{Cell, RefCell};
use world::host::{CallLimits, Clock, Http, Log, Random, SendError, Store, StoreError};

/// When its clock begins, in Unix milliseconds.
const BEGINS_MS: u64 = 1_800_000_000_000;

type Answer<'a> = Box<dyn Fn(&Request<Vec<u8>>) -> Response<Vec<u8>> + 'a>;

/// A world that hears what is asked, and answers. Its clock goes only while somebody waits, and its store keeps nothing.
pub struct Hearing<'a> {
    answer: Answer<'a>,
    /// What it was asked.
    pub heard: RefCell<Vec<Request<Vec<u8>>>>,
    passed_ms: Cell<u64>,
}

impl<'a> Hearing<'a> {
    /// One that answers so.
    pub fn new(answer: impl Fn(&Request<Vec<u8>>) -> Response<Vec<u8>> + 'a) -> Hearing<'a> {
        Hearing {
            answer: Box::new(answer),
            heard: RefCell::default(),
            passed_ms: Cell::new(0),
        }
    }
}

impl Http for Hearing<'_> {
    async fn send(&self, request: Request<Vec<u8>>, _: CallLimits) -> Result<Response<Vec<u8>>, SendError> {
        let response = (self.answer)(&request);
        self.heard.borrow_mut().push(request);
        Ok(response)
    }
}

impl Store for Hearing<'_> {
    async fn get(&self, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }
    async fn set(&self, _: &str, _: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }
    async fn delete(&self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }
    async fn keys(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
    async fn set_many(&self, _: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
        Ok(())
    }
    async fn delete_many(&self, _: &[String]) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Clock for Hearing<'_> {
    fn now_ms(&self) -> u64 {
        BEGINS_MS + self.passed_ms.get()
    }
    fn monotonic_ms(&self) -> u64 {
        self.passed_ms.get()
    }
    async fn sleep_ms(&self, ms: u64) {
        self.passed_ms.set(self.passed_ms.get() + ms);
    }
}

impl Random for Hearing<'_> {
    fn bytes(&self) -> [u8; 16] {
        [7; 16]
    }
}

impl Log for Hearing<'_> {
    fn line(&self, _: &str) {}
}
