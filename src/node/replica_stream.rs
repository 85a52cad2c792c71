//! What the primary of a replica sends: the handshake's answers, its data, and then its stream.
//!
//! Owns: reading the link, and running the stream. Must not: decide whom to follow, or when to dial (dataset does). Contract:
//! docs/protocol.md, "Replication".
//!
//! Whole commands of the stream are run in the turn in which they came, also when the link ends with them: what was received counts.

use crate::commands::{Flag, Flow, table};
use crate::node::Node;
use crate::node::io::long_values::{NoMemory, make_room, take_long};
use crate::node::io::sessions::{Kind, Phase, PrimaryLink, StreamReader};
use crate::node::io::transmit::Transmit;
use crate::node::serve::{KEPT_CAPACITY, Step};
use crate::replication::{SyncError, acknowledgement};
use crate::session::Client;
use crate::store::Disk;
use crate::types::ConnId;
use crate::values::Bytes;
use crate::wire::{Args, ProtocolError};

/// Why a link to a primary is closed.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Sync(#[from] SyncError),
    #[error("{0}")]
    Protocol(#[from] ProtocolError),
    #[error(transparent)]
    Memory(#[from] NoMemory),
    #[error("its stream has {0}, which a primary may not send")]
    Foreign(String),
    #[error("its stream has {name}, which is answered with {reply}")]
    Refused { name: String, reply: String },
}

impl<D: Disk> Node<D> {
    /// Takes what the primary has sent, unless what this node has goes with it.
    pub(in crate::node) fn run_primary(&mut self, conn: ConnId) {
        if self.view.is_at_its_end() {
            return;
        }
        let Some(mut session) = self.out.io.sessions.lend(conn) else { return };
        let Kind::Primary(link) = &mut session.kind else { return self.give_back(conn, session) };
        let (mut used, now) = (0, self.view.now.mono);
        let streamed = matches!(link.phase, Phase::Streaming(_));
        let heard = self.hear_primary(conn, link, &mut session.receive, &mut used, session.transmit.end());
        link.heard = now;
        if link.process.is_some() {
            self.with_metadata(|metadata, view, out| metadata.heard(&link.primary, link.process, view, out));
        }
        let begun = !streamed && matches!(link.phase, Phase::Streaming(_));
        // Behind a fault nothing has a meaning.
        session.receive.drain(..if heard.is_ok() { used } else { session.receive.len() });
        if session.receive.is_empty() {
            session.receive.shrink_to(KEPT_CAPACITY);
        }
        self.give_back(conn, session);
        if let Err(fault) = heard {
            let primary = self.dataset.role.primary().map(|id| self.metadata.state.named(&id)).unwrap_or_default();
            if self.dataset.replica_link.failed(&fault.to_string()) {
                log::warn!("The link to the primary {primary} is closed, and will be tried again: {fault}");
            }
            if matches!(fault, Fault::Sync(SyncError::Rdb(_) | SyncError::Length { .. })) {
                self.dataset.replica_link.cannot_load();
            }
            return self.close(conn);
        }
        if begun {
            // Some primaries send the stream only to who has said that the data is whole.
            self.with_dataset(|dataset, _, _, out| dataset.tell_offset(conn, out));
        }
    }

    fn hear_primary(
        &mut self,
        conn: ConnId,
        link: &mut PrimaryLink,
        received: &mut Vec<u8>,
        used: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        if let Phase::Syncing(sync) = &mut link.phase {
            let synced = sync.next(received, used, out);
            link.process = sync.process();
            let synced = synced?;
            if sync.loads().is_some_and(|history| history.id != self.dataset.stream.history().id) {
                self.dataset.role.diverged();
            }
            let Some(synced) = synced else { return Ok(()) };
            let reign = sync.reign();
            self.with_dataset(|dataset, _, _, _| dataset.take_up(synced, reign));
            link.phase = Phase::Streaming(self.with_dataset(|dataset, _, view, out| dataset.stream_reader(link, view, out)));
        }
        match &mut link.phase {
            Phase::Streaming(reader) => self.run_stream(conn, reader, received, used, out),
            Phase::Dialling | Phase::Syncing(_) => Ok(()),
        }
    }

    /// Runs the whole commands that are there, and counts their bytes. Those of a transaction count once it has run: who comes back in the
    /// middle of it gets it again from its beginning.
    fn run_stream(
        &mut self,
        conn: ConnId,
        reader: &mut StreamReader,
        received: &mut Vec<u8>,
        used: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let mut asked = false;
        while *used < received.len() {
            let Some(parsed) = reader.parser.next(&received[*used..])? else { break };
            let StreamReader { client, parser, unfinished, failed, is_closing } = &mut *reader;
            let long = take_long(received, *used, parsed.used, self.dataset.keyspace.rubble());
            let start = if long.is_some() { std::mem::take(used) } else { *used };
            let rest = &received[*used..];
            let args = long.as_ref().map_or_else(|| parser.args(rest), |long| parser.args_within(long));
            *used = if long.is_some() { 0 } else { start + parsed.used };
            if says_last_word(args) {
                *is_closing = true;
                continue;
            }
            if asks_for_offset(args) {
                asked = true;
            } else if !args.is_empty() {
                self.run_streamed(conn, client, args, failed)?;
            }
            let request = long.clone().map_or_else(|| rest[..parsed.used].into(), Bytes::from);
            if client.multi.is_some() {
                unfinished.push(request);
            } else {
                unfinished.drain(|bytes| self.dataset.stream.relay(bytes));
                self.dataset.stream.relay(request);
            }
        }
        if asked {
            acknowledgement(self.dataset.stream.offset(), out);
        }
        received.drain(..std::mem::take(used));
        Ok(make_room(received, &reader.parser)?)
    }

    /// Runs one command. One that no primary sends ends the link: what comes behind it may mean anything. A write that fails does not, as
    /// in Redis.
    fn run_streamed(&mut self, conn: ConnId, client: &mut Client, args: Args<'_>, failed: &mut bool) -> Result<(), Fault> {
        let (errors, mut reply) = (self.out.server.stats.error_replies, Transmit::default());
        let flow = self.run(conn, client, &mut reply, Step::Execute(args));
        let reply = reply.as_slice();
        let shown = reply[..reply.len().min(256)].escape_ascii();
        let writes = || client.last_command.is_some_and(|id| table().get(id).command.has(Flag::Write));
        if flow != Flow::Done {
            return Err(Fault::Foreign(name_of(args)));
        }
        if reply.starts_with(b"-") && !writes() {
            return Err(Fault::Refused { name: name_of(args), reply: shown.to_string() });
        }
        if self.out.server.stats.error_replies != errors && !std::mem::replace(failed, true) {
            log::error!(
                "A command of the primary's stream fails here, so the copies of its keys may differ: {} answers {shown}",
                name_of(args)
            );
        }
        Ok(())
    }

    /// The link to the primary is gone. What it has brought is run first.
    pub(in crate::node) fn primary_lost(&mut self, conn: ConnId, mut link: PrimaryLink, mut received: Vec<u8>) {
        let was_up = matches!(link.phase, Phase::Streaming(_));
        match &mut link.phase {
            Phase::Streaming(reader) => {
                let ran = self.run_stream(conn, reader, &mut received, &mut 0, &mut Vec::new());
                if let Err(fault) = ran {
                    log::debug!("the end of the primary's stream: {fault}");
                }
                reader.client.discard(&mut self.dataset.keyspace);
            }
            Phase::Dialling | Phase::Syncing(_) => {}
        }
        if let Phase::Syncing(sync) = link.phase
            && let Some(partial) = sync.abandon()
        {
            self.dataset.keyspace.discard(partial);
        }
        self.with_dataset(|dataset, metadata, view, out| dataset.forget_primary_link(conn, was_up, metadata, view, out));
    }
}

fn asks_for_offset(args: Args<'_>) -> bool {
    is_replconf(args, "getack")
}

fn says_last_word(args: Args<'_>) -> bool {
    args.len() == 2 && is_replconf(args, "closing")
}

fn is_replconf(args: Args<'_>, option: &str) -> bool {
    let word = |place: usize, word: &str| args.nth(place).is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
    word(0, "replconf") && word(1, option)
}

/// A command's name, as it can be shown.
fn name_of(args: Args<'_>) -> String {
    let name = args.nth(0).unwrap_or_default();
    name[..name.len().min(64)].escape_ascii().to_string()
}
