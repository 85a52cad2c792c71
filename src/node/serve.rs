//! Clients' commands: from received bytes to replies, in order, with bounds.
//!
//! Owns: the loop over one client's requests, backpressure, and what the handlers are shown of other clients.
//! Must not: know any command (commands does). Replies leave in the shell's flush, after before-sleep.

use crate::cluster::{Address, LeaderRequestKind};
use crate::commands::{self, Cluster, Context, Flow, NO_SLOT, Wait, WaitOutcome};
use crate::config::Config;
use crate::node::clients::pubsub_delivery::client_pushes;
use crate::node::clients::pubsub_delivery::{Asking, Others};
use crate::node::dataset::wait::AckWait;
use crate::node::io::long_values::{make_room, put_back, take_long};
use crate::node::io::sessions::{ClientSession, Input, Kind, MAX_UNSENT, Session};
use crate::node::io::transmit::Transmit;
use crate::node::metadata::Metadata;
use crate::node::metadata::proposals::Part;
use crate::node::views::outsiders;
use crate::node::{Node, apply_config};
use crate::session::{Client, Pause};
use crate::store::Disk;
use crate::types::{ConnId, Millis, Now};
use crate::values::Shared;
use crate::wire::{Args, Limits, Parsed, ProtocolError, Reply};

/// What a turn adds to a long reply: some tenths of a millisecond.
const REPLIED_A_TURN: usize = 128 << 10;
/// A drained receive buffer larger than this gives its memory back.
pub(in crate::node) const KEPT_CAPACITY: usize = 64 * 1024;

/// What a handler works on: one command's arguments, or the end of what it waited for.
pub(in crate::node) enum Step<'a> {
    Execute(Args<'a>),
    Resume(WaitOutcome),
}

impl Step<'_> {
    fn take(self, context: &mut Context<'_>) -> Flow {
        match self {
            Self::Execute(args) => commands::execute(context, args),
            Self::Resume(outcome) => commands::resume(context, outcome),
        }
    }
}

impl<D: Disk> Node<D> {
    /// Serves every client with input, each by a fresh reading of the clock: those before it may have taken long, or the process was
    /// stopped.
    pub(in crate::node) fn run_clients(&mut self, clock: &mut dyn FnMut() -> Now) {
        for _ in 0..self.out.io.sessions.input_count(Input::Clients) {
            let Some(conn) = self.out.io.sessions.next_input(Input::Clients) else { continue };
            self.read_clock(clock);
            match self.out.io.sessions.primary(conn) {
                Some(_) => self.run_primary(conn),
                None => self.run_client(conn),
            }
            // Subscribers that its messages have overrun, before anybody else is served.
            self.settle();
        }
    }

    fn run_client(&mut self, conn: ConnId) {
        let Some(mut session) = self.out.io.sessions.lend(conn) else { return };
        let mut received = std::mem::take(&mut session.receive);
        let mut used = 0;
        let mut flow = Flow::Done;
        go_on_replying(&mut session, self.view.now.mono);
        while matches!(flow, Flow::Done) && used < received.len() && !session.closing {
            let Kind::Client(client) = &mut session.kind else { break };
            if client.client.is_busy() {
                break;
            }
            if session.transmit.len() >= MAX_UNSENT {
                client.held_up = true;
                break;
            }
            match next_request(client, &self.view.config, &received[used..]) {
                Ok(None) => break,
                // A held request is to be read again.
                Ok(Some(parsed)) => match take_long(&mut received, used, parsed.used, self.dataset.keyspace.rubble()) {
                    None => {
                        flow = self.serve(conn, &mut session, &received[used..], None);
                        used += if matches!(flow, Flow::Held) { 0 } else { parsed.used };
                    }
                    Some(request) => {
                        used = 0;
                        flow = self.serve(conn, &mut session, &request, Some(&request));
                        if matches!(flow, Flow::Held) {
                            put_back(&mut received, request);
                        }
                    }
                },
                // As for any reply, there is no place for this one.
                Err(_) if client.client.is_replica() => flow = Flow::Close,
                Err(ProtocolError::TooBigRequest) => {
                    let Client { id, addr, .. } = &client.client;
                    log::warn!("Closing client {id} at {addr}: what it has sent is beyond client-query-buffer-limit");
                    self.out.server.stats.input_limit_disconnections += 1;
                    flow = Flow::Close;
                }
                Err(error) => {
                    self.out.server.stats.error_reply(b"ERR");
                    say_and_close(&mut session, error);
                }
            }
        }
        session.receive = received;
        session.receive.drain(..used);
        if session.receive.is_empty() {
            session.receive.shrink_to(KEPT_CAPACITY);
        } else {
            make_room_for_rest(&mut session);
        }
        self.give_back(conn, session);
        match flow {
            Flow::Done => {}
            Flow::Wait(wait) => self.suspend(conn, wait),
            Flow::Held => self.out.hold(conn),
            Flow::Close => self.hang_up(conn),
        }
    }

    /// What it was to be told is lost.
    fn hang_up(&mut self, conn: ConnId) {
        let is_replica = |session: &Session| matches!(&session.kind, Kind::Client(client) if client.client.is_replica());
        if self.out.io.sessions.get(conn).is_some_and(is_replica) {
            let why = "it has sent a request that a replica may not send";
            self.with_dataset(|dataset, metadata, _, out| dataset.drop_replica(conn, why, metadata, out));
        } else {
            self.out.end(conn, &self.dataset.stream);
        }
    }

    /// Runs the command that the session's parser has just read from `buffer`, which may be one that others can hold.
    fn serve(&mut self, conn: ConnId, session: &mut Session, buffer: &[u8], shared: Option<&Shared>) -> Flow {
        let Kind::Client(client) = &mut session.kind else { return Flow::Done };
        let ClientSession { client, parser, .. } = &mut **client;
        let args = shared.map_or_else(|| parser.args(buffer), |shared| parser.args_within(shared));
        if args.is_empty() {
            // A replica that loads shows by empty lines that it is there.
            if let Some(replica) = &mut client.replica {
                replica.heard = self.view.now.mono;
            }
            client.replies = client.replies.for_next();
            return Flow::Done;
        }
        let flow = self.run(conn, client, &mut session.transmit, Step::Execute(args));
        if client.is_replica() {
            self.dataset.feeding.add(conn);
            if let Some((id, process)) = client.replica.as_ref().and_then(|replica| replica.member()) {
                self.with_metadata(|metadata, view, out| metadata.heard(&id, Some(process), view, out));
            }
        }
        session.closing |= client.close_after_reply;
        flow
    }

    /// Runs a command, or the rest of one. The client hears its reply unless it does not want to, and what is pushed to it after that.
    pub(in crate::node) fn run(&mut self, conn: ConnId, client: &mut Client, out: &mut Transmit, step: Step<'_>) -> Flow {
        let (flow, pushes) =
            if client.replies.are_silent() { self.run_unheard(conn, client, out, step) } else { self.run_heard(conn, client, out, step) };
        client_pushes(client, out.end()).extend_from_slice(&pushes);
        if matches!(flow, Flow::Done) {
            client.replies = client.replies.for_next();
        }
        flow
    }

    /// What the command answers is lost, unless it is one that has the client hear replies again.
    #[cold]
    fn run_unheard(&mut self, conn: ConnId, client: &mut Client, out: &mut Transmit, step: Step<'_>) -> (Flow, Vec<u8>) {
        let mut replies = Transmit::default();
        let ran = self.run_heard(conn, client, &mut replies, step);
        if client.replies.are_silent() {
            client.long_reply = None;
        } else {
            replies.drain(|bytes| out.push(bytes));
        }
        ran
    }

    /// Also gives what is to be pushed to the client itself.
    fn run_heard(&mut self, conn: ConnId, client: &mut Client, out: &mut Transmit, step: Step<'_>) -> (Flow, Vec<u8>) {
        let (resp3, upstream) = (client.resp3, self.dataset.upstream(&self.out));
        let limit = self.view.config.client_output_buffer_limit.pubsub.hard;
        self.dataset.prepare_keys(!client.no_touch, &self.view, &self.out);
        let (awaited, has_final_offset, offset) =
            (self.dataset.role.is_awaited(), self.dataset.role.has_final_offset(), self.dataset.extent().offset);
        let written = (!client.is_primary && !self.dataset.stream.is_own()).then(|| self.dataset.keyspace.dirty());
        let mut others = Others::new(&mut self.out.io.sessions, Some(Asking { conn, resp3 }), limit);
        let outsiders = outsiders(&self.metadata.me, &self.metadata.own_address, &self.metadata.standing, &self.views.handshakes);
        let mut context = Context {
            // For the primary's stream nothing has expired: which keys have is said in it.
            now: if client.is_primary { Now { wall: 0, ..self.view.now } } else { self.view.now },
            slot: NO_SLOT,
            client,
            conn,
            reply: Reply::within(out, resp3),
            keyspace: &mut self.dataset.keyspace,
            stream: &mut self.dataset.stream,
            cluster: Cluster {
                me: self.metadata.me,
                address: &self.metadata.own_address,
                missed: &self.views.missed,
                state: &self.metadata.state,
                raft: &self.metadata.raft,
                joining: self.metadata.standing.is_joiner(),
                joins_soon: self.out.clients.pauses.joins_soon,
                links: &self.views.links,
                outsiders: &outsiders,
                claims: self.metadata.standing.claims(),
                offset,
                offsets: self.metadata.copies.offsets(),
                stats: &self.out.io.bus_stats,
                leaving: &self.dataset.takeover.demotion.leaving,
                awaited,
                has_final_offset,
                lease: self.dataset.lease.at(self.view.now.mono),
                lease_lapses: self.dataset.lease.lapses(),
                lease_withheld: self.metadata.clocks.withheld(),
                upstream,
                reign: self.dataset.role.reign(),
                process: self.view.nonce,
                usable: self.metadata.outlook.usable,
                last_contact: if self.metadata.raft.is_leader() { Some(self.view.now.mono) } else { self.metadata.outlook.leader_heard },
                proposals_pending: self.metadata.proposals.len(),
                store: self.store.work(),
            },
            config: &mut self.view.config,
            pubsub: &mut self.out.clients.publishing.pubsub,
            server: &mut self.out.server,
            clients: &mut others,
            pause: self.out.clients.pauses.in_force(),
        };
        let flow = step.take(&mut context);
        let Others { own_pushes, overrun, killed, .. } = others;
        self.out.close_overrun(&overrun, &self.dataset.stream);
        killed.into_iter().for_each(|conn| self.out.end(conn, &self.dataset.stream));
        written.into_iter().for_each(|written| self.part_from_history(written));
        (flow, own_pushes)
    }

    /// If more was written than this, these are no more the keys of a history that another primary goes on with.
    fn part_from_history(&mut self, written: u64) {
        if self.dataset.keyspace.dirty() != written {
            self.dataset.stream.forget(self.out.rng.repl_id(), &mut self.dataset.keyspace);
        }
    }

    pub(in crate::node) fn give_back(&mut self, conn: ConnId, session: Session) {
        let output = !session.transmit.is_empty() || session.closing;
        let replying = matches!(&session.kind, Kind::Client(client) if client.client.long_reply.is_some() && !client.held_up);
        self.out.io.sessions.give_back(conn, session);
        if replying {
            self.out.io.sessions.queue_input(conn);
        }
        if output {
            self.out.io.sessions.queue_output(conn);
        }
    }

    /// Step 10 of before-sleep: those whose change has been applied or refused. A transaction that may not go on yet is looked at again.
    pub(in crate::node) fn answer_decided(&mut self) {
        for (conn, outcome) in self.out.clients.waiting.take_decided() {
            self.metadata.reset_ended(conn);
            self.with_dataset(|dataset, metadata, _, out| dataset.failover_ended(conn, &outcome, metadata, out));
            if self.out.holds_rest(conn) {
                self.out.clients.waiting.decide_later(conn, outcome);
                continue;
            }
            if let Some(wait) = self.answer(conn, outcome) {
                self.suspend(conn, wait);
            }
        }
    }

    /// A client hears how what it has waited for ended; what the rest of its EXEC waits for.
    fn answer(&mut self, conn: ConnId, outcome: WaitOutcome) -> Option<Wait> {
        let mut session = self.out.io.sessions.lend(conn)?;
        let mut flow = Flow::Done;
        if let Kind::Client(client) = &mut session.kind {
            flow = self.run(conn, &mut client.client, &mut session.transmit, Step::Resume(outcome));
            session.closing |= client.client.close_after_reply;
        }
        self.give_back(conn, session);
        // What it had sent behind the command that waited.
        self.out.io.sessions.queue_input(conn);
        if let Flow::Wait(wait) = flow { Some(wait) } else { None }
    }

    /// A client waits. For what is done at once it is answered at once: nobody else is served in the middle of its EXEC.
    fn suspend(&mut self, conn: ConnId, wait: Wait) {
        let mut next = Some(wait);
        while let Some(wait) = next {
            let is_done = wait.is_done_at_once();
            self.begin_wait(conn, wait);
            let outcome = if is_done { self.out.clients.waiting.take_decided_of(conn) } else { None };
            next = outcome.and_then(|outcome| self.answer(conn, outcome));
        }
    }

    fn set_pause(&mut self, client: ConnId, pause: Option<Pause>) {
        self.out.pause_clients(pause);
        self.out.clients.waiting.finish(client, WaitOutcome::Done);
    }

    /// A command of `client` ended with `wait`: start what it waits for.
    pub(in crate::node) fn begin_wait(&mut self, client: ConnId, wait: Wait) {
        self.out.clients.waiting.begin(client, &wait);
        let part = Part { client, number: 0 };
        match wait {
            Wait::Changes(changes) => {
                if changes.is_empty() {
                    self.out.clients.waiting.finish(client, WaitOutcome::Changes(Vec::new()));
                }
                for (number, change) in changes.into_iter().enumerate() {
                    self.with_metadata(|metadata, view, out| metadata.propose(change, Some(Part { client, number }), view, out));
                }
            }
            Wait::Meet { ip, port, bus_port } => self.with_metadata(|metadata, view, out| {
                metadata.begin_meeting(client, &Address { ip, port, bus_port, ..Address::default() }, view, out)
            }),
            Wait::Forget(id) => self.with_metadata(|metadata, view, out| metadata.forget_member(id, part, view, out)),
            Wait::AddVoter(id) => {
                self.with_metadata(|metadata, view, out| metadata.ask_leader(LeaderRequestKind::AddVoter, id, Some(part), view, out))
            }
            Wait::DelVoter(id) => {
                self.with_metadata(|metadata, view, out| metadata.ask_leader(LeaderRequestKind::DelVoter, id, Some(part), view, out))
            }
            Wait::Reset { hard } => self.with_metadata(|metadata, view, out| metadata.begin_reset(client, hard, view, out)),
            Wait::RecoverQuorum => {
                // On disk with this turn's persist, before its step 10.
                let result = self.with_metadata(Metadata::recover_quorum);
                self.out.clients.waiting.conclude(client, result);
            }
            Wait::SaveConfig => {
                // Step 2 of this turn comes before its step 10, and a failed save ends the process.
                self.out.todo.rewrite = true;
                self.out.clients.waiting.finish(client, WaitOutcome::Done);
            }
            Wait::RewriteConfig => {
                let result = apply_config::rewrite(&self.view.config, &mut self.files);
                self.out.clients.waiting.conclude(client, result);
            }
            Wait::Listen(asked) => {
                let result = apply_config::listen(asked, &mut self.listening, &mut self.view, &mut self.out);
                self.out.clients.waiting.conclude(client, result);
            }
            Wait::Lead => self.with_metadata(|metadata, view, out| metadata.take_over(client, view, out)),
            Wait::Failover => self.with_dataset(|dataset, metadata, view, out| dataset.begin_failover(client, metadata, view, out)),
            Wait::Replicas { written, count, until } => {
                self.with_dataset(|dataset, _, _, out| dataset.await_acks(AckWait { client, written, count, until, asked: false }, out))
            }
            Wait::Pause(pause) => self.set_pause(client, Some(pause)),
            Wait::Unpause => self.set_pause(client, None),
            Wait::Save => self.with_dataset(|dataset, _, _, out| dataset.save_for(client, out)),
            Wait::Shutdown(options) => self.begin_shutdown(options),
            Wait::AbortShutdown => {
                let result = self.abort_shutdown();
                self.out.clients.waiting.conclude(client, result);
            }
        }
    }
}

/// Within the bounds of this moment: they change when a client authenticates, and by CONFIG SET.
fn next_request(client: &mut ClientSession, config: &Config, received: &[u8]) -> Result<Option<Parsed>, ProtocolError> {
    client.parser.set_limits(limits(config, client.client.authenticated));
    client.parser.next(received)
}

/// Who has broken the protocol is told how, and no more.
fn say_and_close(session: &mut Session, error: ProtocolError) {
    if !matches!(&session.kind, Kind::Client(client) if client.client.replies.are_silent()) {
        Reply::new(session.transmit.end(), false).error(format!("ERR {error}"));
    }
    session.closing = true;
}

/// More of a reply that is written over several turns, as long as its client reads.
fn go_on_replying(session: &mut Session, now: Millis) {
    let Kind::Client(client) = &mut session.kind else { return };
    let ClientSession { client, held_up, .. } = &mut **client;
    let Some(reply) = &mut client.long_reply else { return };
    *held_up = session.transmit.len() >= MAX_UNSENT;
    if *held_up {
        return;
    }
    client.last_active = now;
    if reply.go_on(REPLIED_A_TURN, &mut Reply::new(session.transmit.end(), client.resp3)) {
        client.long_reply = None;
    }
}

/// What is to come of the request that is there in part has room, or its client is told that there is none, and closed.
fn make_room_for_rest(session: &mut Session) {
    let Kind::Client(client) = &session.kind else { return };
    if let Err(error) = make_room(&mut session.receive, &client.parser) {
        log::warn!("closing client {} at {}: {error}", client.client.id, client.client.addr);
        Reply::new(session.transmit.end(), false).error(format!("OOM {error}"));
        session.receive = Vec::new();
        session.closing = true;
    }
}

/// Bounds on what a client may send.
pub(in crate::node) fn limits(config: &Config, authenticated: bool) -> Limits {
    Limits {
        max_bulk: u32::try_from(config.proto_max_bulk_len).unwrap_or(u32::MAX),
        max_request: u32::try_from(config.client_query_buffer_limit).unwrap_or(u32::MAX),
        authenticated,
        ..Limits::default()
    }
}
