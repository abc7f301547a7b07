//! What a system holds: products by what the PIM calls them, and what the system itself calls them.

use serde_json::Value;

/// What something is called that the PIM knows nothing of.
pub(super) const ANOTHER: &str = "something else";

/// A product as a system holds it.
pub(super) struct Record {
    /// What the PIM calls it.
    pub(super) uuid: String,
    /// What the system calls it.
    pub(super) id: String,
    /// How often it was written.
    pub(super) version: u64,
    /// What was sent of it last.
    pub(super) body: Value,
    /// Whether it is out of sight.
    pub(super) is_archived: bool,
}

impl Record {
    /// Writes it once more.
    pub(super) fn write(&mut self, body: &Value) {
        self.body = body.clone();
        self.version += 1;
        self.is_archived = false;
    }

    /// Writes parts of it once more, and leaves the others as they are.
    pub(super) fn merge(&mut self, parts: &Value) {
        let mut body = self.body.clone();
        for (name, part) in parts.as_object().into_iter().flatten() {
            body[name] = part.clone();
        }
        self.write(&body);
    }

    /// Takes it out of sight.
    pub(super) fn archive(&mut self) {
        self.version += 1;
        self.is_archived = true;
    }

    /// Its version as an ETag.
    pub(super) fn etag(&self) -> String {
        format!("W/\"{}\"", self.version)
    }

    /// Its version as CouchDB writes them.
    pub(super) fn revision(&self) -> String {
        format!("{}-{}", self.version, self.id)
    }

    /// Its id as a number.
    pub(super) fn number(&self) -> u64 {
        self.id.parse().unwrap_or_default()
    }
}

/// What a system holds. Nothing keeps it from holding a product twice, but for the system's own rules.
#[derive(Default)]
pub(super) struct Held {
    records: Vec<Record>,
    made: u64,
    /// How many look-ups find nothing from now on, since they do not know yet what was made.
    pub(super) unseen: usize,
}

impl Held {
    /// Makes a record, whatever is there already, and gives it a number of the system's own.
    pub(super) fn make(&mut self, uuid: &str, body: &Value) -> &Record {
        self.made += 1;
        self.records.push(Record {
            uuid: uuid.to_owned(),
            id: (1000 + self.made).to_string(),
            version: 1,
            body: body.clone(),
            is_archived: false,
        });
        &self.records[self.records.len() - 1]
    }

    /// Puts a product in where a system goes by the PIM's name of it; says whether it was there.
    pub(super) fn put(&mut self, uuid: String, body: Value) -> bool {
        if let Some(record) = self.of_mut(&uuid) {
            record.write(&body);
            return true;
        }
        self.make(&uuid, &body);
        false
    }

    /// Takes a product out, all its records; says whether it was there.
    pub(super) fn remove(&mut self, uuid: &str) -> bool {
        self.take(|record| record.uuid == uuid)
    }

    /// Takes the record of this id out; says whether it was there.
    pub(super) fn remove_id(&mut self, id: &str) -> bool {
        self.take(|record| record.id == id)
    }

    fn take(&mut self, is_meant: impl Fn(&Record) -> bool) -> bool {
        let count = self.records.len();
        self.records.retain(|record| !is_meant(record));
        self.records.len() < count
    }

    /// Whether a product is there.
    pub(super) fn has(&self, uuid: &str) -> bool {
        self.of(uuid).is_some()
    }

    /// The first record of a product.
    pub(super) fn of(&self, uuid: &str) -> Option<&Record> {
        self.all(uuid).next()
    }

    /// The same, to be changed.
    pub(super) fn of_mut(&mut self, uuid: &str) -> Option<&mut Record> {
        self.records.iter_mut().find(|record| record.uuid == uuid)
    }

    /// Every record of a product.
    pub(super) fn all(&self, uuid: &str) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |record| record.uuid == uuid)
    }

    /// What a look-up finds of a product.
    pub(super) fn found(&mut self, uuid: &str) -> Vec<&Record> {
        if self.unseen > 0 {
            self.unseen -= 1;
            return Vec::new();
        }
        self.all(uuid).collect()
    }

    /// What else than this product has this value in this place; what is empty, nobody has.
    pub(super) fn another(&self, own: Option<&str>, at: &str, value: &Value) -> Option<&Record> {
        let mut others = self.records.iter().filter(|record| own != Some(&record.uuid));
        let has_it = |record: &&Record| record.body.pointer(at) == Some(value);
        others.find(has_it).filter(|_| !value.is_null() && value != "")
    }

    /// A product is none of the PIM's any more, and has nothing in common with it but what stands in this place.
    pub(super) fn give_away(&mut self, uuid: &str, at: &str, others: &[&str]) {
        let Some(record) = self.of_mut(uuid) else { return };
        record.uuid = ANOTHER.to_owned();
        for other in others.iter().filter(|other| **other != at) {
            if let Some(value) = record.body.pointer_mut(other) {
                *value = Value::Null;
            }
        }
    }

    /// The record of this id.
    pub(super) fn called(&mut self, id: &str) -> Option<&mut Record> {
        self.records.iter_mut().find(|record| record.id == id)
    }

    /// The product that the record of this id is of.
    pub(super) fn uuid_of(&self, id: &str) -> Option<String> {
        let mut records = self.records.iter();
        records.find(|record| record.id == id).map(|record| record.uuid.clone())
    }

    /// The products that a request names in its path or body.
    pub(super) fn named(&self, path: &str, body: &str) -> Option<String> {
        let mut records = self.records.iter();
        let is_named = |uuid: &str| {
            let hex = uuid.replace('-', "");
            path.contains(uuid) || body.contains(uuid) || body.contains(&hex)
        };
        records
            .find(|record| is_named(&record.uuid))
            .map(|record| record.uuid.clone())
    }

    /// What stands in sight: the products, each as often as it is held, and what they are called, in order.
    pub(super) fn in_sight(&self) -> Vec<(String, String)> {
        let records = self.records.iter().filter(|record| !record.is_archived);
        let mut names: Vec<_> = records.map(|record| (record.uuid.clone(), record.id.clone())).collect();
        names.sort();
        names
    }

    /// Somebody else writes to every product.
    pub(super) fn touch(&mut self) {
        self.records.iter_mut().for_each(|record| record.version += 1);
    }
}
