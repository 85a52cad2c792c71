//! Configurations that others write: what tools generate, and names of any bytes.

use crate::node::{PONTOON, command};
use crate::ports::Port;
use crate::reply::Raw;
use crate::wait::until;
use std::ffi::OsStr;
use std::fs;
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Stdio};

/// A process that ends with its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Starts a node with these arguments and waits for it to answer at this port.
    fn started(args: &[&OsStr], port: u16) -> Self {
        let mut process = Self(command(PONTOON).args(args).stderr(Stdio::piped()).spawn().expect("pontoon can be started"));
        until("the node to answer", || {
            assert!(process.0.try_wait().expect("a child can be asked").is_none(), "the node ended at its start: {args:?}");
            TcpStream::connect(("127.0.0.1", port)).map(drop).map_err(|error| error.to_string())
        });
        process
    }
}

/// Each as it is names what it lacks; with that put right on the command line it starts a node. What names places of a real host is said
/// anew.
#[test]
fn what_tools_generate_starts_a_node_once_what_is_missing_is_put_right() {
    let cases: [(&str, &[&str]); 4] = [
        (include_str!("../options/bitnami-chart.conf"), &["--appendonly", "no"]),
        (include_str!("../options/valkey-operator.conf"), &["--aclfile", ""]),
        (include_str!("../options/hyperspike-operator.conf"), &[]),
        (include_str!("../options/redis-operator.conf"), &[]),
    ];
    for (text, right) in cases {
        let (port, dir) = (Port::reserve(), tempfile::tempdir().unwrap());
        let file = dir.path().join("generated.conf");
        fs::write(&file, text).unwrap();
        if let [name, _] = right {
            let output = command(PONTOON).arg(&file).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!((output.status.code(), said.lines().count()), (Some(1), 2), "{said}");
            assert!(said.contains(&format!(": '{} ", name.trim_start_matches('-'))), "{said}");
        }
        let number = port.number.to_string();
        let here = ["--port", &number, "--bind", "127.0.0.1", "--pidfile", "node.pid", "--cluster-config-file", "nodes.conf"];
        let there = ["--cluster-announce-ip", "127.0.0.1", "--logfile", "node.log", "--dir"];
        let args = [file.as_os_str()].into_iter().chain(right.iter().chain(&here).chain(&there).map(OsStr::new));
        let args: Vec<&OsStr> = args.chain([dir.path().as_os_str()]).collect();
        let _node = Process::started(&args, port.number);
        let mut client = Raw::connect(port.number);
        if text.contains("requirepass") {
            assert!(client.say("PING").starts_with("-NOAUTH"));
            assert_eq!(client.say("AUTH secret"), "+OK");
        }
        assert_eq!(client.say("PING"), "+PONG");
        assert!(dir.path().join("nodes.conf").exists() && dir.path().join("node.pid").exists());
    }
}

#[test]
fn names_of_files_may_be_of_any_bytes() {
    let (port, above) = (Port::reserve(), tempfile::tempdir().unwrap());
    let path = |dir: &Path, name: &[u8]| dir.join(OsStr::from_bytes(name));
    let dir = path(above.path(), b"d\xff r");
    fs::create_dir(&dir).unwrap();
    let file = path(above.path(), b"c\xfe.conf");
    let quoted = [b"dir \"", dir.as_os_str().as_bytes(), b"\"\n"].concat();
    let lines = b"bind 127.0.0.1\npidfile p\xe9.pid\nlogfile \"l\\xe9.log\"\ndbfilename k\xe9.rdb\nsave \"\"\nappendfilename a\xe9\n";
    fs::write(&file, [&quoted[..], lines].concat()).unwrap();
    let number = port.number.to_string();
    let args = ["--port", &number, "--cluster-config-file"].map(OsStr::new);
    let args: Vec<&OsStr> = [file.as_os_str()].into_iter().chain(args).chain([OsStr::from_bytes(b"n\xe9.conf")]).collect();
    for life in 0..2 {
        let mut node = Process::started(&args[..if life == 0 { 5 } else { 1 }], port.number);
        for name in [&b"p\xe9.pid"[..], b"l\xe9.log", b"n\xe9.conf"] {
            until("the file", || if path(&dir, name).exists() { Ok(()) } else { Err(format!("{}", name.escape_ascii())) });
        }
        let client = redis::Client::open(format!("redis://127.0.0.1:{number}/")).unwrap();
        let mut client = client.get_connection().unwrap();
        let mut shown = |name: &str| -> Vec<(String, Vec<u8>)> { redis::cmd("CONFIG").arg("GET").arg(name).query(&mut client).unwrap() };
        let expected: [(&str, &[u8]); 5] = [
            ("dir", dir.as_os_str().as_bytes()),
            ("logfile", b"l\xe9.log"),
            ("dbfilename", b"k\xe9.rdb"),
            ("cluster-config-file", b"n\xe9.conf"),
            ("appendfilename", b"a\xe9"),
        ];
        for (name, value) in expected {
            assert_eq!(shown(name), [(name.to_owned(), value.to_vec())]);
        }
        let mut raw = Raw::connect(port.number);
        if life == 0 {
            assert_eq!(raw.say("CLUSTER ADDSLOTSRANGE 0 16383"), "+OK");
            assert_eq!(raw.say("SET key value"), "+OK");
            assert_eq!(raw.say("SAVE"), "+OK");
            assert!(path(&dir, b"k\xe9.rdb").exists());
            assert_eq!(raw.say("CONFIG REWRITE"), "+OK");
        } else {
            assert_eq!(raw.say("DBSIZE"), ":1");
        }
        raw.send("SHUTDOWN NOSAVE\r\n");
        until("the node to end", || node.0.try_wait().unwrap().ok_or("it runs".to_owned()));
        assert!(!path(&dir, b"p\xe9.pid").exists());
    }
}
