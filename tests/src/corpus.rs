//! What the targets of [`targets`] begin with: payloads of our own, and Akeneo's examples where they lie beside the project.

use crate::application::root;
use crate::fixtures;
use simulator::deliveries::Channel;
use simulator::payloads;

const MOMENTS: [&str; 14] = [
    "2026-02-03T04:05:06Z",
    "2026-02-03T04:05:06+01:00",
    "2026-02-03 04:05:06.000000",
    "2026-02-03T04:05:06.123456789-0230",
    "9999-12-31T23:59:60+14:00",
    "-0001-01-01T00:00:00Z",
    "1815-12-10T00:00:00Z",
    "Thu, 01 Jan 1970 00:01:40 GMT",
    "Tue, 3 Feb 2026 04:05:06 +0100",
    "120",
    "1.5",
    "-1e99",
    "NaN",
    "18446744073709551616",
];

const KEYS: [&str; 24] = [
    "e.1800000000.pu5.tshirt.tab12",
    "e.0000000000.mk.hAAAAAAAAAAAAAAAAAAAAAA.t1",
    "e.9999999999.cd-5.xYSBi.uAAAAAAAAAAAAAAAAAAAAAA",
    "r.p.tshirt.2.1800000080",
    "r.p.tshirt.0b.1800000080",
    "r.m.tshirt.3u.1800000080",
    "d.m.tamor.1800000000.1.2",
    "d.m.tamor.1800000000",
    // Found by the fuzzer: keys that nobody writes.
    "d.m.tamor.1800000010.0.2",
    "d.m.tamor.18446744073709551615.1.2",
    "f.tx81.1800000000",
    "f.tx81.18446744073709551615",
    "n.m.tamor",
    "i.p.17.tx81",
    "i.p.222-2237.tx81.300",
    "j.c.0",
    "x.1795826719.tr1~2emain",
    "m.817",
    "m.222-2237.tx81.300",
    "c.1800000000.tq7",
    "k.o.tfinish",
    "v.o.tfinish.tab12",
    "t.tk3",
    "reconciliation",
];

const HEADS: [&[u8]; 4] = [
    b"\x000000000000000000000000000000000000000000000000000000000000000000\n\x02HmacSHA256\n\n{}",
    b"\x00a,b\n\x01\n\x02HmacSHA256, HmacSHA256\n\x05999999999999\n\n",
    b"\x030000000000000000000000000000000000000000000000000000000000000000\n\x041800000000\n\n{\"events\":[]}",
    b"\x03\n\x041800000000\n\x041800000001\n\n",
];

const ENTITIES: [&str; 4] = [
    r#"{"uuid":"25566245-55c3-42ce-86d9-8610ac459fa8","identifier":"S-1","enabled":true,"family":"mug","categories":{"1":"a"},"values":{"sku":[{"locale":null,"scope":null,"data":"S-1"}],"price":[{"locale":"de_DE","scope":"shop","data":[{"amount":"1.50","currency":"EUR"}]}]},"associations":[],"updated":"2026-02-03T04:05:06+00:00"}"#,
    r#"{"code":"amor","parent":null,"family":"shirts","values":[],"updated":{"date":"2026-02-03 04:05:06.0","timezone_type":3,"timezone":"UTC"}}"#,
    r#"{"code":42,"labels":{"en_US":"Mugs \ud83d"},"parent":"master","position":1.50}"#,
    r#"{"code":404,"message":"Product model \"x\" does not exist or you do not have permission to access it."}"#,
];

const ANSWERS: [&str; 4] = [
    "{\"busy\":[422],\"html\":\"done\",\"errors\":\"done\",\"required\":\"/data\",\"reason\":\"/error/text\"}\n{\"data\":{\"id\":7},\"error\":{\"text\":\"no\"}}",
    "{\"rules\":[{\"status\":[400,\"5xx\"],\"at\":\"/error/code\",\"equals\":7,\"means\":\"busy\",\"wait\":{\"at\":\"/error/wait\",\"unit\":\"milliseconds\"}}]}\n{\"error\":{\"code\":7,\"wait\":1e9}}",
    "\n{\"errors\":[{\"message\":\"taken\"}]}",
    "null\n<!doctype html><p>Back soon",
];

fn bytes(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn akeneos(folders: &[&str]) -> Vec<Vec<u8>> {
    let all = folders.iter().flat_map(|folder| fixtures::payloads(folder));
    all.map(|(_, body)| body).collect()
}

fn own_deliveries(is_meant: impl Fn(Channel) -> bool) -> Vec<Vec<u8>> {
    let all = payloads::all().into_iter().filter(|payload| is_meant(payload.channel));
    all.map(|payload| payload.body).collect()
}

fn shapes() -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(root().join("shapes")).into_iter().flatten().flatten();
    files.filter_map(|file| std::fs::read(file.path()).ok()).collect()
}

/// What a target begins with, by its name; some of it at least.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "deliveries" => {
            let own = own_deliveries(|channel| channel != Channel::Notifications);
            [own, akeneos(&["event-platform", "events-api"])].concat()
        }
        "notifications" => own_deliveries(|channel| channel == Channel::Notifications),
        "signatures" => HEADS.map(<[u8]>::to_vec).to_vec(),
        "pages" => {
            let page = |items: &str| {
                let next = r#"{"next":{"href":"https://pim/api?search_after=x&limit=100"}}"#;
                format!(r#"{{"_links":{next},"_embedded":{{"items":{items}}}}}"#).into_bytes()
            };
            let list = ENTITIES.join(",");
            let own = [
                page(&format!("[{list}]")),
                page(r#"{"2":{"code":"b"},"10":{"code":"c"}}"#),
            ];
            [own.to_vec(), akeneos(&["rest"])].concat()
        }
        "items" => [bytes(&ENTITIES), akeneos(&["rest"])].concat(),
        "answers" => bytes(&ANSWERS),
        "dates" | "waits" => bytes(&MOMENTS),
        "keys" => [bytes(&KEYS), vec![KEYS.join("\n").into_bytes()]].concat(),
        "shapes" => shapes(),
        _ => [bytes(&ENTITIES), bytes(&ANSWERS), bytes(&MOMENTS), shapes()].concat(),
    }
}
