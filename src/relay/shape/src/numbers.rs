//! Numbers from the PIM to the destination: as they were written, and hashed as they ever were.
//!
//! The hashes here were kept by an earlier version. If one changed, every entity with such a number would be pushed
//! again.

use super::samples::shape;
use super::*;
use serde_json::json;

const UUID: &str = "25566245-55c3-42ce-86d9-8610ac459fa8";

/// Shapes, with the names that they had when numbers were read as 64 bits and doubles.
const SHAPES: [(&str, &str); 3] = [
    ("", "identity"),
    (r#"{"products":{"values":{"form":"flat"}}}"#, "vybbRYznRAgA7YD62Mw-ew"),
    (
        r#"{"products":{"values":{"form":"flat"},"fields":[{"from":"","to":""},{"from":"/values/n","as":"text","to":"/t"},{"template":"<{/values/n}>","to":"/s"},{"from":"/values/x","as":"number","to":"/x"},{"constant":1.50,"to":"/c"}]}}"#,
        "bOTieZ3ijH0T8QP3p9y2RA",
    ),
];

/// A product with a number, and with one as a text.
fn product(number: &str, text: &str) -> Value {
    let product = format!(
        r#"{{"uuid":"{UUID}","values":{{"n":[{{"locale":null,"scope":null,"data":{number}}}],"x":[{{"locale":null,"scope":null,"data":"{text}"}}]}},"associations":[],"_links":{{"self":1}}}}"#
    );
    json::read(product.as_bytes()).expect("JSON").value
}

fn upsert(shape: &Shape, product: &Value) -> Upsert {
    match shape.apply(Kind::Product, UUID, product, &Lookups::default()) {
        Shaped::Wanted(upsert) => *upsert,
        other => panic!("{other:?}"),
    }
}

/// The hash of the product itself, and those under the shapes.
fn hashes(number: &str) -> (String, Vec<String>) {
    let product = product(number, number);
    let under = SHAPES.iter().map(|(document, _)| {
        let shape = Shape::read(document).expect("a good shape");
        shape.hash(Kind::Product, &upsert(&shape, &product))
    });
    (source_hash(&product), under.collect())
}

#[test]
fn what_64_bits_or_a_double_hold_hashes_as_it_ever_did() {
    for (document, name) in SHAPES {
        assert_eq!(Shape::read(document).expect("a good shape").name(), name, "{document}");
    }
    for (number, source, under) in [
        (
            "1.50",
            "-4GKtzEgIqkaGW1vS6hFHg",
            [
                "PfCzV30T0vQKuMozYwQmwQ",
                "wgPFKul9Xp8K0ImCA-qdvA",
                "mnHGuQ1fnlReK1ifCe8yfw",
            ],
        ),
        (
            "1.0",
            "VMLpkW0fHc8rxA0c66N3EA",
            [
                "l-HhD5lfoLrR-YiuMhXgpQ",
                "4wat5AS4dnGYPHLpPtGHuw",
                "Tl_EqYVLSxqTArXTk6FKKA",
            ],
        ),
        (
            "1e3",
            "8jeFYhnLZFt578Tdf5ZyUw",
            [
                "BCLTCsRSQGytKVuGsnDLQw",
                "l_9bmUHo4wwkb3lUNC6cLA",
                "6u2GIOXoQ2RJ5wllQy65ug",
            ],
        ),
        (
            "-0",
            "Gn8luuTvtHGCfgFnLlHccQ",
            [
                "Q1zZVoo0MtLayOM6Tjo0kw",
                "aIzKbrWCS0orMtRayEHtpQ",
                "b6T0ScUEbrC5ILbFRgcB2Q",
            ],
        ),
        (
            "0.1",
            "lPf6F_pfyABYJOvNI_L9NQ",
            [
                "Jw_Rc6HW6xJYLLUgixoxSQ",
                "kuSSSBGMsB-21hhBi7gHaA",
                "DSK4bsYm-XgTHvSYdMg4rA",
            ],
        ),
        (
            "12.10",
            "SYcPUJRQsFMhvCHi3ZgwAw",
            [
                "sMka_a2IikfDmz9DNBRWuA",
                "_YGtLrWThel0PPfVGmXQ3Q",
                "vnc_DadUGc7sIBcmv6Pagw",
            ],
        ),
        (
            "9223372036854775808",
            "eZCXQBtVpnQQSz2cmpkpVQ",
            [
                "aPJ0nbb89-SUoWrxsDjpGA",
                "cH3l7mBnQbT29qJ5iAJtww",
                "MmmygeiqJh2WY7xrLh5lEw",
            ],
        ),
        (
            "0",
            "MSTXYhjUSqN_ip28TV23wA",
            [
                "5lb0JKcwpcFLXBASJGfVaA",
                "EbxU4vgkNWfja6n64TPTBw",
                "d7xKUFhsM08XELW7JsD5Ng",
            ],
        ),
        (
            "1",
            "jmluaGuu0reijLx5w-zfFQ",
            [
                "dmA8IpRIyURWbgXf4rUbpQ",
                "prI4BTnboULmouOVjmBrJw",
                "GAgDeignlHABpVt15F6vhA",
            ],
        ),
        (
            "-7",
            "Pf7H4DzvO68iQN8cmbBdvw",
            [
                "Rc5n-iDmB_3xMHGpyZLtxw",
                "jv5qCi4ZK_sJqWht8JJk2A",
                "Dx1vv81EjOv6WTM0TiOYJQ",
            ],
        ),
        (
            "-9223372036854775808",
            "puPINRDlD74ESas9VW0hXg",
            [
                "Tq1kymiBxIDdc3qBis2acQ",
                "P1KFtHQI_3O_9QAa4N5l4A",
                "hWaA5rqparVLw61ZB5u8sg",
            ],
        ),
        (
            "18446744073709551615",
            "IPEf6O3hqrGKGmsz-VBfsg",
            [
                "qF59vFi4aYVoN-DXl1avbQ",
                "Aj3OBcw9NzAPN9w_kkjFmQ",
                "rXbDeOXyiLqSP0fwbyRMDg",
            ],
        ),
        (
            "1e16",
            "daunVDlK3RFCgDA-AAyzYw",
            [
                "cY22hg0x1PrfgoXPP5-ppQ",
                "nOapWJDUC6pBeCAixRebAg",
                "5qcweFjgGvAd6fWD2Jr7Rg",
            ],
        ),
        (
            "1e23",
            "VyGr8jq23NncTrrU2DVhKQ",
            [
                "SL8nGXcFOGHkp5OBcALzRA",
                "qDNtkjlgY7M6MoZqPeDymg",
                "pbyyt11gCitVJ_LONb50Ig",
            ],
        ),
        (
            "1E-7",
            "Pxn4n48ASfjn8f0P19yrFg",
            [
                "_ykcnvMDOfoKN_cF3F0Tnw",
                "B5J8D71ag6UJ7n_mWCgHHA",
                "nTL8x2E1ubjn1SD45OpdgQ",
            ],
        ),
        (
            "0.00",
            "Bn4pkWuHL4NkgTWh5t7LHw",
            [
                "8pbjYtk8N8EwCZGHFZcKYw",
                "qPGqDfuMbnvg_Oa_pWFJ4w",
                "wk-mIUu6o2x1i3Muvl7lGQ",
            ],
        ),
        (
            "123456.789",
            "ZOI_QkNn3KJ-8Ld7ctfZhw",
            [
                "KImOip4uM3JEMhACt13hDw",
                "Fq34aiXMHJH_1f2F5_30mg",
                "UXelcbVJSZeSUHIkTaOjCQ",
            ],
        ),
        (
            "2.5e-8",
            "EMwJNvuzkkMatDn8Ak7lPw",
            [
                "pJIbhbmC81UxB6-xR8HLWA",
                "wiGfUK0xkYPg9PSLQ3pVSQ",
                "NJjElN8jZm4nlyAfKJTCWg",
            ],
        ),
    ] {
        let (of_source, of_shapes) = hashes(number);
        assert_eq!(of_source, source, "{number}");
        assert_eq!(of_shapes, under, "{number}");
    }
}

#[test]
fn what_was_not_read_to_the_last_digit_hashes_by_its_digits() {
    for (number, source, under) in [
        (
            "9007199254740991.0",
            "H2Sawv2UnqDXGaoK9TWx4w",
            [
                "ckzET1Yc8w7hJ2Gf9dHnbg",
                "s7J9MZ8wxbzzZ8nTTzSapQ",
                "IkWfRweW77Fkx1VgqIF4GA",
            ],
        ),
        (
            "117.63331139400017",
            "qxAs-fry3VNjkqOhc3dBVw",
            [
                "DRjkS82pewsUocZqRYdIMw",
                "tLmJR-r46dU7ohJSaVFkHw",
                "pB1vHPbdq_5PI5q-7SWi8A",
            ],
        ),
        (
            "123456789012345680000",
            "D7KsS2cQdXG2IubIEW_5AQ",
            [
                "Ul_ZQckmf9PcZ0I95nO-iw",
                "I2C-_uWOTjYN0gfvZT8ntQ",
                "I9V6XM84fyl6qyTcjKPkjQ",
            ],
        ),
        (
            "117.63331400000000019",
            "rduYxTXXm-QGtp-Z_EN-Wg",
            [
                "kWGosnjal8UsLx1yXX1Pkw",
                "-YIL4b8FjiihXqgLJuLD2Q",
                "IwU6nD8unKlgSAGC8VWo2A",
            ],
        ),
        (
            "12345678901234567890123",
            "kB7iTv-hdXB-Jt5DJYHSeQ",
            [
                "3Dxm6QV0pHFNBQs_N6SSTQ",
                "q4bhrjHsUg4x_EhMxj8YhA",
                "9_7XvsR83t6QKgt5p1DiMQ",
            ],
        ),
    ] {
        let (of_source, of_shapes) = hashes(number);
        assert_ne!(of_source, source, "{number}");
        assert!(under.iter().zip(&of_shapes).all(|(old, new)| old != new), "{number}");
        let (first, rest) = number.split_at(1);
        let exponent = number.find('.').unwrap_or(number.len()) - 1;
        let rewritten = format!("{first}.{}00e{exponent}", rest.replace('.', ""));
        let hash = |number: &str| source_hash(&product(number, "1"));
        assert_eq!(hash(&rewritten), hash(number), "{rewritten}");
        assert_ne!(hash(&format!("{}4", &number[..number.len() - 1])), hash(number));
    }
}

#[test]
fn numbers_go_out_as_they_came_in() {
    for number in [
        "1.50",
        "1e3",
        "-0",
        "12345678901234567890123",
        "117.63331400000000019",
        "1E-7",
        "0.10",
    ] {
        let [identity, _, fields] =
            SHAPES.map(|(document, _)| upsert(&Shape::read(document).expect("a good shape"), &product(number, number)));
        assert!(
            json::write(identity.body()).contains(&format!(r#""data":{number}"#)),
            "{number}"
        );
        let text = json::write(fields.body());
        assert!(
            text.contains(&format!(r#""x":{number}"#)) && text.contains(r#""c":1.50"#),
            "{text}"
        );
    }
    // What is no number in JSON is left out.
    for text in ["12,10", "+5", ".5", "5.", "0x10", "1 000", "NaN", ""] {
        let rules =
            json!({ "values": { "form": "flat" }, "fields": [{ "from": "/values/x", "as": "number", "to": "/x" }] });
        let body = upsert(&shape(&json!({ "products": rules })), &product("1", text))
            .body()
            .clone();
        assert_eq!(body, json!({}), "{text}");
    }
}
