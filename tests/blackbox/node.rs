//! One real node: its directory, its configuration file, its process.
//!
//! Owns: that no process outlives its test, and that a failed test shows the log.

use crate::cluster::insist;
use crate::ports::Port;
use crate::reply::{self, text_of};
use crate::wait::{PATIENCE, until};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The binary under test.
pub const PONTOON: &str = env!("CARGO_BIN_EXE_pontoon");

/// How many lines of a node's log a failed test shows.
const SHOWN_LINES: usize = 60;

pub struct Node {
    pub port: Port,
    /// Where clients reach it.
    ip: String,
    dir: TempDir,
    child: Option<Child>,
}

/// `Command` whose process dies with the test's thread, whatever becomes of it.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    // SAFETY: the closure makes one system call and allocates nothing, so it may run between fork and exec.
    unsafe { command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?)) };
    command
}

impl Node {
    /// A node with these lines in its configuration file, not started. It saves no keys by itself, unless a line says so.
    pub fn new(lines: &[&str]) -> Self {
        let node = Self {
            port: Port::reserve(),
            ip: "127.0.0.1".to_owned(),
            dir: TempDir::with_prefix("pontoon-").expect("a directory can be made"),
            child: None,
        };
        let mut text =
            format!("port {}\nbind 127.0.0.1\ndir \"{}\"\nloglevel verbose\nsave \"\"\n", node.port.number, node.dir.path().display());
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        fs::write(node.config_file(), text).expect("the configuration can be written");
        node
    }

    /// A running node with these lines in its configuration file.
    pub fn started(lines: &[&str]) -> Self {
        let mut node = Self::new(lines);
        node.start();
        node
    }

    pub fn number(&self) -> u16 {
        self.port.number
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn config_file(&self) -> PathBuf {
        self.dir().join("pontoon.conf")
    }

    pub fn nodes_conf(&self) -> PathBuf {
        self.dir().join("nodes.conf")
    }

    /// Reserves another port, which the configuration file names from now on. The node must be down.
    pub fn move_to_another_port(&mut self) {
        assert!(!self.is_running(), "a running node keeps its port");
        let old = format!("port {}\n", self.number());
        self.port = Port::reserve();
        self.reconfigure(&old, &format!("port {}\n", self.number()));
    }

    /// Has the node listen on another address of this machine only. The node must be down.
    pub fn move_to(&mut self, ip: &str) {
        assert!(!self.is_running(), "a running node keeps its address");
        self.reconfigure(&format!("bind {}\n", self.ip), &format!("bind {ip}\n"));
        ip.clone_into(&mut self.ip);
    }

    fn reconfigure(&self, old: &str, new: &str) {
        let text = fs::read_to_string(self.config_file()).expect("the configuration can be read");
        fs::write(self.config_file(), text.replace(old, new)).expect("the configuration can be written");
    }

    pub fn dump(&self) -> PathBuf {
        self.dir().join("dump.rdb")
    }

    fn log_file(&self) -> PathBuf {
        self.dir().join("node.log")
    }

    /// Everything that the node has said so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    /// Starts the process and leaves it to itself.
    pub fn spawn(&mut self) {
        let log = OpenOptions::new().create(true).append(true).open(self.log_file()).expect("the log can be opened");
        self.spawn_onto(log);
    }

    /// The same with this as its standard error.
    pub fn spawn_onto(&mut self, log: impl Into<Stdio>) {
        let mut node = command(PONTOON);
        node.arg(self.config_file()).stderr(log);
        self.run(node);
    }

    /// The same under this limit of the shell's `ulimit`.
    pub fn spawn_under(&mut self, limit: &str) {
        let mut shell = command("sh");
        let script = format!("ulimit {limit} && exec \"$0\" \"$1\" 2>>\"$2\"");
        shell.args(["-c", &script, PONTOON]).args([self.config_file(), self.log_file()]);
        self.run(shell);
    }

    /// The same with every sync of nodes.conf taking so much longer. strace leaves the process this test's child, and ends with it.
    pub fn spawn_with_slow_syncs(&mut self, longer: Duration) {
        let log = OpenOptions::new().create(true).append(true).open(self.log_file()).expect("the log can be opened");
        let mut strace = command("strace");
        let slow = format!("inject=fdatasync,fsync:delay_enter={}", longer.as_micros());
        strace.args(["-D", "-f", "-q", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e", &slow, PONTOON]);
        strace.arg(self.config_file()).stderr(log);
        self.run(strace);
    }

    fn run(&mut self, mut node: Command) {
        assert!(!self.is_running(), "the node runs already");
        self.child = Some(node.stdout(Stdio::null()).spawn().expect("pontoon can be started"));
    }

    /// Starts the process, if it does not run, and waits for it to answer.
    pub fn start(&mut self) {
        if !self.is_running() {
            self.spawn();
        }
        until(&format!("node {} to answer", self.number()), || {
            assert!(self.is_running(), "node {} ended at its start:\n{}", self.number(), self.log());
            match self.try_ask("PING") {
                Err(error) if !error.starts_with("NOAUTH ") => Err(error),
                _ => Ok(()),
            }
        });
    }

    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().expect("a child can be asked").is_none())
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the node was started").id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().expect("the node was started")), signal).expect("the process is there");
    }

    /// kill -9, if it runs.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Waits for the process to end by itself.
    pub fn exit_status(&mut self) -> ExitStatus {
        let number = self.number();
        let child = self.child.as_mut().expect("the node was started");
        let status =
            until(&format!("node {number} to end"), || child.try_wait().expect("a child can be asked").ok_or("it runs".to_owned()));
        self.child = None;
        status
    }

    pub fn client(&self) -> redis::Client {
        redis::Client::open(format!("redis://{}:{}/", self.ip, self.number())).expect("the address is one")
    }

    /// A connection, or why there is none.
    pub fn try_connect(&self) -> Result<redis::Connection, String> {
        let connection = self.client().get_connection_with_timeout(PATIENCE).map_err(|error| error.to_string())?;
        connection.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
        Ok(connection)
    }

    /// Asks one question, words split at spaces, over a new connection. An error reply or a lost connection is the `Err`.
    pub fn try_ask(&self, line: &str) -> Result<String, String> {
        text_of(reply::ask(&mut self.try_connect()?, line)?)
    }

    #[track_caller]
    pub fn ask(&self, line: &str) -> String {
        self.try_ask(line).unwrap_or_else(|error| panic!("node {}: {line}: {error}", self.number()))
    }

    /// The error reply to a question that must have one.
    #[track_caller]
    pub fn error(&self, line: &str) -> String {
        match self.try_ask(line) {
            Err(error) => error,
            Ok(text) => panic!("node {}: {line} answered {text}", self.number()),
        }
    }

    pub fn id(&self) -> String {
        self.ask("CLUSTER MYID")
    }

    /// CLUSTER INFO by name; empty while the node does not answer.
    pub fn info(&self) -> BTreeMap<String, String> {
        let text = self.try_ask("CLUSTER INFO").unwrap_or_default();
        text.lines().filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// One field of CLUSTER INFO; empty if it is not there.
    pub fn field(&self, name: &str) -> String {
        self.info().remove(name).unwrap_or_default()
    }

    /// MEET, which must be answered with OK.
    #[track_caller]
    pub fn meet(&self, other: &Self) {
        assert_eq!(insist(self, &format!("CLUSTER MEET {} {}", other.ip, other.number())), "OK");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let skipped = log.lines().count().saturating_sub(SHOWN_LINES);
            let lines: Vec<&str> = log.lines().skip(skipped).collect();
            eprintln!("---- node {}, {skipped} lines above left out ----\n{}", self.number(), lines.join("\n"));
        }
    }
}
