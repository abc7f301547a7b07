//! All dead letters that somebody means, a line of JSON each (`application/x-ndjson`).
//!
//! They are read as they are sent, some at a time, so that any number of them needs no more memory than their keys.

use super::{Query, item, search};
use config::ConsoleConfig;
use config::answer::Answer;
use queue::search::Search;
use world::host::{Store, StoreError};

/// How much is read before it is sent, in bytes.
const PART: usize = 64 << 10;

/// Dead letters on their way out.
pub struct Export {
    search: Search,
}

impl Export {
    /// Begins with one listing; the answer is what goes ahead of the lines, or, without an export, a refusal.
    pub(in crate::admin) async fn begin<H: Store>(
        host: &H,
        config: &ConsoleConfig,
        query: Query,
    ) -> Result<(Answer, Option<Export>), StoreError> {
        let found = search(config, host.keys().await?, query, usize::MAX);
        Ok(match found {
            Err(refusal) => (refusal, None),
            Ok(search) => {
                let answer = Answer::done()
                    .with("content-type", "application/x-ndjson")
                    .with("content-disposition", "attachment; filename=\"dead-letters.jsonl\"");
                (answer, Some(Export { search }))
            }
        })
    }

    /// The next lines; none after the last.
    ///
    /// # Errors
    /// The store fails: whoever gets the lines must not take them for all.
    pub async fn next<H: Store>(&mut self, host: &H) -> Result<Option<Vec<u8>>, StoreError> {
        let mut lines = Vec::new();
        while lines.len() < PART {
            let Some((listed, letter)) = self.search.next(host).await? else {
                break;
            };
            lines.extend(item(&listed, letter).to_string().into_bytes());
            lines.push(b'\n');
        }
        Ok((!lines.is_empty()).then_some(lines))
    }
}
