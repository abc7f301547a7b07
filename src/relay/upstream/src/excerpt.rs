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

/// A secret as answers repeat it: to the letter, inside JSON, inside an address.
fn forms(secret: &str) -> Vec<String> {
    let quoted = serde_json::Value::from(secret).to_string();
    let mut forms = vec![
        secret.to_owned(),
        quoted[1..quoted.len() - 1].to_owned(),
        path_segment(secret),
    ];
    forms.dedup();
    forms
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
            form in 0..4_usize,
            times in 1..4_usize,
        ) {
            let quoted = serde_json::Value::from(secret.as_str()).to_string();
            let quoted = quoted[1..quoted.len() - 1].to_owned();
            let written = match form {
                0 => secret.clone(),
                1 => quoted,
                2 => quoted.replace('/', "\\/").replace('é', "\\u00e9"),
                _ => path_segment(&secret),
            };
            let answer = before + &written.repeat(times) + &after;
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
