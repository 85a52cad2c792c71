//! INFO's sections about commands: how often they came, how long they ran, and what they answered.
//!
//! Owns: their text. Must not: count or measure. Contract: docs/operations.md, "What to watch".

use super::info_text::Text;
use crate::commands::engine::Context;
use crate::commands::table;
use crate::session::Calls;

pub(super) fn commandstats(ctx: &Context<'_>, text: &mut Text) {
    for id in table().all() {
        let of = ctx.server.stats.calls(id);
        if of == Calls::default() {
            continue;
        }
        let Calls { calls, rejected, failed, nanos } = of;
        let each = if calls == 0 { 0.0 } else { nanos as f64 / 1000.0 / calls as f64 };
        text.put(format_args!(
            "cmdstat_{}:calls={calls},usec={},usec_per_call={each:.2},rejected_calls={rejected},failed_calls={failed}\r\n",
            table().get(id).full_name,
            nanos / 1000
        ));
    }
}

pub(super) fn latencystats(ctx: &Context<'_>, text: &mut Text) {
    if !ctx.config.latency_tracking {
        return;
    }
    for id in table().all() {
        let percentiles = ctx.config.latency_tracking_info_percentiles.iter();
        let shown = percentiles.filter_map(|percent| {
            let nanos = ctx.server.stats.latency(id, percent)?;
            Some(format!("p{percent}={:.3}", nanos as f64 / 1000.0))
        });
        let shown: Vec<String> = shown.collect();
        if !shown.is_empty() {
            text.put(format_args!("latency_percentiles_usec_{}:{}\r\n", table().get(id).full_name, shown.join(",")));
        }
    }
}

pub(super) fn errorstats(ctx: &Context<'_>, text: &mut Text) {
    for (code, count) in ctx.server.stats.errors() {
        text.put(format_args!("errorstat_{code}:count={count}\r\n"));
    }
}
