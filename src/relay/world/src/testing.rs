//! What unit tests of several rooms share, in builds with the feature `testing` alone.
//!
//! A test that calls [`reads_back`] may rely on it that nothing of a record is lost when it is read and written again.

use crate::host::decoded;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Whether all that one document says is in the other.
fn is_in(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part
            .iter()
            .all(|(name, value)| whole.get(name).is_some_and(|whole| is_in(value, whole))),
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(part, whole)| is_in(part, whole))
        }
        (part, whole) => part == whole,
    }
}

/// A record of this type that says all of this, read and written again.
///
/// # Panics
/// If anything of it is lost.
pub fn reads_back<T: Serialize + DeserializeOwned>(kept: Value) {
    let name = std::any::type_name::<T>();
    let read: T = decoded(kept.to_string().as_bytes()).unwrap_or_else(|| panic!("{name} is not read: {kept}"));
    let written = json!(read);
    assert!(is_in(&kept, &written), "{name}: {kept} became {written}");
    assert!(
        decoded::<T>(written.to_string().as_bytes()).is_some(),
        "{name} is not read again: {written}"
    );
}
