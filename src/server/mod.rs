//! The shell around the core: sockets, signals, the clock, entropy, the log. It does system calls and decides nothing.
//!
//! Owns: every system call but those of `store::disk`. The one impure room beside it; everything below gets time, chance and bytes as
//! arguments.
//! Contract: docs/architecture.md, "One turn of the loop" and "Decided once".

pub mod clock;
pub mod connection;
pub mod event_loop;
pub mod keys;
pub mod limits;
pub mod listener;
pub mod listeners;
pub mod listening;
pub mod log_rotation;
pub mod log_sink;
pub mod logger;
pub mod signals;
pub mod stream;
pub mod supervisor;
pub mod table;
pub mod usage;

use std::fs;
use std::path::Path;

use rustix::rand::{GetRandomFlags, getrandom};

use crate::config::Config;
use crate::node::Node;
use crate::session::Stopwatch;
use crate::store::RealDisk;
use event_loop::EventLoop;
use keys::Keys;
use signals::Signals;

/// Any reason to end with an error message.
type Failed = Box<dyn std::error::Error>;

/// Runs a node until it is told to end; its exit code.
pub fn run(mut config: Config) -> i32 {
    match prepare(&mut config).and_then(|()| serve(config)) {
        Ok(code) => {
            log::info!("Pontoon is now ready to exit, bye bye...");
            code
        }
        Err(error) => {
            logger::last_word(&error.to_string());
            1
        }
    }
}

/// What must be right before anything is opened: the directory, the log, room for clients.
fn prepare(config: &mut Config) -> Result<(), Failed> {
    signals::survive()?;
    if let Some(file) = &config.file {
        config.file = Some(std::path::absolute(file)?);
    }
    std::env::set_current_dir(&config.dir).map_err(|error| format!("Can't chdir to '{}': {error}", config.dir.display()))?;
    logger::start(config.loglevel, &config.logfile)
        .map_err(|error| format!("Can't open the log file '{}': {error}", config.logfile.display()))?;
    log::info!(
        "Pontoon {} starting, pid {}, port {}, bus port {}",
        env!("CARGO_PKG_VERSION"),
        std::process::id(),
        config.port,
        config.bus_port()
    );
    for warning in &config.warnings {
        log::warn!("{warning}");
    }
    allow_clients(config)
}

/// No more clients than there can be files: in the words of Redis.
fn allow_clients(config: &mut Config) -> Result<(), Failed> {
    let (limit, wanted) = (limits::raise(), config.maxclients);
    let room = limits::room_for_clients(limit, wanted)?;
    config.client_room = Some(room);
    if room < wanted {
        let needed = limits::files_for(wanted);
        log::warn!("You requested maxclients of {wanted} requiring at least {needed} max file descriptors.");
        log::warn!("Server can't set maximum open files to {needed}: the system allows no more than {limit}.");
        log::warn!(
            "Current maximum open files is {limit}. maxclients has been reduced to {room} to compensate for low ulimit. If you need higher maxclients increase 'ulimit -n'."
        );
        config.maxclients = room;
    }
    Ok(())
}

fn serve(config: Config) -> Result<i32, Failed> {
    let signals = Signals::install()?;
    let keys = Keys::of(&config)?;
    // Both ports before nodes.conf is touched: a second start of the same node must harm nothing.
    let bus = listener::listen(&config.bind, config.bus_port(), config.tcp_backlog)?;
    let clients = listener::listen(&config.bind, config.port, config.tcp_backlog)?;
    let (pidfile, supervised) = (config.pidfile.clone(), config.supervised);
    let mut node = Node::start(config, RealDisk::new(), seed()?, clock::now())?;
    node.server_mut().process_id = std::process::id();
    node.server_mut().stats.set_stopwatch(Stopwatch(clock::nanos));
    node.server_mut().startup_bytes = usage::resident_bytes();
    node.server_mut().executable = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
    let mut event_loop = EventLoop::new(node, bus, clients, keys, signals)?;
    write_pidfile(&pidfile);
    supervisor::ready(supervised);
    let ended = event_loop.run();
    remove_pidfile(&pidfile);
    Ok(ended?)
}

/// 64 bits that no other process has.
fn seed() -> Result<u64, Failed> {
    let mut bytes = [0; 8];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())?;
    }
    Ok(u64::from_ne_bytes(bytes))
}

fn write_pidfile(path: &Path) {
    if path.as_os_str().is_empty() {
        return;
    }
    if let Err(error) = fs::write(path, format!("{}\n", std::process::id())) {
        log::warn!("Can't write the pid file '{}': {error}", path.display());
    }
}

fn remove_pidfile(path: &Path) {
    if !path.as_os_str().is_empty() && fs::remove_file(path).is_err() {
        log::debug!("The pid file '{}' was gone already", path.display());
    }
}
