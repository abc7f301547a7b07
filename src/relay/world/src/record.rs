//! Reading a record out of the JSON that is kept of it.
//!
//! [`read`] does what `serde_json::from_value` does, but that nobody learns what is wrong with a value that is not read,
//! that a struct is an object, never an array, and that the value stays. Less code is made for every type of record then:
//! the worker is a twelfth smaller.

use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, Visitor};
use serde_json::{Map, Value};
use std::fmt::{self, Display, Formatter};

/// Reads a record; none if the value is in no format that is known.
pub fn read<'de, T: Deserialize<'de>>(value: &'de Value) -> Option<T> {
    T::deserialize(Kept(value)).ok()
}

/// What is kept of a record, or of a part of it.
struct Kept<'de>(&'de Value);

/// The value is no such record.
#[derive(Debug)]
struct Unread;

impl Display for Unread {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("no such record")
    }
}

impl std::error::Error for Unread {}

impl Error for Unread {
    fn custom<T: Display>(_: T) -> Self {
        Unread
    }
}

/// The members of an object, read one by one.
fn members<'de>(
    object: &'de Map<String, Value>,
) -> MapDeserializer<'de, impl Iterator<Item = (&'de str, Kept<'de>)>, Unread> {
    MapDeserializer::new(object.iter().map(|(name, value)| (name.as_str(), Kept(value))))
}

impl<'de> IntoDeserializer<'de, Unread> for Kept<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Kept<'de> {
    type Error = Unread;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(bool) => visitor.visit_bool(*bool),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => visitor.visit_f64(number.as_f64().ok_or(Unread)?),
            },
            Value::String(text) => visitor.visit_str(text),
            Value::Array(items) => {
                let mut items = SeqDeserializer::new(items.iter().map(Kept));
                let read = visitor.visit_seq(&mut items)?;
                items.end().map(|()| read)
            }
            Value::Object(object) => visitor.visit_map(members(object)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Unread> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unread> {
        visitor.visit_map(members(self.0.as_object().ok_or(Unread)?))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unread> {
        match self.0 {
            Value::String(variant) => visitor.visit_enum(variant.as_str().into_deserializer()),
            Value::Object(object) if object.len() == 1 => {
                visitor.visit_enum(MapAccessDeserializer::new(members(object)))
            }
            _ => Err(Unread),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Form {
        Bare,
        Holding(u8),
        Named { wide: bool },
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Name(String);

    #[derive(Debug, PartialEq, Deserialize)]
    struct Sample {
        form: Form,
        name: Option<Name>,
        pair: (i64, f64),
        #[serde(default)]
        counts: BTreeMap<String, Vec<u64>>,
    }

    /// A value of this type, read by both readers; none if neither reads one.
    fn by_both<T: serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(value: &Value) -> Option<T> {
        let by_this: Option<T> = read(value);
        assert_eq!(by_this, serde_json::from_value(value.clone()).ok(), "{value}");
        by_this
    }

    #[test]
    fn an_object_is_read_as_serde_json_reads_it() {
        let whole = json!({
            "form": "bare", "name": "one", "pair": [-3, 2.5], "counts": {"a": [1, u64::MAX], "b": []}, "later": {"x": 1},
        });
        assert!(by_both::<Sample>(&whole).is_some());
        let parts = [
            ("form", json!({"holding": 255})),
            ("form", json!({"named": {"wide": true}})),
            ("form", json!({"bare": null})),
            ("name", Value::Null),
            ("pair", json!([i64::MIN, 7])),
        ];
        for (name, part) in parts {
            let mut changed = whole.clone();
            changed[name] = part;
            assert!(by_both::<Sample>(&changed).is_some(), "{changed}");
        }
    }

    #[test]
    fn what_is_in_another_format_is_not_read() {
        let whole = json!({"form": "bare", "pair": [0, 0]});
        assert!(by_both::<Sample>(&whole).is_some());
        let flawed = [
            ("form", json!("round")),
            ("form", json!({"holding": 256})),
            ("form", json!({"holding": 1, "bare": null})),
            ("form", json!({"named": {}})),
            ("form", json!(1)),
            ("name", json!(1)),
            ("pair", json!([0])),
            ("pair", json!([0, 0, 0])),
            ("pair", json!([0.5, 0])),
            ("pair", Value::Null),
            ("counts", json!({"a": [-1]})),
            ("counts", json!([])),
        ];
        for (name, part) in flawed {
            let mut changed = whole.clone();
            changed[name] = part;
            assert_eq!(by_both::<Sample>(&changed), None, "{changed}");
        }
        assert_eq!(by_both::<Sample>(&Value::Null), None);
        assert_eq!(
            read::<Sample>(&json!(["bare", null, [0, 0], {}])),
            None,
            "an array is no struct"
        );
    }
}
