//! Any bytes, in any pieces, at any stage of a channel: nothing is given on that the other end has not said.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pontoon::channel::{Channel, Keyring, MAGIC, Otherwise, Secret};

fn entropy(bytes: &mut [u8]) -> bool {
    bytes.fill(7);
    true
}

fn take(channel: &mut Channel) -> Vec<u8> {
    let bytes = channel.unsent().to_vec();
    channel.sent(bytes.len());
    bytes
}

fuzz_target!(|input: (u8, Vec<Vec<u8>>)| {
    let (stage, pieces) = input;
    let keys = Keyring::new(vec![Secret::new(&[b'a'; 32]).expect("it is long enough")], true);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut acceptor = Channel::await_offer(keys.clone(), Otherwise::Refused, entropy);
    let mut dialler = Channel::offer(&keys, entropy).expect("there is entropy").expect("there is a secret");
    let offer = take(&mut dialler);
    if stage & 1 == 1 {
        acceptor.receive(&offer, &mut theirs).expect("it is one of ours");
    }
    if stage & 2 == 2 {
        acceptor.receive(MAGIC, &mut theirs).ok();
    }
    if stage & 5 == 5 {
        dialler.receive(&take(&mut acceptor), &mut ours).ok();
    }
    let (channel, heard) = if stage & 8 == 8 { (&mut dialler, &mut ours) } else { (&mut acceptor, &mut theirs) };
    for piece in &pieces {
        if channel.receive(piece, heard).is_err() {
            break;
        }
    }
    assert!(heard.is_empty(), "a stranger was heard");
});
