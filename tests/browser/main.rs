//! The console as people use it: in a browser, against the deployed components between a simulated PIM and destination.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that cannot go on fails")]

mod access;
mod driver;
mod letters;
mod markup;
mod people;
mod scene;
mod subscription;
