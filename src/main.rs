//! The binary: options, one node, its exit code.
//!
//! Owns: what goes to standard output and comes from standard input. Everything else is the library's.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::ExitCode;

use pontoon::config::{self, Launch};
use pontoon::{server, store};

fn main() -> ExitCode {
    let args: Vec<Vec<u8>> = std::env::args_os().skip(1).map(OsStringExt::into_vec).collect();
    match config::from_args(&args, &read) {
        Ok(Launch::Run(config)) => exit_code(server::run(*config)),
        Ok(Launch::Help(text) | Launch::Version(text)) => print(&text, true),
        Ok(Launch::CheckNodesConf(file)) => check(&file),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The configuration file, or what stands in its place: no more of it than shows that it is too long.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let input: Box<dyn Read> = if path == Path::new(config::STANDARD_INPUT) { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
    let mut text = Vec::new();
    input.take(config::MAX_FILE as u64 + 1).read_to_end(&mut text).map(|_| text)
}

fn exit_code(code: i32) -> ExitCode {
    // A code that a process cannot have is still a failure.
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Writes `text`; a reader that has gone away (`pontoon --help | head -1`) is no failure.
fn print(text: &str, good: bool) -> ExitCode {
    let _ = io::Write::write_all(&mut io::stdout(), text.as_bytes());
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Says what a node would load from this nodes.conf.
fn check(file: &Path) -> ExitCode {
    let (report, good) = store::check::report_file(&mut store::RealDisk::new(), file);
    print(&report, good)
}
