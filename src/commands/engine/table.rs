//! The command table: every command that the families declare, found by name; used by dispatch, COMMAND and INFO.
//!
//! Owns: the lookup by name. Must not: run anything, or know a single command.

use super::command::Command;
use crate::session::CommandId;
use std::ops::Range;

/// A command in its place in the table.
#[derive(Debug)]
pub struct Entry {
    /// The declaration.
    pub command: &'static Command,
    /// `get`, or `client|list`.
    pub full_name: String,
    /// The container, for a subcommand.
    pub parent: Option<CommandId>,
    /// Ids of its subcommands, in alphabetical order.
    children: Range<u16>,
}

/// What a name turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// A command.
    Found(CommandId),
    /// No such command.
    Unknown,
    /// This container has no such subcommand.
    UnknownSubcommand(CommandId),
}

/// All commands: sorted by name, found by a hash of the lower-case name.
#[derive(Debug)]
pub struct Table {
    /// Commands sorted by name, then the subcommands of each in turn, sorted by name.
    entries: Vec<Entry>,
    /// How many of the entries are commands and not subcommands.
    commands: usize,
    /// Open addressing over the commands: id + 1, 0 for none. A power of two, at least twice as long as there are commands.
    buckets: Vec<u16>,
}

impl Table {
    /// The table of these families. Names must be lower-case and unique, which a test checks.
    pub fn new(families: &[&'static [Command]]) -> Self {
        let sorted = |list: &mut Vec<&'static Command>| list.sort_by_key(|command| command.name);
        let mut commands: Vec<&'static Command> = families.iter().copied().flatten().collect();
        sorted(&mut commands);
        let plain = |command: &&'static Command| Entry { command, full_name: command.name.to_owned(), parent: None, children: 0..0 };
        let mut table = Self { entries: commands.iter().map(plain).collect(), commands: commands.len(), buckets: Vec::new() };
        for (at, command) in commands.iter().enumerate() {
            let mut children: Vec<&'static Command> = command.subcommands.iter().collect();
            sorted(&mut children);
            let start = table.entries.len() as u16;
            for child in children {
                let full_name = format!("{}|{}", command.name, child.name);
                table.entries.push(Entry { command: child, full_name, parent: Some(CommandId::new(at as u16)), children: 0..0 });
            }
            table.entries[at].children = start..table.entries.len() as u16;
        }
        table.fill_buckets();
        table
    }

    fn fill_buckets(&mut self) {
        let size = (self.commands * 2).next_power_of_two().max(2);
        self.buckets = vec![0; size];
        for (id, entry) in self.entries[..self.commands].iter().enumerate() {
            let mut at = hash(entry.command.name.as_bytes()) as usize & (size - 1);
            while self.buckets[at] != 0 {
                at = (at + 1) & (size - 1);
            }
            self.buckets[at] = id as u16 + 1;
        }
    }

    /// The command of this name in any case, container or not.
    pub fn command(&self, name: &[u8]) -> Option<CommandId> {
        let mask = self.buckets.len() - 1;
        let mut at = hash(name) as usize & mask;
        // Half of the buckets at least are empty, so the walk ends.
        while let Some(id) = self.buckets[at].checked_sub(1) {
            if self.entries[usize::from(id)].command.name.as_bytes().eq_ignore_ascii_case(name) {
                return Some(CommandId::new(id));
            }
            at = (at + 1) & mask;
        }
        None
    }

    /// The command that this request names, with its subcommand if it has any.
    pub fn lookup(&self, name: &[u8], first_argument: Option<&[u8]>) -> Lookup {
        let Some(id) = self.command(name) else { return Lookup::Unknown };
        let Some(word) = first_argument.filter(|_| !self.get(id).children.is_empty()) else { return Lookup::Found(id) };
        let found = self.children(id).find(|child| self.get(*child).command.name.as_bytes().eq_ignore_ascii_case(word));
        found.map_or(Lookup::UnknownSubcommand(id), Lookup::Found)
    }

    /// What stands at this id.
    pub fn get(&self, id: CommandId) -> &Entry {
        &self.entries[id.index()]
    }

    /// The commands in alphabetical order, without subcommands.
    pub fn commands(&self) -> impl Iterator<Item = CommandId> + use<> {
        (0..self.commands as u16).map(CommandId::new)
    }

    /// The subcommands of a command in alphabetical order.
    pub fn children(&self, id: CommandId) -> impl ExactSizeIterator<Item = CommandId> + use<> {
        self.get(id).children.clone().map(CommandId::new)
    }

    /// Every command and subcommand.
    pub fn all(&self) -> impl Iterator<Item = CommandId> + use<> {
        (0..self.entries.len() as u16).map(CommandId::new)
    }

    /// How many commands there are, without subcommands.
    pub fn command_count(&self) -> usize {
        self.commands
    }

    /// How many commands and subcommands there are.
    #[allow(clippy::len_without_is_empty, reason = "a table without commands does not exist")]
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

/// FNV-1a over the lower-case name: names are short, and nobody outside chooses what is in the table.
fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193))
}
