//! The keys on their way to the disk: a new file beside the old one, a slice of it a turn, while clients are served.
//!
//! Owns: the save under way, when one begins by itself, and who waits for it. Must not: know the file's form (replication::rdb does), or
//! let a failure end the process: the old file stays, and clients are told. Contract: docs/operations.md, "Saving keys".

use crate::commands::WaitOutcome;
use crate::config::{Config, ShutdownOptions};
use crate::keyspace::{Keyspace, WalkStep};
use crate::node::dataset::Dataset;
use crate::node::view::{Consequence, Effects, View};
use crate::replication::rdb::{About, Format, Writer};
use crate::store::{Disk, Replacement};
use crate::types::{ConnId, Millis};
use std::io;
use std::path::Path;

/// What a turn adds to the file, before compression.
const SLICE: usize = 64 << 10;
/// What a turn writes at most: less than a large value may be.
const WRITTEN_A_TURN: usize = 1 << 20;
/// The system begins to bring so much to the disk, without anybody waiting for it.
const WRITTEN_BACK: u64 = 1 << 20;
/// So much is brought to the disk before anything is written behind it: by then most of it is there.
const SYNCED: u64 = 32 << 20;
/// A save that failed is not tried again by itself before this (ms).
const RETRY: Millis = 5000;

/// See the module.
#[derive(Default)]
pub(in crate::node) struct Saving {
    save: Option<Save>,
    /// Clients whose SAVE it is.
    waiting: Vec<ConnId>,
    /// When the last one began (mono ms).
    tried: Option<Millis>,
    /// In which way the process is to end.
    pub last_words: ShutdownOptions,
}

/// One save.
struct Save {
    /// [`Keyspace::dirty`] when it began.
    dirty: u64,
    /// What is put behind the name of the old file, which is kept.
    keeps: Option<String>,
    writer: Writer,
    file: Replacement,
    /// Bytes of the file, and how many of them are written.
    buffer: Vec<u8>,
    written: usize,
    /// Bytes written since the last [`Disk::write_back`], and since the last sync.
    ahead: u64,
    unsynced: u64,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Keys are still to come.
    Keys,
    /// The last bytes are in the buffer.
    Rest,
    /// Written as a whole.
    Sync,
    /// On the disk, under its temporary name. The old file may be the last that has keys which have gone.
    Keep,
    /// The same; nothing is lost with the old one.
    Rename,
    /// Under its name, of which the directory does not know yet.
    Settle,
}

/// How a step ended.
#[derive(PartialEq, Eq)]
enum Step {
    More,
    Done,
    /// Keys were cleared as a whole: what was written is of no use.
    Voided,
}

impl Save {
    /// At most one piece is written and one sync is waited for.
    fn step(&mut self, keyspace: &mut Keyspace, disk: &mut impl Disk, config: &Config) -> io::Result<Step> {
        match self.stage {
            Stage::Keys | Stage::Rest => {
                if self.stage == Stage::Keys && self.written == self.buffer.len() {
                    (self.written, _) = (0, self.buffer.clear());
                    match self.writer.step(keyspace, SLICE, &mut self.buffer) {
                        WalkStep::More => {}
                        WalkStep::Done => self.stage = Stage::Rest,
                        WalkStep::Voided => return Ok(Step::Voided),
                    }
                }
                self.write(disk, config.rdb_save_incremental_fsync)?;
                if self.stage == Stage::Rest && self.written == self.buffer.len() {
                    self.stage = Stage::Sync;
                }
            }
            Stage::Sync => {
                self.file.sync(disk)?;
                self.stage = Stage::Keep;
            }
            Stage::Keep => {
                self.keep_old(disk, &config.dbfilename)?;
                self.stage = Stage::Rename;
            }
            Stage::Rename => {
                self.file.rename(disk)?;
                self.stage = Stage::Settle;
            }
            Stage::Settle => {
                self.file.settle(disk)?;
                return Ok(Step::Done);
            }
        }
        Ok(Step::More)
    }

    fn keep_old(&self, disk: &mut impl Disk, name: &Path) -> io::Result<()> {
        if let Some(suffix) = &self.keeps
            && self.file.keep_old(disk, suffix)?
        {
            let name = name.display();
            log::warn!("The keys that others' slots had are in {name}{suffix} now: it is {name} as it was before this save");
        }
        Ok(())
    }

    fn write(&mut self, disk: &mut impl Disk, piecewise: bool) -> io::Result<()> {
        let rest = &self.buffer[self.written..];
        // A step over keys that have been written before adds nothing.
        if rest.is_empty() {
            return Ok(());
        }
        let taken = self.file.write(disk, &rest[..rest.len().min(WRITTEN_A_TURN)])?;
        self.written += taken;
        self.ahead += taken as u64;
        self.unsynced += taken as u64;
        if piecewise && self.unsynced >= SYNCED {
            self.file.sync(disk)?;
            (self.ahead, self.unsynced) = (0, 0);
        } else if piecewise && self.ahead >= WRITTEN_BACK {
            self.file.write_back(disk)?;
            self.ahead = 0;
        }
        Ok(())
    }
}

impl Dataset {
    /// SAVE.
    pub fn save_for(&mut self, client: ConnId, out: &mut Effects) {
        self.saving.waiting.push(client);
        out.server.persistence.save_asked = true;
    }

    /// Cron: a save point may be reached. What has failed is tried again in any case: clients may not change anything before that.
    pub fn review_save_points(&mut self, view: &View, out: &mut Effects) {
        let (now, persistence) = (view.now, &out.server.persistence);
        let patient = persistence.failed && self.saving.tried.is_some_and(|tried| now.mono < tried + RETRY);
        let changes = self.keyspace.dirty() - persistence.saved_dirty;
        let since = now.wall.saturating_sub(persistence.saved_at);
        let due = view.config.save.are_reached(changes, since) || persistence.failed && !view.config.save.is_empty();
        if self.saving.save.is_none() && !patient && due {
            log::info!("{changes} changes in {} seconds: saving", since / 1000);
            out.server.persistence.save_asked = true;
        }
    }
}

impl Dataset {
    /// Once a turn: begins what is asked for, and goes on with it; true if there is more to do.
    pub fn tend_saving(&mut self, files: &mut impl Disk, view: &View, out: &mut Effects) -> bool {
        if self.saving.save.is_none() && out.server.persistence.save_asked && !self.is_loading() {
            self.begin_save(files, view, out);
        }
        let Some(mut save) = self.saving.save.take() else { return false };
        match save.step(&mut self.keyspace, files, &view.config) {
            Ok(Step::More) => self.saving.save = Some(save),
            Ok(Step::Done) => {
                save.writer.end(&mut self.keyspace);
                if save.keeps.is_some() {
                    self.foreign.saved();
                }
                self.save_ended(Ok(save.dirty), view, out);
            }
            Ok(Step::Voided) => {
                self.drop_save(save, files);
                out.server.persistence.save_asked = true;
                return true;
            }
            Err(error) => {
                self.drop_save(save, files);
                self.save_ended(Err(error), view, out);
            }
        }
        self.saving.save.is_some()
    }

    /// The last save before the end shows the keys as they are now.
    pub fn save_anew(&mut self, files: &mut impl Disk, out: &mut Effects) {
        if let Some(save) = self.saving.save.take() {
            self.drop_save(save, files);
        }
        out.server.persistence.save_asked = true;
    }

    /// With too many walks under way it is tried again by a later turn.
    fn begin_save(&mut self, files: &mut impl Disk, view: &View, out: &mut Effects) {
        let replication = self.stream.backlog().map(|_| (self.stream.history().id, self.stream.offset()));
        let about = About { ctime: view.now.wall / 1000, used_memory: self.keyspace.cost() as u64, replication };
        let format = Format { compress: view.config.rdbcompression, checksum: view.config.rdbchecksum };
        let Some(writer) = Writer::begin(&mut self.keyspace, &about, format) else { return };
        let persistence = &mut out.server.persistence;
        persistence.save_asked = false;
        persistence.saving_since.get_or_insert(view.now.mono);
        self.saving.tried = Some(view.now.mono);
        match Replacement::begin(files, view.config.dbfilename.clone()) {
            Ok(file) => {
                let (buffer, dirty, keeps) = (Vec::new(), self.keyspace.dirty(), self.foreign.unsaved());
                self.saving.save = Some(Save { dirty, keeps, writer, file, buffer, written: 0, ahead: 0, unsynced: 0, stage: Stage::Keys });
            }
            Err(error) => {
                writer.end(&mut self.keyspace);
                self.save_ended(Err(error), view, out);
            }
        }
    }

    fn drop_save(&mut self, save: Save, files: &mut impl Disk) {
        save.writer.end(&mut self.keyspace);
        save.file.abandon(files);
    }

    /// A save came to its end, with the count of changes of its beginning, or failed.
    fn save_ended(&mut self, result: io::Result<u64>, view: &View, out: &mut Effects) {
        let persistence = &mut out.server.persistence;
        let began = persistence.saving_since.take().unwrap_or(view.now.mono);
        persistence.took = Some(view.now.mono.saturating_sub(began));
        persistence.failed = result.is_err();
        let outcome = match &result {
            Ok(dirty) => {
                persistence.saved_dirty = *dirty;
                persistence.saved_at = view.now.wall;
                persistence.saves += 1;
                log::info!("DB saved on disk");
                WaitOutcome::Done
            }
            Err(error) => {
                let file = view.config.dbfilename.display();
                log::error!("Saving to {file}.tmp, which is to take the place of {file}, has failed: {file} stays as it was: {error}");
                WaitOutcome::Failed(format!("ERR saving failed: {error}"))
            }
        };
        for client in std::mem::take(&mut self.saving.waiting) {
            out.clients.waiting.finish(client, outcome.clone());
        }
        out.consequences.push(Consequence::SaveEnded { is_good: result.is_ok() });
    }
}

#[cfg(test)]
mod tests {
    use crate::node::net::Net;
    use crate::store::memory::Fault;

    #[test]
    fn a_save_that_failed_is_tried_again_though_nothing_can_change_before_that() {
        let mut net = Net::of(1);
        net.until("a cluster of one", |net| net.nodes[0].metadata.state.member_count() == 1);
        assert_eq!(net.ask(0, "CLUSTER ADDSLOTSRANGE 0 16383"), "+OK\r\n");
        net.nodes[0].files.inject(1, Fault::Fail);
        assert!(net.ask(0, "SAVE").starts_with("-ERR saving failed"));
        assert!(net.ask(0, "SET k 1").starts_with("-MISCONF"));
        net.until("a good save", |net| !net.nodes[0].out.server.persistence.failed);
        assert_eq!(net.ask(0, "SET k 1"), "+OK\r\n");
    }

    #[test]
    fn a_step_that_writes_nothing_is_no_failure() {
        let mut net = Net::of(1);
        net.until("a cluster of one", |net| net.nodes[0].metadata.state.member_count() == 1);
        assert_eq!(net.ask(0, "CLUSTER ADDSLOTSRANGE 0 16383"), "+OK\r\n");
        let line = |first: usize| {
            let pairs: String = (first..first + 300).map(|number| format!(" {{t}}{number} {}", "x".repeat(100))).collect();
            format!("MSET{pairs}\r\n")
        };
        let lines: String = (0..10).map(|part| line(part * 300)).collect();
        let client = net.say(0, "PING");
        net.give(0, client, lines.as_bytes());
        net.until("the keys", |net| net.nodes[0].dataset.keyspace.len() == 3000);
        // Each is put aside, written, and passed over where it stands.
        net.give(0, client, format!("BGSAVE\r\n{lines}").as_bytes());
        let ended = |net: &Net| net.nodes[0].out.server.persistence.saves > 0 || net.nodes[0].out.server.persistence.failed;
        net.until("the save", |net| ended(net));
        assert!(!net.nodes[0].out.server.persistence.failed);
    }
}
