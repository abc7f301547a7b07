//! What is kept of an upstream's answer: its text as people read it, without secrets.
//!
//! Whoever asks names the secrets. None of them is left in the text, however the answer escapes it and wherever the
//! text is cut, and the text is no longer than was asked for.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use model::path::path_segment;
use model::text;
use world::log::cut;

/// What stands in a secret's place.
const SECRET: &str = "[secret]";

/// How many bytes of an answer one byte of a secret may become, escaped twice.
const LONGEST_ESCAPE: usize = 12;

/// The beginning of an answer, in so many bytes at most.
pub fn excerpt(answer: &[u8], secrets: &[String], bytes: usize) -> String {
    let longest = secrets.iter().map(String::len).max().unwrap_or(0) * LONGEST_ESCAPE;
    // Twice as much is read as is kept: an escape is longer than its character.
    let begin = &answer[..answer.len().min(2 * bytes + longest)];
    let mut text = blanked(&String::from_utf8_lossy(begin), secrets);
    if begin.len() < answer.len() {
        // The text may end in a part of a secret, which is not known for one.
        text.truncate(cut(&text, text.len().saturating_sub(longest + 3)).len());
    }
    let text = text::unescaped(&text);
    let text = cut(&text, bytes).trim();
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// How long a part of base64 is at least that gives a secret away, in characters.
const BASE64_MIN: usize = 8;

/// A secret, and what stands of it in the base64 of any text that holds it: that depends on how many bytes stand before it
/// in the text, by threes. The characters at both ends tell of its neighbours, too, and are left out. Client credentials
/// are percent-encoded before they are base64 (RFC 6749, section 2.3.1).
fn spellings(secret: &str) -> Vec<String> {
    let mut spellings = vec![secret.to_owned()];
    let encoded = path_segment(secret);
    let texts = [
        Some(secret),
        Some(encoded.as_str()).filter(|encoded| *encoded != secret),
    ];
    for (text, before) in texts
        .into_iter()
        .flatten()
        .flat_map(|text| (0..3).map(move |before| (text, before)))
    {
        let text = [&vec![0; before], text.as_bytes()].concat();
        let (begin, end) = ((before * 4).div_ceil(3), text.len() * 4 / 3);
        if end >= begin + BASE64_MIN {
            let encoded = [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)];
            spellings.extend(encoded.iter().map(|encoded| encoded[begin..end].to_owned()));
        }
    }
    spellings
}

/// A text without secrets, whatever case they are repeated in and however they are escaped: once or twice, as in JSON,
/// in an address, or in HTML; or as base64, by themselves or within something longer.
pub(crate) fn blanked(text: &str, secrets: &[String]) -> String {
    let spellings = secrets.iter().flat_map(|secret| spellings(secret));
    let spellings: Vec<Vec<u8>> = spellings
        .map(|spelling| spelling.to_ascii_lowercase().into_bytes())
        .collect();
    let plain = Reading::of(text);
    let once = plain.unescaped();
    let twice: Vec<Reading> = once.iter().flat_map(Reading::unescaped).collect();
    let mut is_hidden = vec![false; text.len()];
    for reading in once.iter().chain(&twice).chain([&plain]) {
        reading.hide(&spellings, &mut is_hidden);
    }
    let mut shown = String::with_capacity(text.len());
    let mut was_hidden = false;
    for (at, c) in text.char_indices() {
        match (is_hidden[at], was_hidden) {
            (false, _) => shown.push(c),
            (true, false) => shown.push_str(SECRET),
            (true, true) => {}
        }
        was_hidden = is_hidden[at];
    }
    shown
}

/// What an escape at the beginning of a text stands for, and how long it is; none where there is none.
type Escape = fn(&[u8]) -> Option<(Vec<u8>, usize)>;

const ESCAPES: [Escape; 3] = [of_json, of_address, of_html];

fn of_json(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let escaped = text.strip_prefix(b"\\")?;
    // Whoever writes all in capitals writes escapes so, too.
    let unit = |text: &[u8]| match text {
        [b'u' | b'U', digits @ ..] => u16::try_from(number(digits.get(..4)?, 16)?).ok(),
        _ => None,
    };
    match escaped.first()? {
        b'n' => Some((b"\n".to_vec(), 2)),
        b'r' => Some((b"\r".to_vec(), 2)),
        b't' => Some((b"\t".to_vec(), 2)),
        c @ (b'"' | b'\\' | b'/') => Some((vec![*c], 2)),
        b'u' | b'U' => {
            let first = unit(escaped)?;
            let whole = |units: &[u16]| String::from_utf16(units).ok().map(String::into_bytes);
            if let Some(bytes) = whole(&[first]) {
                return Some((bytes, 6));
            }
            let second = unit(escaped.get(5..)?.strip_prefix(b"\\")?)?;
            Some((whole(&[first, second])?, 12))
        }
        _ => None,
    }
}

fn of_address(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let byte = number(text.strip_prefix(b"%")?.get(..2)?, 16)?;
    Some((vec![u8::try_from(byte).ok()?], 3))
}

fn of_html(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let length = text.iter().take(10).position(|byte| *byte == b';')?;
    let name = text[..length].strip_prefix(b"&")?.to_ascii_lowercase();
    let c = match &name[..] {
        b"amp" => '&',
        b"lt" => '<',
        b"gt" => '>',
        b"quot" => '"',
        b"apos" => '\'',
        [b'#', b'x', digits @ ..] => char::from_u32(number(digits, 16)?)?,
        [b'#', digits @ ..] => char::from_u32(number(digits, 10)?)?,
        _ => return None,
    };
    Some((c.to_string().into_bytes(), length + 1))
}

fn number(digits: &[u8], base: u32) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, base).ok()
}

/// A text as it reads, and where each of its bytes stands in the answer; the last place is the end.
struct Reading {
    bytes: Vec<u8>,
    places: Vec<usize>,
}

impl Reading {
    fn of(text: &str) -> Reading {
        Reading {
            bytes: text.as_bytes().to_vec(),
            places: (0..=text.len()).collect(),
        }
    }

    /// All ways to read it without escapes of one kind.
    fn unescaped(&self) -> Vec<Reading> {
        ESCAPES.iter().filter_map(|escape| self.without(*escape)).collect()
    }

    /// This text with characters in place of escapes of one kind; none if there are no such escapes.
    fn without(&self, escape: Escape) -> Option<Reading> {
        let length = self.bytes.len();
        let (mut bytes, mut places, mut at) = (Vec::with_capacity(length), Vec::with_capacity(length + 1), 0);
        while at < length {
            match escape(&self.bytes[at..]) {
                Some((plain, taken)) => {
                    places.extend(plain.iter().map(|_| self.places[at]));
                    bytes.extend(plain);
                    at += taken;
                }
                None => {
                    places.push(self.places[at]);
                    bytes.push(self.bytes[at]);
                    at += 1;
                }
            }
        }
        places.push(self.places[length]);
        (bytes.len() < length).then_some(Reading { bytes, places })
    }

    /// Marks where secrets stand, in letters of either case; they are given in small ones.
    fn hide(&self, secrets: &[Vec<u8>], is_hidden: &mut [bool]) {
        let text = self.bytes.to_ascii_lowercase();
        for (secret, first) in secrets.iter().filter_map(|secret| Some((secret, secret.first()?))) {
            let begins = (0..text.len()).filter(|at| text[*at] == *first);
            for at in begins.filter(|at| text[*at..].starts_with(secret)) {
                is_hidden[self.places[at]..self.places[at + secret.len()]].fill(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::path::path_segment;
    use proptest::prelude::*;

    /// A text as answers repeat it.
    fn written(text: &str, form: usize) -> String {
        let quoted = || {
            let quoted = serde_json::Value::from(text).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        };
        match form {
            0 => quoted(),
            1 => quoted().replace('/', "\\/").replace('é', "\\u00e9"),
            2 => quoted().replace('+', "\\u002B").replace('é', "\\u00E9"),
            3 => path_segment(text),
            4 => path_segment(text).replace("%2F", "/").to_ascii_lowercase(),
            5 => text.to_ascii_uppercase(),
            6 => text.replace('&', "&amp;").replace('"', "&#34;").replace('/', "&#x2F;"),
            _ => text.to_owned(),
        }
    }

    proptest! {
        #[test]
        fn no_secret_is_kept_wherever_the_answer_is_cut(
            secret in "[a-zA-Z0-9+/=\"&é]{8,60}",
            before in "[ -~]{0,80}",
            after in "[ -~]{0,80}",
            bytes in 1..200_usize,
            forms in proptest::collection::vec(0..8_usize, 0..3),
            times in 1..4_usize,
        ) {
            let written = forms.iter().fold(secret.clone(), |text, form| written(&text, *form));
            // If an escape began right before the secret, the secret's first letters would be a part of that.
            let answer = before.replace(['\\', '%', '&'], ".") + &written.repeat(times) + &after;
            let short: String = secret.chars().skip(1).take(4).collect();
            let kept = excerpt(answer.as_bytes(), &[short, secret.clone()], bytes);
            prop_assert!(kept.len() <= bytes);
            for text in [&secret, &written] {
                let begin: String = text.chars().take(6).collect();
                prop_assert!(!kept.contains(&begin), "{}", kept);
            }
        }
    }

    proptest! {
        #[test]
        fn no_secret_is_kept_that_stands_in_base64(
            secret in "[a-zA-Z0-9+/=\"&é]{12,60}",
            before in "[ -~]{0,20}",
            after in "[ -~]{0,20}",
            form in 0..7_usize,
            is_for_addresses in any::<bool>(),
        ) {
            let said = format!("{before}{secret}{after}");
            let encoded = if is_for_addresses { URL_SAFE_NO_PAD.encode(said) } else { STANDARD_NO_PAD.encode(said) };
            let kept = excerpt(written(&encoded, form).as_bytes(), std::slice::from_ref(&secret), 4096);
            prop_assert!(kept.contains(SECRET), "{}", kept);
            // Whatever is left of it at either end is less than four characters long.
            let (begin, length) = (before.len() * 4 / 3 + 4, secret.len() * 4 / 3 - 8);
            prop_assert!(!kept.to_lowercase().contains(&encoded[begin..begin + length].to_lowercase()), "{}", kept);
        }
    }

    #[test]
    fn a_secret_in_json_that_is_a_text_of_json_is_not_kept() {
        for answer in [r#"{"said":"{\"token\":\"\\u00e9A=&&\/A&\"}"}"#, r#"\\u00E9A=&&/A&"#] {
            let kept = excerpt(answer.as_bytes(), &["éA=&&/A&".to_owned()], 4096);
            assert!(!kept.contains("A=&"), "{kept}");
        }
    }

    #[test]
    fn an_answer_is_kept_as_people_read_it() {
        let answer =
            br#"{"errors":[{"property":"price","message":"d\u00e9j\u00e0 \ud83d\ude00 \"x\" a\/b","code":17}]}"#;
        let expected = r#"{"errors":[{"property":"price","message":"déjà 😀 \"x\" a/b","code":17}]}"#;
        assert_eq!(excerpt(answer, &[], 4096), expected);
        assert_eq!(
            excerpt(b"<h1>\r\n\tno\x1b[31m</h1>\xff", &[], 4096),
            "<h1>   no [31m</h1>\u{fffd}"
        );
        assert_eq!(excerpt(&[b'x'; 10_000], &["secret".to_owned()], 4096).len(), 4096);
        assert_eq!(excerpt("ä".repeat(9).as_bytes(), &[], 5), "ää");
        assert_eq!(excerpt(b" \r\n", &[], 5), "");
    }
}
