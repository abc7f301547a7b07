//! Numbers by their value: in the one form that is hashed, as texts, and compared to the last digit.
//!
//! Documents keep the digits that were written ([`json`]). Here all ways to write a number come to the same, and no
//! digit is lost on the way.

use crate::json;
use serde_json::{Number, Value};

/// The one form that stands for all ways to write a number, if the value is a number that the library would not write
/// as it was; none for any other value. The form is a double, where that loses no digit, else the number's digits with
/// a power of ten. A whole number that fits into 64 bits and the same one with a point have two forms: `1` and `1.0`.
pub fn canonical(value: &Value) -> Option<Value> {
    let decimal = Decimal::of(json::written(value)?);
    let double = decimal.double().map(Value::Number);
    Some(double.unwrap_or_else(|| json::number_of(&decimal.text())))
}

/// The text of a number, if a value is one: as a double where that loses no digit, else with the digits as they were
/// written.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        other => {
            let digits = json::written(other)?;
            let double = Decimal::of(digits).double();
            Some(double.map_or_else(|| digits.to_owned(), |double| double.to_string()))
        }
    }
}

/// The text of a value that is a text or a number; none for what is neither, and for a text that is no Unicode.
pub fn said(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if json::written(value).is_none() => (!json::is_damaged(value)).then(|| text.clone()),
        other => self::text(other),
    }
}

/// Whether two values are the same. Numbers are compared by what they are worth, to the last digit and however they are
/// written, also inside of lists and objects.
pub fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let is_in = |(name, value)| other.get(name).is_some_and(|other| is_same(value, other));
            one.len() == other.len() && one.iter().all(is_in)
        }
        _ => match (Decimal::of_value(one), Decimal::of_value(other)) {
            (Some(one), Some(other)) => one.is_worth(&other),
            _ => one == other,
        },
    }
}

/// Puts every number in a document into the form that [`canonical`] gives.
pub fn make_canonical(value: &mut Value) {
    if let Some(canonical) = canonical(value) {
        *value = canonical;
    }
    match value {
        Value::Array(list) => list.iter_mut().for_each(make_canonical),
        Value::Object(members) => members.values_mut().for_each(make_canonical),
        _ => {}
    }
}

/// The most digits that a double is written with.
const DOUBLE_DIGITS: usize = 17;

/// The most digits that the library reads a double from.
const READ_DIGITS: usize = 20;

/// A number by its digits: a whole number without zeros at its ends, and a power of ten.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    is_negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// The number that a value is, if it is one.
    fn of_value(value: &Value) -> Option<Decimal> {
        match value {
            Value::Number(number) => Some(Decimal::of(&number.to_string())),
            other => json::written(other).map(Decimal::of),
        }
    }

    /// Whether both are the same number. Zero has no sign.
    fn is_worth(&self, other: &Decimal) -> bool {
        self == other || (self.digits.is_empty() && other.digits.is_empty())
    }

    /// The number that a text in JSON's form is.
    fn of(text: &str) -> Decimal {
        let (text, is_negative) = match text.strip_prefix('-') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = [whole, fraction].concat();
        let significant = digits.trim_end_matches('0');
        let zeros = digits.len() - significant.len();
        // An exponent that 64 bits have no room for is taken for the largest or the least that they have. Two numbers
        // become one by that only if both are beyond all measure.
        let exponent = exponent
            .parse()
            .unwrap_or(if exponent.starts_with('-') { i64::MIN } else { i64::MAX });
        let significant = significant.trim_start_matches('0');
        Decimal {
            is_negative,
            digits: significant.to_owned(),
            exponent: if significant.is_empty() {
                0
            } else {
                exponent
                    .saturating_sub(places(fraction.len()))
                    .saturating_add(places(zeros))
            },
        }
    }

    /// The double that is written with these digits, if there is one. The library reads some numbers one bit off, and
    /// whether it does depends on how many zeros are written at their end. So the number is tried with more and more of
    /// them until one way to write it is read as just this number.
    fn double(&self) -> Option<Number> {
        if self.digits.len() > DOUBLE_DIGITS {
            return None;
        }
        let read = |zeros: usize| {
            let exponent = self.exponent.saturating_sub(places(zeros));
            let number = json::read_number(&self.with(&"0".repeat(zeros), exponent))?;
            (Decimal::of(&number.to_string()) == *self).then_some(number)
        };
        (0..=READ_DIGITS - self.digits.len()).find_map(read)
    }

    /// The number in the form that [`Decimal::of`] reads: its digits and a power of ten.
    fn text(&self) -> String {
        self.with("", self.exponent)
    }

    /// The number with zeros behind its digits and an exponent that takes them back.
    fn with(&self, zeros: &str, exponent: i64) -> String {
        let sign = if self.is_negative { "-" } else { "" };
        let digits = if self.digits.is_empty() { "0" } else { &self.digits };
        let zeros = if self.digits.is_empty() { "" } else { zeros };
        format!("{sign}{digits}{zeros}e{exponent}")
    }
}

fn places(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{canonical, is_same, said};
    use crate::json;
    use proptest::prelude::*;
    use serde_json::Number;

    fn form(text: &str) -> String {
        let read = json::read(text.as_bytes()).expect(text).value;
        json::write(&canonical(&read).unwrap_or(read))
    }

    #[test]
    fn what_a_double_or_64_bits_hold_is_written_as_they_are() {
        for (written, expected) in [
            ("0", "0"),
            ("1", "1"),
            ("-5", "-5"),
            ("9223372036854775808", "9223372036854775808"),
            ("18446744073709551615", "18446744073709551615"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("1.0", "1.0"),
            ("1.50", "1.5"),
            ("12.10", "12.1"),
            ("1e3", "1000.0"),
            ("1E+3", "1000.0"),
            ("-0", "-0.0"),
            ("-0.00", "-0.0"),
            ("0.0", "0.0"),
            ("0.1", "0.1"),
            ("117.63331139400017", "117.63331139400017"),
            ("9007199254740991.0", "9007199254740991.0"),
            ("9007199254740991.000", "9007199254740991.0"),
            ("1e16", "1e+16"),
            ("10000000000000000.00", "1e+16"),
            ("0.000001", "1e-6"),
        ] {
            assert_eq!(form(written), expected, "{written}");
        }
    }

    #[test]
    fn what_they_cannot_hold_is_written_by_its_digits() {
        for (written, expected) in [
            ("117.63331400000000019", "11763331400000000019e-17"),
            ("12345678901234567890123", "12345678901234567890123e0"),
            ("12345678901234567890123.0", "12345678901234567890123e0"),
            ("-1234567890123456789012300", "-12345678901234567890123e2"),
            ("18446744073709551616", "18446744073709551616e0"),
            ("1e999", "1e999"),
            ("100e997", "1e999"),
            (
                "0.1000000000000000055511151231257827",
                "1000000000000000055511151231257827e-34",
            ),
        ] {
            assert_eq!(form(written), expected, "{written}");
        }
    }

    #[test]
    fn numbers_are_the_same_by_what_they_are_worth() {
        let read = |text: &str| json::read(text.as_bytes()).expect(text).value;
        for (one, other, same) in [
            ("1", "1.0", true),
            ("1.50", "15e-1", true),
            ("-0", "0.00", true),
            ("-5", "5", false),
            ("9007199254740993", "9007199254740992", false),
            ("12345678901234567890123", "12345678901234567890123.0", true),
            ("12345678901234567890123", "12345678901234567890124", false),
            ("1e999", "1e998", false),
            ("7", "\"7\"", false),
            ("[1.0, {\"a\": 2.50}]", "[1, {\"a\": 2.5}]", true),
            ("[1, 2]", "[1]", false),
            ("{\"a\": 1}", "{\"a\": 1, \"b\": 1}", false),
            ("{\"a\": 1}", "{\"b\": 1}", false),
            ("null", "null", true),
        ] {
            assert_eq!(is_same(&read(one), &read(other)), same, "{one} {other}");
            assert_eq!(is_same(&read(other), &read(one)), same, "{other} {one}");
        }
    }

    #[test]
    fn texts_and_numbers_say_something() {
        for (text, expected) in [
            (&b"\"a\""[..], Some("a")),
            (b"12345678901234567890123", Some("12345678901234567890123")),
            (b"7", Some("7")),
            (b"\"caf\xe9\"", None),
            (b"true", None),
            (b"[7]", None),
        ] {
            let read = json::read(text).expect("JSON").value;
            assert_eq!(said(&read).as_deref(), expected, "{}", text.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn the_form_is_its_own_form_and_that_of_every_way_to_write_it(
            whole in "0|[1-9][0-9]{0,25}", fraction in "[0-9]{1,25}", sign in "-?", shift in 0..30usize,
        ) {
            let text = format!("{sign}{whole}.{fraction}");
            let expected = form(&text);
            prop_assert_eq!(form(&expected), expected.clone());
            prop_assert_eq!(form(&format!("{text}000")), expected.clone());
            prop_assert_eq!(form(&format!("{text}e0")), expected.clone());
            let digits = format!("{whole}{fraction}{}", "0".repeat(shift));
            let digits = Some(digits.trim_start_matches('0')).filter(|digits| !digits.is_empty()).unwrap_or("0");
            prop_assert_eq!(form(&format!("{sign}{digits}.0e-{}", fraction.len() + shift)), expected);
        }

        #[test]
        fn whole_numbers_and_doubles_are_as_they_print(whole in any::<i64>(), count in any::<u64>(), power in 0..22) {
            prop_assert_eq!(form(&whole.to_string()), whole.to_string());
            prop_assert_eq!(form(&count.to_string()), count.to_string());
            let double = (whole >> 11) as f64 / 10f64.powi(power);
            let number = Number::from_f64(double).expect("a number").to_string();
            prop_assert_eq!(form(&number), number);
        }

        #[test]
        fn any_number_has_a_form_that_is_a_number(text in "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,30})?") {
            let form = form(&text);
            prop_assert!(json::read(form.as_bytes()).is_some(), "{}", form);
        }
    }
}
