//! What a node would load from a file, in words: `pontoon --check-nodes-conf FILE`.
//!
//! Owns: that report. Must not: change the file, or judge otherwise than the loader (it asks the loader). Contract: docs/nodes-conf.md,
//! "Checking a file".

use super::disk::Disk;
use super::nodes_conf::{self, Contents};
use super::standing::Standing;
use crate::types::NodeId;
use std::fmt::Write;
use std::path::Path;

/// The report on the file at `path`, and whether a node would start from it.
pub fn report_file(disk: &mut impl Disk, path: &Path) -> (String, bool) {
    match disk.read(path) {
        Ok(Some(bytes)) => {
            let (text, good) = report(&bytes);
            (format!("{}: {text}", path.display()), good)
        }
        Ok(None) => (format!("{}: there is no such file\n", path.display()), false),
        Err(error) => (format!("{}: {error}\n", path.display()), false),
    }
}

/// The report on a file's bytes, and whether a node would start from them.
pub fn report(bytes: &[u8]) -> (String, bool) {
    match nodes_conf::read(bytes) {
        Ok(contents) => (describe(bytes.len(), &contents), true),
        Err(damage) => {
            let summary = format!("{} bytes, a node would refuse it\n", bytes.len());
            let text =
                format!("{summary}  line {}, byte {}: {}\n  {}\n", damage.line, damage.offset, damage.problem, damage.problem.advice());
            (text, false)
        }
    }
}

fn describe(length: usize, contents: &Contents) -> String {
    let mut out = format!("{length} bytes, a node would load it\n");
    // Writing to a String never fails.
    let _ = describe_snapshot(contents, &mut out).and_then(|()| describe_tail(contents, &mut out));
    out
}

fn describe_snapshot(contents: &Contents, out: &mut String) -> std::fmt::Result {
    let Contents { own, state, snapshot_bytes, crc, .. } = contents;
    writeln!(out, "  snapshot       bytes 0-{snapshot_bytes}, crc {crc:08x} is right")?;
    writeln!(out, "  myself         {}, incarnation {} (a load makes it {})", own.me, own.incarnation, own.incarnation + 1)?;
    writeln!(out, "  cluster        {}", state.cluster_id())?;
    writeln!(out, "  standing       {}", describe_standing(&contents.standing))?;
    writeln!(out, "  currentTerm    {}, votedFor {}", own.term, own.voted_for.map_or("-".to_owned(), |id| id.to_string()))?;
    writeln!(out, "  lastApplied    {}, snapshotTerm {}", state.last_applied(), state.last_term())?;
    let voters: Vec<String> = state.voters().iter().map(NodeId::to_string).collect();
    writeln!(
        out,
        "  members        {}, slots assigned {}, state hash {:016x}",
        state.member_count(),
        state.assigned_slots(),
        state.hash()
    )?;
    writeln!(out, "  voters         {}", if voters.is_empty() { "-".to_owned() } else { voters.join(",") })
}

fn describe_standing(standing: &Standing) -> String {
    match standing {
        Standing::Member => "member".to_owned(),
        Standing::Claiming(claims) => format!("member, claims {} slot ranges", claims.len()),
        Standing::Joiner(joiner) => {
            let way_back = joiner
                .fallback
                .as_ref()
                .map_or("has acknowledged it".to_owned(), |old| format!("can go back to {}", old.state.cluster_id()));
            format!("joiner of {}, {way_back}, claims {} slot ranges", joiner.cluster, joiner.claims.len())
        }
    }
}

fn describe_tail(contents: &Contents, out: &mut String) -> std::fmt::Result {
    let tail = &contents.tail;
    let (first, last) = (tail.log.first_index(), tail.log.last_index());
    if tail.log.is_empty() {
        writeln!(out, "  log            no entries after the snapshot")?;
    } else {
        writeln!(out, "  log            {} entries, {first}-{last}, last term {}", tail.log.len(), tail.log.last_term())?;
    }
    writeln!(out, "  synced         up to {}", tail.synced)?;
    match &tail.cut {
        None => writeln!(out, "  torn append    none"),
        Some(cut) => {
            writeln!(
                out,
                "  torn append    {} bytes from byte {} (line {}) on would be cut off: {}",
                cut.bytes, cut.offset, cut.line, cut.why
            )
        }
    }
}
