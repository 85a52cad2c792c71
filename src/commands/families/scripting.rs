//! FUNCTION LIST, DUMP and RESTORE for a node without functions: `redis-cli --cluster add-node` carries them from the old node to the new
//! one.
//!
//! Owns: the payload of no functions (RDB version and checksum, nothing between). Must not: pretend to hold any.

use crate::commands::engine::parse::{about, is, shown};
use crate::commands::engine::{Command, Context, Flag, Flow, Group};
use crate::wire::Args;

const SCRIPTING: Group = Group::SCRIPTING;

/// The family's commands.
pub const COMMANDS: &[Command] = &[Command::container("function", SCRIPTING, "7.0.0", "A container for function commands.", SUBCOMMANDS)];

const SUBCOMMANDS: &[Command] = &[
    Command::new("dump", 2, &[Flag::NoScript], SCRIPTING, "7.0.0", "Dumps all libraries into a serialized binary payload.", dump),
    Command::new(
        "help",
        2,
        &[Flag::Loading, Flag::Stale],
        SCRIPTING,
        "7.0.0",
        "Returns helpful text about the different subcommands.",
        help,
    ),
    Command::new("list", -2, &[Flag::NoScript], SCRIPTING, "7.0.0", "Returns information about all libraries.", list)
        .tips(&["nondeterministic_output_order"]),
    Command::new(
        "restore",
        -3,
        &[Flag::Write, Flag::DenyOom, Flag::NoScript],
        SCRIPTING,
        "7.0.0",
        "Restores all libraries from a payload.",
        restore,
    )
    .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
];

/// The RDB version in the footer of payloads, and the highest that is taken.
const RDB_VERSION: u16 = 11;
/// Version (2 bytes) and checksum (8 bytes).
const FOOTER_BYTES: usize = 10;
/// x^64 + ... of CRC-64/Jones, reflected, as in Redis' payloads.
const CRC64_POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;

fn crc64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u64::from(*byte), |crc: u64, _| if crc & 1 == 1 { crc >> 1 ^ CRC64_POLYNOMIAL } else { crc >> 1 })
    })
}

fn dump(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    let mut payload = [0; FOOTER_BYTES];
    payload[..2].copy_from_slice(&RDB_VERSION.to_le_bytes());
    let crc = crc64(&payload[..2]);
    payload[2..].copy_from_slice(&crc.to_le_bytes());
    ctx.reply.bulk(&payload);
    Flow::Done
}

fn list(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let (mut with_code, mut of_library) = (false, false);
    let mut words = args.skip(2).iter();
    while let Some(word) = words.next() {
        // Each may be said once.
        let known = match word {
            _ if is(word, "withcode") => !std::mem::replace(&mut with_code, true),
            _ if is(word, "libraryname") => !std::mem::replace(&mut of_library, true),
            _ => false,
        };
        if !known {
            return ctx.fail(about("ERR Unknown argument ", word, ""));
        }
        if is(word, "libraryname") && words.next().is_none() {
            return ctx.fail("ERR library name argument was not given");
        }
    }
    ctx.reply.array(0);
    Flow::Done
}

/// What stands before the footer, if version and checksum are right.
fn content(payload: &[u8]) -> Option<&[u8]> {
    let (content, footer) = payload.split_at_checked(payload.len().checked_sub(FOOTER_BYTES)?)?;
    let version = u16::from_le_bytes([footer[0], footer[1]]);
    let sum = crc64(&payload[..payload.len() - 8]).to_le_bytes();
    (version <= RDB_VERSION && sum == footer[2..]).then_some(content)
}

fn restore(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    if args.len() > 4 {
        let word = shown(args.get(1), 128);
        return ctx.fail(about("ERR unknown subcommand or wrong number of arguments for '", word, "'. Try FUNCTION HELP."));
    }
    if let Some(policy) = args.nth(3)
        && !["flush", "append", "replace"].iter().any(|word| is(policy, word))
    {
        return ctx.fail("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.");
    }
    match content(args.get(2)) {
        None => ctx.fail("ERR DUMP payload version or checksum are wrong"),
        Some([]) => ctx.done(),
        Some(_) => ctx.fail("ERR functions are not supported: only a payload without functions can be restored"),
    }
}

fn help(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.help(
        "FUNCTION",
        &[
            "DUMP",
            "    Return a serialized payload representing the current libraries, can be restored using FUNCTION RESTORE command",
            "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
            "    Return general information on all the libraries.",
            "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
            "    Restore the libraries represented by the given payload, which must hold none.",
        ],
    );
    Flow::Done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_redis() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        // `FUNCTION DUMP` of Redis 7.0 without functions.
        assert_eq!(content(b"\x0a\x00REPLACE"), None);
    }
}
