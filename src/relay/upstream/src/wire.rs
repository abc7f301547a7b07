//! What all calls have in common on the wire, whichever upstream they go to: the headers of a request, and how an
//! answer's body is packed.

use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use miniz_oxide::inflate::{DecompressError, TINFLStatus, decompress_to_vec_with_limit};
use model::json;
use world::host::{CallLimits, Http, SendError, Transfer};

/// What every request says unless it says otherwise. Firewalls refuse those without a `User-Agent`, and without an
/// `Accept-Encoding` any packing is allowed (RFC 9110, section 12.5.3).
const COMMON: [(HeaderName, &str); 3] = [
    (USER_AGENT, concat!("akeneo-relay/", env!("CARGO_PKG_VERSION"))),
    (ACCEPT, "application/json"),
    (ACCEPT_ENCODING, "identity"),
];

/// How much memory the tree of an answer that is needed may take beside its texts, in bytes: seventy thousand values of
/// products, and far more than a page of ordinary ones has.
const TREE_MAX: usize = 64 << 20;

/// Makes one call.
pub async fn send<H: Http>(
    host: &H,
    request: Request<Vec<u8>>,
    limits: CallLimits,
) -> Result<Response<Vec<u8>>, SendError> {
    let response = host.send(measured(dressed(request)), limits).await?;
    let response = unpacked(response, limits)?;
    if limits.needs_body_of(response.status()) && json::weight(response.body()) > TREE_MAX {
        return Err(SendError::TooLarge);
    }
    Ok(response)
}

/// Passes content on: as it is packed, and of the length that its sender gives it.
pub async fn transfer<H: Http>(
    host: &H,
    from: Request<Vec<u8>>,
    to: Request<Vec<u8>>,
    limits: CallLimits,
    max_bytes: u64,
) -> Transfer {
    let mut became = host.transfer(dressed(from), dressed(to), limits, max_bytes).await;
    let limits = limits.for_a_status();
    became.from = became.from.and_then(|response| unpacked(response, limits));
    became.to = became
        .to
        .map(|sent| sent.and_then(|response| unpacked(response, limits)));
    became
}

fn dressed(mut request: Request<Vec<u8>>) -> Request<Vec<u8>> {
    for (name, value) in COMMON {
        let header = request.headers_mut().entry(name);
        header.or_insert(HeaderValue::from_static(value));
    }
    request
}

/// The request with the length of its body, which is 0 where a body would be expected and there is none. Without a
/// length hosts send bodies in chunks, which PHP behind Apache and others read as empty, and some servers refuse with
/// 411.
fn measured(mut request: Request<Vec<u8>>) -> Request<Vec<u8>> {
    let carries_a_body = [Method::POST, Method::PUT, Method::PATCH].contains(request.method());
    if carries_a_body || !request.body().is_empty() {
        let length = HeaderValue::from(request.body().len());
        request.headers_mut().insert(CONTENT_LENGTH, length);
    }
    request
}

/// The answer as it was before it was packed. Where nothing of its body is needed, what can be had of it is enough.
fn unpacked(mut response: Response<Vec<u8>>, limits: CallLimits) -> Result<Response<Vec<u8>>, SendError> {
    let (status, codings) = (response.status(), codings(response.headers()));
    let body = response.body_mut();
    // Codings are listed in the order in which they were applied.
    for coding in codings.iter().rev() {
        // Text was not packed, whatever the header says, or somebody on the way has unpacked it.
        if is_text(body) {
            break;
        }
        *body = match unpack(coding, body, limits.most_bytes(status)) {
            Ok(content) => content,
            Err(Broken(error, _)) if limits.needs_body_of(status) => return Err(error),
            Err(Broken(_, content)) if content.is_empty() => format!("(a body packed as {coding})").into_bytes(),
            Err(Broken(_, content)) => content,
        };
    }
    Ok(response)
}

fn codings(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(CONTENT_ENCODING).iter();
    let names = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let names = names.map(|name| name.trim().to_ascii_lowercase());
    names.filter(|name| !name.is_empty() && name != "identity").collect()
}

fn is_text(body: &[u8]) -> bool {
    let is_packed = |c: char| c.is_control() && !c.is_whitespace();
    std::str::from_utf8(body).is_ok_and(|text| !text.contains(is_packed))
}

/// Why something was not unpacked, and what came out before that.
struct Broken(SendError, Vec<u8>);

/// Unpacks so many bytes at most.
fn unpack(coding: &str, body: &[u8], most: usize) -> Result<Vec<u8>, Broken> {
    let is_gzip = matches!(coding, "gzip" | "x-gzip");
    let deflated = match coding {
        _ if is_gzip => of_gzip(body),
        "deflate" => Some(of_zlib(body)),
        _ => {
            let reason = format!("it is packed as `{coding}`, though `identity` was asked for");
            return Err(Broken(SendError::Unreadable(reason), Vec::new()));
        }
    };
    let strange = || SendError::Unreadable(format!("it is not `{coding}`, as it says"));
    let cut = || SendError::Lost("the answer ends before its content does".to_owned());
    let Some(deflated) = deflated else {
        return Err(Broken(strange(), Vec::new()));
    };
    match decompress_to_vec_with_limit(deflated, most) {
        // A gzip ends with the length of its content: one that does not is cut, or has more behind it.
        Ok(content) if is_gzip && !body.ends_with(&(content.len() as u32).to_le_bytes()) => Err(Broken(cut(), content)),
        Ok(content) => Ok(content),
        Err(DecompressError { status, mut output }) => {
            let error = match status {
                TINFLStatus::HasMoreOutput => SendError::TooLarge,
                TINFLStatus::FailedCannotMakeProgress | TINFLStatus::NeedsMoreInput => cut(),
                _ => strange(),
            };
            // What the decoder did not reach is zeros.
            let end = output.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            output.truncate(end);
            Err(Broken(error, output))
        }
    }
}

/// The deflated data of a body, behind its header if it has one: both forms go by the same name. No encoder begins the
/// bare form with what is a header (RFC 1950).
fn of_zlib(body: &[u8]) -> &[u8] {
    match body {
        [first, second, rest @ ..] if first & 15 == 8 && u16::from_be_bytes([*first, *second]) % 31 == 0 => rest,
        bare => bare,
    }
}

/// The deflated data of a gzip, behind its header (RFC 1952); none if it has no such header.
fn of_gzip(body: &[u8]) -> Option<&[u8]> {
    let [0x1f, 0x8b, 8, flags, _, _, _, _, _, _, rest @ ..] = body else {
        return None;
    };
    let mut rest = rest;
    if flags & 4 != 0 {
        let [low, high, more @ ..] = rest else { return None };
        rest = more.get(usize::from(u16::from_le_bytes([*low, *high]))..)?;
    }
    for text in [8, 16] {
        if flags & text != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & 2 != 0 {
        rest = rest.get(2..)?;
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use flate2::{Compression, GzBuilder};
    use http::StatusCode;
    use proptest::prelude::{any, proptest};
    use std::io::Read;
    use world::host::BEGINNING_BYTES;

    const LIMITS: CallLimits = CallLimits {
        connect_ms: 1,
        first_byte_ms: 1,
        total_ms: 1,
        body_bytes: 1 << 20,
        refusal_bytes: BEGINNING_BYTES,
        needs_body: true,
        needs_refusals: false,
    };

    const STATUS_ALONE: CallLimits = CallLimits {
        needs_body: false,
        ..LIMITS
    };

    fn packed(coding: &str, body: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        let level = Compression::default();
        let read = match coding {
            "gzip" | "x-gzip" => GzEncoder::new(body, level).read_to_end(&mut packed),
            "deflate" => ZlibEncoder::new(body, level).read_to_end(&mut packed),
            _ => DeflateEncoder::new(body, level).read_to_end(&mut packed),
        };
        read.expect("packs");
        packed
    }

    fn answer(status: u16, coding: &str, body: &[u8]) -> Response<Vec<u8>> {
        let mut response = Response::new(body.to_vec());
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        let coding = HeaderValue::from_str(coding).expect("a header");
        response.headers_mut().insert(CONTENT_ENCODING, coding);
        response
    }

    fn body(response: Result<Response<Vec<u8>>, SendError>) -> Result<Vec<u8>, SendError> {
        response.map(Response::into_body)
    }

    #[test]
    fn requests_say_who_asks_and_what_is_accepted_unless_they_say_it_themselves() {
        let request = Request::get("http://pim.test/")
            .header("accept", "*/*")
            .body(Vec::new());
        let request = measured(dressed(request.expect("a request")));
        let header = |name| request.headers().get_all(name).iter().collect::<Vec<_>>();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(header(USER_AGENT), [format!("akeneo-relay/{version}").as_str()]);
        assert_eq!(header(ACCEPT), ["*/*"]);
        assert_eq!(header(ACCEPT_ENCODING), ["identity"]);
        assert_eq!(header(CONTENT_LENGTH), Vec::<&str>::new());
    }

    #[test]
    fn a_body_has_a_length_and_so_has_one_that_is_expected_and_missing() {
        for (method, bytes, length) in [
            ("PUT", 300_000, Some("300000")),
            ("POST", 1, Some("1")),
            ("DELETE", 7, Some("7")),
            ("POST", 0, Some("0")),
            ("PUT", 0, Some("0")),
            ("PATCH", 0, Some("0")),
            ("DELETE", 0, None),
            ("GET", 0, None),
        ] {
            let request = Request::builder().method(method).body(vec![b'x'; bytes]);
            let request = measured(request.expect("a request"));
            let told = request.headers().get(CONTENT_LENGTH);
            assert_eq!(
                told.map(HeaderValue::as_bytes),
                length.map(str::as_bytes),
                "{method} {bytes}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_comes_packed_is_unpacked(content in proptest::collection::vec(any::<u8>(), 0..5000), at in 0_usize..4) {
            let (name, form) = [
                ("gzip", "gzip"),
                ("X-GZip", "gzip"),
                ("deflate", "deflate"),
                ("Deflate", "bare"),
            ][at];
            let sent = packed(form, &content);
            assert_eq!(body(unpacked(answer(200, name, &sent), LIMITS)), Ok(content));
        }
    }

    #[test]
    fn a_gzip_may_say_more_about_itself() {
        for (name, comment, extra) in [(true, false, false), (false, true, true), (true, true, true)] {
            let mut builder = GzBuilder::new().mtime(1_800_000_000);
            builder = if name { builder.filename("page.json") } else { builder };
            builder = if comment { builder.comment("a comment") } else { builder };
            builder = if extra {
                builder.extra(vec![0, 1, 2, 3, 0])
            } else {
                builder
            };
            let mut sent = Vec::new();
            let read = builder
                .read(&b"content"[..], Compression::best())
                .read_to_end(&mut sent);
            read.expect("packs");
            assert_eq!(
                body(unpacked(answer(200, "gzip", &sent), LIMITS)),
                Ok(b"content".to_vec())
            );
        }
    }

    #[test]
    fn what_was_packed_twice_is_unpacked_twice_and_what_is_empty_stays_so() {
        let twice = packed("gzip", &packed("deflate", b"content"));
        let content = body(unpacked(answer(200, "deflate, gzip", &twice), LIMITS));
        assert_eq!(content, Ok(b"content".to_vec()));
        assert_eq!(body(unpacked(answer(204, "gzip", b""), LIMITS)), Ok(Vec::new()));
        let members = [packed("gzip", b"con"), packed("gzip", b"tent")].concat();
        let half = body(unpacked(answer(200, "gzip", &members), LIMITS));
        assert!(half.is_err(), "half of it is not all: {half:?}");
    }

    #[test]
    fn what_comes_out_counts_towards_the_limit() {
        for (coding, form) in [("gzip", "gzip"), ("deflate", "deflate"), ("deflate", "bare")] {
            let full = vec![b'x'; LIMITS.body_bytes];
            assert_eq!(
                body(unpacked(answer(200, coding, &packed(form, &full)), LIMITS)),
                Ok(full)
            );
            let bomb = packed(form, &vec![b'x'; 100 * LIMITS.body_bytes]);
            assert!(bomb.len() < LIMITS.body_bytes);
            let result = body(unpacked(answer(200, coding, &bomb), LIMITS));
            assert_eq!(result, Err(SendError::TooLarge), "{form}");
            for limits in [LIMITS, STATUS_ALONE] {
                let beginning = body(unpacked(answer(500, coding, &bomb), limits)).expect("the status is enough");
                assert_eq!(beginning.len(), limits.most_bytes(StatusCode::INTERNAL_SERVER_ERROR));
            }
        }
    }

    #[test]
    fn a_refusal_that_a_rule_needs_is_worth_nothing_without_its_body() {
        let needed = CallLimits {
            needs_refusals: true,
            ..STATUS_ALONE
        };
        let broken = &packed("gzip", b"exists already")[..12];
        for (status, limits, is_worth_nothing) in [
            (400, needed, true),
            (403, needed, true),
            (400, STATUS_ALONE, false),
            (429, needed, false),
            (500, needed, false),
            (200, needed, false),
        ] {
            let result = body(unpacked(answer(status, "gzip", broken), limits));
            assert_eq!(result.is_err(), is_worth_nothing, "{status}");
            let is_read_whole = limits.most_bytes(StatusCode::from_u16(status).expect("a status")) == LIMITS.body_bytes;
            assert_eq!(is_read_whole, is_worth_nothing || status == 200, "{status}");
        }
    }

    #[test]
    fn an_answer_that_cannot_be_unpacked_is_a_failure_only_where_it_is_needed() {
        let brotli: &[u8] = b"\x8b\x06\x80some content\x03";
        let result = body(unpacked(answer(200, "br", brotli), LIMITS));
        assert!(matches!(result, Err(SendError::Unreadable(reason)) if reason.contains("`br`")));
        let broken = body(unpacked(answer(200, "gzip", brotli), LIMITS));
        assert!(matches!(broken, Err(SendError::Unreadable(_))));
        let (whole, cut) = (packed("gzip", b"content"), |whole: &[u8]| {
            whole[..whole.len() - 3].to_vec()
        });
        let result = body(unpacked(answer(200, "gzip", &cut(&whole)), LIMITS));
        assert!(matches!(result, Err(SendError::Lost(_))), "{result:?}");
        let enough = body(unpacked(answer(200, "gzip", &cut(&whole)), STATUS_ALONE));
        assert_eq!(enough, Ok(b"content".to_vec()));
        for (status, limits) in [(200, STATUS_ALONE), (429, STATUS_ALONE), (404, LIMITS)] {
            let told = body(unpacked(answer(status, "br", brotli), limits)).expect("the status is enough");
            assert!(String::from_utf8_lossy(&told).contains("br"));
        }
    }

    #[test]
    fn text_is_read_whatever_its_header_says() {
        for coding in ["utf-8", "none", "gzip", "deflate", "br"] {
            let text = "{\"né\":1}".as_bytes();
            assert_eq!(
                body(unpacked(answer(200, coding, text), LIMITS)),
                Ok(text.to_vec()),
                "{coding}"
            );
        }
    }
}
