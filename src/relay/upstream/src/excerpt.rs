//! What is kept of an upstream's answer: its text as people read it, without secrets.

use model::path::path_segment;
use model::text;
use world::log::cut;

/// What stands in a secret's place.
const SECRET: &str = "[secret]";

/// So many bytes of an answer at most.
pub fn excerpt(answer: &[u8], secrets: &[String], bytes: usize) -> String {
    let mut forms: Vec<String> = secrets.iter().flat_map(|secret| forms(secret)).collect();
    let longest = forms.iter().map(String::len).max().unwrap_or(0);
    // Twice as much is read as is kept: an escape is longer than its character.
    let begin = &answer[..answer.len().min(2 * bytes + longest)];
    let mut text = text::unescaped(&String::from_utf8_lossy(begin));
    // One secret may be a part of another: the longest goes first.
    while let Some(at) = (0..forms.len()).max_by_key(|at| forms[*at].len()) {
        text = text.replace(&forms.swap_remove(at), SECRET);
    }
    if begin.len() < answer.len() {
        // It may end in a part of a secret, which is not known for one.
        text.truncate(cut(&text, text.len().saturating_sub(longest + 3)).len());
    }
    let text = cut(&text, bytes).trim();
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A secret as answers repeat it: to the letter, inside an address, inside JSON, and inside JSON that is a text of JSON.
fn forms(secret: &str) -> Vec<String> {
    let once = quoted(secret);
    // What is escaped once is read as people read it before it is looked for; what is escaped twice is not.
    let twice = [
        once.clone(),
        escaped(&once, |unit| format!("\\u{unit:04x}")),
        escaped(&once, |unit| format!("\\u{unit:04X}")),
    ];
    let mut forms = vec![secret.to_owned(), path_segment(secret), once];
    forms.extend(twice.iter().map(|text| quoted(text)));
    forms.dedup();
    forms
}

/// A text as it stands between the quotes of a JSON text.
fn quoted(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// A text of JSON with escapes in place of what is not ASCII.
fn escaped(quoted: &str, escape: impl Fn(u16) -> String) -> String {
    let mut text = String::new();
    for c in quoted.chars() {
        if c.is_ascii() {
            text.push(c);
        } else {
            text.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| escape(*unit)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_secret_is_kept_wherever_the_answer_is_cut(
            secret in "[a-zA-Z0-9+/=\"&é]{8,60}",
            before in "[ -~]{0,80}",
            after in "[ -~]{0,80}",
            bytes in 1..200_usize,
            form in 0..5_usize,
            times in 1..4_usize,
        ) {
            let once = quoted(&secret);
            let written = match form {
                0 => secret.clone(),
                1 => once,
                2 => once.replace('/', "\\/").replace('é', "\\u00e9"),
                3 => quoted(&once.replace('é', "\\u00e9")),
                _ => path_segment(&secret),
            };
            // A backslash before it would be a part of its first escape.
            let answer = before.trim_end_matches('\\').to_owned() + &written.repeat(times) + &after;
            let short: String = secret.chars().skip(1).take(4).collect();
            let kept = excerpt(answer.as_bytes(), &[short, secret.clone()], bytes);
            prop_assert!(kept.len() <= bytes);
            for text in [&secret, &written] {
                let begin: String = text.chars().take(6).collect();
                prop_assert!(!kept.contains(&begin), "{}", kept);
            }
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
