//! How a command ends or prolongs a key's life: what the keyspace, replicas and listeners are told.
//!
//! Owns: that a point in time goes to replicas as such. Must not: read a client's clock.

use super::context::Context;
use super::notify::Event;
use crate::types::Millis;

/// Ends the life of a key that is there at this point in time; at once, if that is past.
pub fn end_life(ctx: &mut Context<'_>, key: &[u8], end: Millis) {
    if end > ctx.now.wall {
        ctx.keyspace.set_expiry(ctx.slot, key, Some(end), ctx.now.wall);
        ctx.notify(Event::EXPIRE, key);
        ctx.propagate_until(&[b"PEXPIREAT".into(), key.into()], end);
    } else {
        expire(ctx, key);
    }
}

/// Ends the life of a key now, if it is there.
pub fn expire(ctx: &mut Context<'_>, key: &[u8]) {
    if ctx.keyspace.expire(ctx.slot, key, ctx.now.wall) {
        ctx.notify(Event::EXPIRED, key);
        ctx.propagate_instead(&[b"UNLINK".into(), key.into()]);
    }
}

/// Lets a key live for ever; false if it does already, or is not there.
pub fn persist_key(ctx: &mut Context<'_>, key: &[u8]) -> bool {
    let now = ctx.now.wall;
    let ends = ctx.keyspace.entry(ctx.slot, key, now).is_some_and(|entry| entry.expiry.is_some());
    if ends {
        ctx.keyspace.set_expiry(ctx.slot, key, None, now);
        ctx.notify(Event::PERSIST, key);
        ctx.propagate_instead(&[b"PERSIST".into(), key.into()]);
    }
    ends
}
