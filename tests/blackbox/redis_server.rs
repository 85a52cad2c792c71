//! A real redis-server, to compare with: its directory and its process.

use crate::node::command;
use crate::ports::Port;
use crate::wait::until;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use tempfile::TempDir;

pub struct RedisServer {
    pub port: Port,
    dir: TempDir,
    child: Child,
}

impl RedisServer {
    /// Started with these options; `prepare` is given its directory before. It saves nothing by itself.
    pub fn started(options: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        let (port, dir) = (Port::reserve(), TempDir::with_prefix("redis-").expect("a directory can be made"));
        prepare(dir.path());
        let mut server = command("redis-server");
        server.args(["--port", &port.number.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]).arg(dir.path()).args(options);
        let child = server.stdout(Stdio::null()).spawn().expect("redis-server can be started");
        let server = Self { port, dir, child };
        // PING is answered while it loads, too, with an error.
        until("redis-server to answer", || {
            redis::cmd("PING").query::<String>(&mut server.try_connect()?).map_err(|error| error.to_string())
        });
        server
    }

    /// The file that SAVE makes, and that is loaded at the start.
    pub fn dump(&self) -> PathBuf {
        self.dir.path().join("dump.rdb")
    }

    fn try_connect(&self) -> Result<redis::Connection, String> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port.number)).map_err(|error| error.to_string())?;
        client.get_connection().map_err(|error| error.to_string())
    }

    pub fn connect(&self) -> redis::Connection {
        self.try_connect().expect("redis-server answers")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
