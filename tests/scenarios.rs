//! Scenarios: message traces of Raft cores as text, `tests/raft/*.txt`, compared literally. `UPDATE_SCENARIOS=1` writes what comes out.
//!
//! A line that begins with `> ` is a command; what it says follows it. Everything else before the next command is its expected output;
//! blank lines and lines with `#` are comments. Nodes are letters. A node that gets an input takes its turn (persist, commit, answer,
//! replicate) at once, unless it is held. Commands:
//!
//! | command | meaning |
//! |---|---|
//! | `nodes abc`, `nodes abc voters ab` | a formed cluster, all linked, nothing in the log |
//! | `node a term 2 [vote b] [voters abc] log 1.x 2.y` | one node from its disk; members are the voters |
//! | `joiner b`, `found a` | a blank node; a cluster of one |
//! | `wait 500`, `run 3000` | time passes; the same with timers and messages |
//! | `tick a`, `timeout a` | its timers; the same at its next deadline |
//! | `deliver`, `deliver ab`, `deliver ab 1` | all messages; those of a to b; only so many |
//! | `drop ab`, `cut ab`, `heal ab`, `isolate a`, `rejoin a` | messages of a to b are lost; links of a pair, of a node with all |
//! | `propose a x`, `depose a p`, `fail a p`, `enter a b` | a payload, one that takes slots of p, one that bars p ungated, one that makes b
//! a member |
//! | `await a p q`, `await a` | proposals against p and q wait at a's gate; none does |
//! | `dead a p`, `hello a p` | a knows p's process to be dead; a hears a frame of p that is none of Raft's |
//! | `voter a +b`, `voter a -b`, `plan a` | a voting entry by hand, or the leader's own next one |
//! | `want a 3`, `grant a 2000`, `zone east ab`, `flag b`, `unflag b` | cluster-raft-voters and W of a node; availability zones; failure
//! flags |
//! | `transfer a b`, `transfer a`, `compact a 3`, `crash a`, `restart a`, `hold a`, `persist a`, `turn a`, `release a` | |
//! | `copy a`, `restore a` | a backup of its disk; a node that is down gets it back |
//! | `inject a>b AE term 2 prev 3/1 commit 4 round 1 [nonce 1 clock 9000] [lease 2000] log 2.x` | `b` is given a forged message |
//! | `status`, `log a`, `progress a`, `lease a`, `gate a p` | `gate`: whether it is open against p, and when p may be called failed |

#[path = "raft/harness.rs"]
mod harness;

use harness::{Image, State, Toy, World, id, name, names};
use pontoon::raft::message::{Append, AppendAck, Vote, VoteRequest};
use pontoon::raft::*;
use pontoon::types::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

struct Runner {
    world: World,
    out: String,
    /// What each node looked like after the last command.
    shown: BTreeMap<char, String>,
    /// Backups of disks.
    copies: BTreeMap<char, Image>,
    /// Availability zones, and who is flagged as failed: what the cluster's state would tell a leader.
    zones: BTreeMap<char, String>,
    flagged: BTreeSet<char>,
}

fn letter(word: &str) -> char {
    word.chars().next().expect("a node's letter")
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or_else(|_| panic!("a number, not {word}"))
}

fn parse_entry(word: &str) -> Entry<Toy> {
    let (term, body) = word.split_once('.').expect("term.body");
    let body = match body.split_once('-') {
        _ if body == "noop" => Body::Noop { lease: harness::LEASE },
        Some(("", node)) => Body::DelVoter { id: id(letter(node)), by_hand: true },
        Some(("found", node)) => Body::App(Toy::Found(id(letter(node)))),
        Some(("enter", node)) => Body::App(Toy::Join(id(letter(node)))),
        Some(("fail", node)) => Body::App(Toy::Fail(id(letter(node)))),
        Some(("depose", node)) => Body::App(Toy::Depose(id(letter(node)))),
        _ if body.starts_with('+') => Body::AddVoter { ids: body.chars().skip(1).map(id).collect() },
        _ => Body::App(Toy::Say(body.into())),
    };
    Entry { term: number(term), origin: None, body }
}

fn show_entry(entry: &Entry<Toy>) -> String {
    let body = match &entry.body {
        Body::Noop { .. } => "noop".into(),
        Body::AddVoter { ids } => format!("+{}", names(ids)),
        Body::DelVoter { id, .. } => format!("-{}", name(id)),
        Body::App(Toy::Found(id)) => format!("found-{}", name(id)),
        Body::App(Toy::Join(id)) => format!("enter-{}", name(id)),
        Body::App(Toy::Fail(id)) => format!("fail-{}", name(id)),
        Body::App(Toy::Depose(id)) => format!("depose-{}", name(id)),
        Body::App(Toy::Say(text)) => text.clone(),
    };
    format!("{}.{body}", entry.term)
}

fn show_message(message: &Message<Toy>) -> String {
    let yes = |yes: bool| if yes { "yes" } else { "no" };
    match message {
        Message::Append(Append { term, prev_index, prev_term, quorum, commit, round, token, entries, .. }) => {
            let entries: String = entries.iter().map(|entry| format!(" {}", show_entry(entry))).collect();
            let token = if token.nonce == 0 { String::new() } else { format!(" token {}", token.clock) };
            format!("AE term {term} prev {prev_index}/{prev_term} quorum {quorum} commit {commit} round {round}{token}{entries}")
        }
        Message::AppendAck(ack) => {
            format!("AE_ACK term {} ok {} index {} last {} round {}", ack.term, yes(ack.ok), ack.index, ack.last_index, ack.round)
        }
        Message::VoteRequest(request) => {
            let (what, transfer) = (if request.pre { "PRE_VOTE_REQ" } else { "VOTE_REQ" }, if request.transfer { " transfer" } else { "" });
            format!("{what} term {} last {}/{} round {}{transfer}", request.term, request.last_index, request.last_term, request.round)
        }
        Message::Vote(vote) => {
            let (what, Vote { term, round, .. }) = (if vote.pre { "PRE_VOTE" } else { "VOTE" }, vote);
            let ages: String = vote.ages.iter().map(|(id, age)| format!(" {}={age}", name(id))).collect();
            format!("{what} term {term} granted {} round {round}{ages}", yes(vote.granted))
        }
        Message::InstallSnapshot(snapshot) => {
            let InstallSnapshot { term, last_index, last_term, round, .. } = snapshot;
            format!("INSTALL_SNAPSHOT term {term} last {last_index}/{last_term} round {round}")
        }
        Message::TimeoutNow { term } => format!("TIMEOUT_NOW term {term}"),
    }
}

impl Runner {
    fn run(script: &str) -> String {
        let (copies, zones, flagged) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let mut runner = Self { world: World::new(1), out: String::new(), shown: BTreeMap::new(), copies, zones, flagged };
        let mut text = String::new();
        for line in script.lines() {
            if let Some(command) = line.strip_prefix("> ") {
                runner.command(command);
                runner.changes();
                let _ = write!(text, "{line}\n{}", std::mem::take(&mut runner.out));
            } else if line.is_empty() || line.starts_with('#') {
                let _ = writeln!(text, "{line}");
            }
        }
        text
    }

    fn command(&mut self, command: &str) {
        let words: Vec<&str> = command.split(' ').collect();
        let (first, rest) = words.split_first().expect("a command");
        let known = self.formation(first, rest) || self.time(first, rest) || self.network(first, rest) || self.change(first, rest);
        assert!(known || self.process(first, rest) || self.question(first, rest), "unknown command: {command}");
    }

    fn formation(&mut self, command: &str, rest: &[&str]) -> bool {
        match (command, rest) {
            ("nodes", [all, more @ ..]) => {
                let members: Vec<char> = all.chars().collect();
                let voters: Vec<char> = more.get(1).unwrap_or(all).chars().collect();
                members.iter().for_each(|node| self.world.add(*node, World::formed(&members, &voters)));
            }
            ("node", [node, fields @ ..]) => self.world.add(letter(node), parse_image(fields)),
            ("joiner", [nodes]) => nodes.chars().for_each(|node| self.world.add(node, World::blank())),
            ("found", [node]) => self.world.found(letter(node)),
            ("zone", [zone, nodes]) => nodes.chars().for_each(|node| drop(self.zones.insert(node, (*zone).to_owned()))),
            ("flag", [nodes]) => self.flagged.extend(nodes.chars()),
            ("unflag", [nodes]) => self.flagged.retain(|node| !nodes.contains(*node)),
            _ => return false,
        }
        true
    }

    fn time(&mut self, command: &str, rest: &[&str]) -> bool {
        match (command, rest) {
            ("wait", [span]) => self.world.now += number(span),
            ("run", [span]) => self.run_for(number(span)),
            ("tick", [nodes]) => nodes.chars().for_each(|node| self.tick(node)),
            ("timeout", [node]) => {
                let deadline = self.world.raft(letter(node)).next_deadline().expect("it has a deadline");
                self.world.now = self.world.now.max(deadline);
                self.tick(letter(node));
            }
            _ => return false,
        }
        true
    }

    fn tick(&mut self, node: char) {
        self.world.input(node, |raft, now| raft.tick(now));
    }

    /// Timers and messages for a while, without a word about each.
    fn run_for(&mut self, span: Millis) {
        let end = self.world.now + span;
        while self.world.now < end {
            self.deliver_all(false);
            self.world.now += 10;
            let nodes: Vec<char> = self.world.nodes.keys().copied().collect();
            nodes.into_iter().for_each(|node| self.tick(node));
        }
        self.deliver_all(false);
    }

    fn deliver_all(&mut self, say: bool) {
        let pairs: Vec<(char, char)> = self.world.links.keys().copied().collect();
        for _ in 0..1000 {
            if pairs.iter().filter(|(a, b)| self.deliver(*a, *b, usize::MAX, say)).count() == 0 {
                return;
            }
        }
        panic!("they never stop talking:\n{}", self.out.lines().rev().take(20).collect::<Vec<_>>().join("\n"));
    }

    /// Delivers what `a` has for `b` at this moment; true if there was anything.
    fn deliver(&mut self, a: char, b: char, count: usize, say: bool) -> bool {
        let waiting = |answer: bool| {
            let link = self.world.links.get(&if answer { (b, a) } else { (a, b) });
            link.map_or(0, |link| if answer { link.answers.len() } else { link.requests.len() })
        };
        let queue = std::iter::repeat_n(true, waiting(true)).chain(std::iter::repeat_n(false, waiting(false)));
        let mut any = false;
        for answer in queue.take(count) {
            let Some((message, result)) = self.world.deliver_one(a, b, answer) else { continue };
            any = true;
            if say || result.is_err() {
                let fault = result.err().map_or(String::new(), |fault| format!(" => link dropped: {fault}"));
                let _ = writeln!(self.out, "{a}>{b} {}{fault}", show_message(&message));
            }
        }
        any
    }

    fn network(&mut self, command: &str, rest: &[&str]) -> bool {
        let pair = |word: &str| (letter(word), word.chars().nth(1).expect("two letters"));
        match (command, rest) {
            ("deliver", []) => self.deliver_all(true),
            ("deliver", [word, more @ ..]) => {
                let count = more.first().map_or(usize::MAX, |word| number(word) as usize);
                self.deliver(pair(word).0, pair(word).1, count, true);
            }
            ("drop", [word]) => {
                let (a, b) = pair(word);
                self.world.links.entry((a, b)).or_default().requests.clear();
                self.world.links.entry((b, a)).or_default().answers.clear();
            }
            ("cut" | "heal", [word]) => {
                let (a, b) = pair(word);
                self.both_ways(command == "cut", a, b);
            }
            ("isolate" | "rejoin", [node]) => {
                let others: Vec<char> = self.world.nodes.keys().copied().collect();
                others.into_iter().for_each(|other| self.both_ways(command == "isolate", letter(node), other));
            }
            ("inject", [pair, what @ ..]) => self.inject(pair, what),
            _ => return false,
        }
        true
    }

    fn both_ways(&mut self, cut: bool, a: char, b: char) {
        for (a, b) in [(a, b), (b, a)] {
            if cut { self.world.cut(a, b) } else { self.world.heal(a, b) }
        }
    }

    fn inject(&mut self, pair: &str, what: &[&str]) {
        let (from, to) = pair.split_once('>').expect("from>to");
        let (from, to) = (letter(from), letter(to));
        let field = |key: &str| what.iter().position(|word| *word == key).map(|place| what[place + 1]);
        let value = |key: &str| field(key).map_or(0, number);
        let place =
            |key: &str| field(key).map_or((0, 0), |word| word.split_once('/').map(|(a, b)| (number(a), number(b))).expect("index/term"));
        let entries = what.iter().skip_while(|word| **word != "log").skip(1).map(|word| parse_entry(word)).collect();
        let (term, round, leader) = (value("term"), value("round"), id(from));
        let message = match what[0] {
            "AE" => {
                let ((prev_index, prev_term), commit) = (place("prev"), value("commit"));
                Message::Append(Append {
                    leader,
                    term,
                    prev_index,
                    prev_term,
                    quorum: commit,
                    commit,
                    round,
                    token: Token { nonce: value("nonce"), clock: value("clock") },
                    lease: field("lease").map_or(harness::LEASE, number),
                    entries,
                })
            }
            "AE_ACK" => {
                let ok = field("ok") == Some("yes");
                let (index, last_index) = (value("index"), value("last"));
                Message::AppendAck(AppendAck { term, ok, index, last_index, round, extent: Extent::default(), token: Token::default() })
            }
            "VOTE_REQ" | "PRE_VOTE_REQ" => {
                let ((last_index, last_term), pre) = (place("last"), what[0] == "PRE_VOTE_REQ");
                let transfer = what.contains(&"transfer");
                Message::VoteRequest(VoteRequest { pre, candidate: leader, term, last_index, last_term, round, transfer })
            }
            "TIMEOUT_NOW" => Message::TimeoutNow { term },
            "INSTALL_SNAPSHOT" => {
                let (last_index, last_term) = place("last");
                Message::InstallSnapshot(InstallSnapshot { leader, term, last_index, last_term, round, bytes: Vec::new() })
            }
            other => panic!("cannot forge {other}"),
        };
        let conn = self.world.links.get(&(from, to)).and_then(|link| link.conn).unwrap_or(ConnId { place: 0, generation: 0 });
        if let Err(fault) = self.world.give(conn, from, to, message) {
            let _ = writeln!(self.out, "link dropped: {fault}");
        }
    }

    fn change(&mut self, command: &str, rest: &[&str]) -> bool {
        let [node, more @ ..] = rest else { return false };
        let leader = letter(node);
        match (command, more) {
            ("propose", words) => words.iter().for_each(|word| self.append(leader, Toy::Say((*word).into()))),
            ("depose", [primary]) => self.append(leader, Toy::Depose(id(letter(primary)))),
            ("fail", [node]) => self.append(leader, Toy::Fail(id(letter(node)))),
            ("await", nodes) => {
                let nodes = nodes.iter().map(|node| id(letter(node))).collect();
                self.world.input(leader, |raft, _| raft.await_gate(nodes));
            }
            ("dead", [node]) => {
                self.world.input(leader, |raft, _| raft.set_dead(id(letter(node))));
            }
            ("hello", [node]) => {
                self.world.input(leader, |raft, _| raft.clear_dead(&id(letter(node))));
            }
            ("enter", [node]) => self.append(leader, Toy::Join(id(letter(node)))),
            ("voter", [word]) => self.vote_change(leader, parse_entry(&format!("0.{word}")).body),
            ("plan", []) => self.plan(leader),
            ("want", [count]) => self.set(leader, |settings| settings.voters = number(count) as usize),
            ("grant", [lease]) => self.set(leader, |settings| settings.lease = number(lease)),
            ("transfer", to) => {
                let target = to.first().map(|to| id(letter(to)));
                let begun = self.world.input(leader, |raft, now| raft.transfer_to(target, now));
                let _ = writeln!(self.out, "{}", if begun == Some(true) { "begun" } else { "not begun" });
            }
            _ => return false,
        }
        true
    }

    /// An option of one node.
    fn set(&mut self, node: char, change: impl FnOnce(&mut Settings)) {
        let mut settings = self.world.settings;
        change(&mut settings);
        self.world.input(node, |raft, _| raft.set_settings(settings));
    }

    fn append(&mut self, leader: char, change: Toy) {
        if let Some(Err(refused)) = self.world.input(leader, |raft, _| raft.append(None, change)) {
            let _ = writeln!(self.out, "refused: {refused}");
        }
    }

    fn vote_change(&mut self, leader: char, body: Body<Toy>) {
        if let Some(Err(refused)) = self.world.input(leader, |raft, now| raft.change_voters(body, now)) {
            let _ = writeln!(self.out, "refused: {refused}");
        }
    }

    fn plan(&mut self, leader: char) {
        let prospect = |id: &NodeId| {
            let zone = self.zones.get(&name(id)).map_or("", String::as_str);
            Prospect { id: *id, zone, failed: self.flagged.contains(&name(id)), eligible: true }
        };
        let members: Vec<Prospect> = self.world.nodes[&leader].state.members.iter().map(prospect).collect();
        match self.world.raft(leader).plan_voters(&members, false, self.world.now) {
            Some(Body::DelVoter { id: leaver, .. }) if leaver == id(leader) => {
                self.out.push_str("it hands over\n");
                self.world.input(leader, |raft, now| raft.transfer_to(None, now));
            }
            Some(body) => {
                let _ =
                    writeln!(self.out, "{}", show_entry(&Entry { term: self.world.raft(leader).term(), origin: None, body: body.clone() }));
                self.vote_change(leader, body);
            }
            None => self.out.push_str("nothing to do\n"),
        }
    }

    fn process(&mut self, command: &str, rest: &[&str]) -> bool {
        match (command, rest) {
            ("crash", [nodes]) => nodes.chars().for_each(|node| self.world.crash(node)),
            ("restart", [nodes]) => nodes.chars().for_each(|node| self.world.restart(node)),
            ("hold", [node]) => self.world.nodes.get_mut(&letter(node)).expect("a known node").held = true,
            ("persist", [node]) => self.world.persist(letter(node)),
            ("turn", [node]) => self.world.turn(letter(node)),
            ("release", [node]) => {
                self.world.nodes.get_mut(&letter(node)).expect("a known node").held = false;
                self.world.turn(letter(node));
            }
            ("copy", [node]) => drop(self.copies.insert(letter(node), self.world.nodes[&letter(node)].image.clone())),
            ("restore", [node]) => {
                let copy = self.copies[&letter(node)].clone();
                self.world.nodes.get_mut(&letter(node)).expect("a known node").image = copy;
            }
            ("compact", [node, index]) => self.world.compact(letter(node), number(index)),
            _ => return false,
        }
        true
    }

    fn question(&mut self, command: &str, rest: &[&str]) -> bool {
        match (command, rest) {
            ("status", nodes) => {
                let nodes =
                    nodes.first().map_or_else(|| self.world.nodes.keys().copied().collect(), |word| word.chars().collect::<Vec<_>>());
                let lines: Vec<String> = nodes.into_iter().map(|node| self.status(node)).collect();
                lines.iter().for_each(|line| self.out.push_str(line));
            }
            ("log", [node]) => {
                let log = self.world.raft(letter(node)).log();
                let entries: Vec<String> = log.iter_from(log.first_index()).map(|(_, entry)| show_entry(entry)).collect();
                let _ = writeln!(self.out, "{}/{} | {}", log.snapshot_index(), log.snapshot_term(), entries.join(" "));
            }
            ("lease", [nodes]) => nodes.chars().for_each(|node| {
                let left = self.world.raft(node).lease_end().saturating_sub(self.world.now);
                let left = if left > harness::LEASE { "for ever".to_owned() } else { format!("{left} ms left") };
                let _ = writeln!(self.out, "{node} lease: {left}");
            }),
            ("gate", [leader, node]) => {
                let (raft, now) = (self.world.raft(letter(leader)), self.world.now);
                let fails = raft.fails_at(&id(letter(node))).map_or("never".into(), |at| format!("in {} ms", at.saturating_sub(now)));
                let open = if raft.gate_is_open(&id(letter(node)), now) { "open" } else { "shut" };
                let rests = if raft.is_barred(&id(letter(node)), now) { ", but a token goes first" } else { "" };
                let _ = writeln!(self.out, "{node}: gate {open}{rests}, fails {fails}");
            }
            ("progress", [node]) => {
                let raft = self.world.raft(letter(node));
                for (other, progress) in self.world.nodes.keys().filter_map(|other| Some((other, raft.progress(&id(*other))?))) {
                    let memory = if progress.lost_memory() { " lost memory" } else { "" };
                    let (matched, next, acked) = (progress.match_index(), progress.next_index(), progress.acked_round());
                    let _ = writeln!(self.out, "{other} match {matched} next {next} acked round {acked}{memory}");
                }
            }
            _ => return false,
        }
        true
    }

    fn status(&self, node: char) -> String {
        let Some(raft) = &self.world.nodes[&node].raft else { return format!("{node} down\n") };
        let HardState { term, voted_for } = raft.hard();
        let show = |id: Option<NodeId>| id.map_or('-', |id| name(&id));
        let log = raft.log();
        format!(
            "{node} {} term {term} vote {} leader {} commit {} last {}/{} voters {}\n",
            raft.role(),
            show(voted_for),
            show(raft.leader()),
            raft.commit_index(),
            log.last_index(),
            log.last_term(),
            names(raft.voters())
        )
    }

    /// Says what has changed about each node since the last command.
    fn changes(&mut self) {
        for node in self.world.nodes.keys().copied().collect::<Vec<_>>() {
            let status = self.status(node);
            if self.shown.insert(node, status.clone()).as_ref() != Some(&status) && !self.out.contains(&status) {
                let _ = write!(self.out, "  {status}");
            }
        }
    }
}

fn parse_image(fields: &[&str]) -> Image {
    let field = |key: &str| fields.iter().position(|word| *word == key).map(|place| fields[place + 1]);
    let ids = |text: &str| -> BTreeSet<NodeId> { text.chars().map(id).collect() };
    let mut image = World::blank();
    image.hard = HardState { term: field("term").map_or(0, number), voted_for: field("vote").map(|word| id(letter(word))) };
    let voters: BTreeSet<NodeId> = field("voters").map(ids).unwrap_or_default();
    let members = field("members").map(ids).unwrap_or_else(|| voters.clone());
    image.base = State { members, voters, ..State::default() };
    for word in fields.iter().skip_while(|word| **word != "log").skip(1) {
        image.log.push(parse_entry(word));
    }
    image
}

#[test]
fn scenarios_come_out_as_written() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/raft");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("it is readable").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    assert!(paths.len() >= 20, "the scenarios are there");
    let update = std::env::var_os("UPDATE_SCENARIOS").is_some();
    for path in paths {
        let script = std::fs::read_to_string(&path).expect("it is readable");
        let text = std::panic::catch_unwind(|| Runner::run(&script)).unwrap_or_else(|_| panic!("{} fails", path.display()));
        if update {
            std::fs::write(&path, text).expect("it is writable");
            continue;
        }
        if let Some((line, (is, should))) = text.lines().zip(script.lines()).enumerate().find(|(_, (is, should))| is != should) {
            panic!("{}:{}\n  is:     {is}\n  should: {should}", path.display(), line + 1);
        }
        assert_eq!(text, script, "{} ends elsewhere", path.display());
    }
}
