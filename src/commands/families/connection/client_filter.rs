//! Which clients CLIENT LIST and CLIENT KILL mean.
//!
//! Owns: the filters, by Valkey's words. Must not: find the clients, or do anything to them.

use crate::commands::engine::parse::{SYNTAX_ERROR, about, integer, is};
use crate::session::{Client, seconds};
use crate::types::Now;
use crate::wire::Args;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Normal,
    Primary,
    Replica,
    PubSub,
}

impl Class {
    fn of(client: &Client) -> Self {
        match () {
            () if client.is_primary => Self::Primary,
            () if client.is_replica() => Self::Replica,
            () if client.subscriptions.is_empty() => Self::Normal,
            () => Self::PubSub,
        }
    }

    fn named(name: &[u8]) -> Result<Self, Vec<u8>> {
        const NAMES: [(&str, Class); 6] = [
            ("normal", Class::Normal),
            ("replica", Class::Replica),
            ("slave", Class::Replica),
            ("pubsub", Class::PubSub),
            ("primary", Class::Primary),
            ("master", Class::Primary),
        ];
        let named = NAMES.into_iter().find(|(known, _)| is(name, known));
        named.map(|(_, class)| class).ok_or_else(|| about("ERR Unknown client type '", name, "'"))
    }
}

/// Which clients are meant: those that fit all of it.
#[derive(Default)]
pub(super) struct Filter<'a> {
    class: Option<Class>,
    ids: Option<Vec<i64>>,
    /// Where it comes from.
    pub addr: Option<&'a [u8]>,
    laddr: Option<&'a [u8]>,
    /// Not the one that asks.
    pub others_only: bool,
    min_age: u64,
}

impl<'a> Filter<'a> {
    /// What these words add to it.
    pub fn parse(mut self, args: Args<'a>) -> Result<Self, Vec<u8>> {
        let mut at = 0;
        while let Some(option) = args.nth(at) {
            if is(option, "id") {
                at += 1 + self.take_ids(args.skip(at + 1))?;
                continue;
            }
            let value = args.nth(at + 1).ok_or(SYNTAX_ERROR)?;
            at += 2;
            match option {
                _ if is(option, "type") => self.class = Some(Class::named(value)?),
                _ if is(option, "addr") => self.addr = Some(value),
                _ if is(option, "laddr") => self.laddr = Some(value),
                _ if is(option, "skipme") => self.others_only = yes_or_no(value).ok_or(SYNTAX_ERROR)?,
                // There is one user.
                _ if is(option, "user") && value == b"default" => {}
                _ if is(option, "user") => return Err(about("ERR No such user '", value, "'")),
                _ if is(option, "maxage") => {
                    let age = integer(value).ok_or("ERR maxage is not an integer or out of range")?;
                    self.min_age = u64::try_from(age).ok().filter(|age| *age > 0).ok_or("ERR maxage should be greater than 0")?;
                }
                _ => return Err(SYNTAX_ERROR.into()),
            }
        }
        Ok(self)
    }

    /// The ids that these words begin with; how many there are. Without any, no client is meant.
    fn take_ids(&mut self, words: Args<'_>) -> Result<usize, Vec<u8>> {
        let ids: Vec<i64> = words.iter().map_while(integer).collect();
        if ids.iter().any(|id| *id < 1) {
            return Err("ERR client-id should be greater than 0".into());
        }
        self.ids.get_or_insert_default().extend_from_slice(&ids);
        Ok(ids.len())
    }

    /// Whether a client is meant when the client `me` asks.
    pub fn fits(&self, client: &Client, me: u64, now: Now) -> bool {
        self.class.is_none_or(|class| class == Class::of(client))
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&client.id.cast_signed()))
            && self.addr.is_none_or(|addr| client.addr.to_string().as_bytes() == addr)
            && self.laddr.is_none_or(|addr| client.laddr.to_string().as_bytes() == addr)
            && !(self.others_only && client.id == me)
            && seconds(client.created.mono, now.mono) >= self.min_age
    }
}

fn yes_or_no(arg: &[u8]) -> Option<bool> {
    if is(arg, "yes") { Some(true) } else { is(arg, "no").then_some(false) }
}
