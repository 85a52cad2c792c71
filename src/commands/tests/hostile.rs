//! Whatever is sent: no panic, and exactly one reply or a wait; of SUBSCRIBE and its kin one for each name.

use super::*;
use proptest::prelude::*;

const WORDS: &[&[u8]] = &[
    b"0",
    b"1",
    b"-1",
    b"3",
    b"16384",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"",
    b"foo",
    b"{foo}bar",
    b"*",
    b"[",
    b"id",
    b"on",
    b"setname",
    b"auth",
    b"filterby",
    b"pattern",
    b"get",
    b"watch",
    b"nx",
    b"ex",
    b"match",
    b"count",
    b"samples",
    b"now",
    b"\xff\r\n",
    b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    b"node",
    b"hard",
    b"10.0.0.1",
];

fn word() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => proptest::sample::select(WORDS).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

fn request() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let names: Vec<String> = table().all().map(|id| table().get(id).full_name.clone()).collect();
    let name = prop_oneof![20 => proptest::sample::select(names), 1 => ".{0,8}".prop_map(String::from)];
    (name, proptest::collection::vec(word(), 0..7)).prop_map(|(name, rest)| {
        let words = name.split('|').map(|word| word.as_bytes().to_vec());
        words.chain(rest).collect()
    })
}

/// Ends every wait with a refusal, until the request is answered; all that was written.
fn answer(desk: &mut Desk, request: &[Vec<u8>]) -> Vec<u8> {
    let (mut flow, mut reply) = desk.request(request);
    while flow != Flow::Done {
        assert!(desk.client.waiting.is_some());
        let (next, more) = desk.resume(WaitOutcome::Failed("ERR refused".to_owned()));
        (flow, reply) = (next, [reply, more.into_bytes()].concat());
    }
    reply
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_arguments_get_one_reply(requests in proptest::collection::vec(request(), 1..40), usable: bool, resp3: bool) {
        let mut desk = Desk::new();
        desk.config.file = Some("/etc/pontoon.conf".into());
        desk.usable = usable;
        desk.client.resp3 = resp3;
        for request in requests {
            // A replica's requests have no replies.
            desk.client.replica = None;
            let reply = answer(&mut desk, &request);
            let name = request[0].to_ascii_lowercase();
            let count = introspection::count_values(&reply);
            // What a replica asks for is answered by the node, and what it acknowledges is not answered.
            let silent = [&b"psync"[..], b"sync", b"replconf"].contains(&&name[..]) && reply.is_empty();
            let several = (name.ends_with(b"subscribe") || name == b"exec") && count > 1;
            prop_assert!(silent || several || count == 1, "{count} replies to {request:?}");
            prop_assert!(desk.client.waiting.is_none() && desk.client.execution.is_none());
        }
    }
}
