//! Pages of HTML where data was asked for: a proxy, a firewall or a maintenance page speaks in an upstream's place.
//!
//! A body is judged by its beginning alone, whatever its size and its headers are; any bytes may come.

/// Whether a body is a page: after white space, byte order marks, comments and declarations of XML, a page begins with
/// `<!doctype html` or `<html`, in letters of either case. The `Content-Type` of an answer does not tell, since many
/// honest receivers answer `ok` as `text/html`.
pub fn is_page(body: &[u8]) -> bool {
    let mut rest = body;
    loop {
        rest = rest.trim_ascii_start();
        let skipped = rest
            .strip_prefix(b"\xef\xbb\xbf")
            .or_else(|| behind(rest, b"<!--", b"-->"))
            .or_else(|| behind(rest, b"<?", b"?>"));
        match skipped {
            Some(skipped) => rest = skipped,
            None => break,
        }
    }
    let begins_with = |tag: &[u8]| {
        let begins = rest
            .get(..tag.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(tag));
        begins && !rest.get(tag.len()).is_some_and(u8::is_ascii_alphanumeric)
    };
    begins_with(b"<!doctype html") || begins_with(b"<html")
}

/// The rest of a text behind a part that begins and ends like this, if the text begins with such a part.
fn behind<'a>(text: &'a [u8], begin: &[u8], end: &[u8]) -> Option<&'a [u8]> {
    let inside = text.strip_prefix(begin)?;
    let at = inside.windows(end.len()).position(|window| window == end)?;
    inside.get(at + end.len()..)
}

#[cfg(test)]
mod tests {
    use super::is_page;
    use proptest::prelude::*;

    #[test]
    fn pages_are_told_from_what_only_looks_like_one() {
        for page in [
            "<!doctype html><title>Maintenance</title>",
            "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\">",
            "<html>",
            "<HTML lang=en>",
            "\u{feff}\r\n\t <!-- a > b --> <!---->\u{feff}<!DocType html>",
            "<?xml version=\"1.0\"?>\n<!DOCTYPE html>",
            "<html",
        ] {
            assert!(is_page(page.as_bytes()), "{page}");
        }
        for other in [
            "",
            "ok",
            "{}",
            "<p>ok</p>",
            "<htmlish>",
            "<!doctype htmlx>",
            "<!doctype xml>",
            "text <html>",
            "<!-- <html>",
            "<?xml version=\"1.0\"?><ok/>",
            "\"<html>\"",
        ] {
            assert!(!is_page(other.as_bytes()), "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(body in any::<Vec<u8>>(), open in "[<!?-]{0,6}") {
            is_page(&body);
            is_page(&[open.as_bytes(), &body].concat());
        }

        #[test]
        fn what_stands_before_a_page_does_not_hide_it(before in "(<!--[^-]{0,9}-->|[ \r\n\t]|\u{feff}){0,5}", tag in "<(HTML|html|Html|!DOCTYPE html|!doctype HTML)[ >]") {
            let page = format!("{before}{tag}");
            prop_assert!(is_page(page.as_bytes()));
        }
    }
}
