//! Replies as text to compare with, and a raw connection for what no client library would send.

use crate::wait::PATIENCE;
use redis::{RedisError, Value};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;

/// Sends one command, words split at spaces.
pub fn ask(connection: &mut redis::Connection, line: &str) -> Result<Value, String> {
    let mut words = line.split(' ');
    let mut command = redis::cmd(words.next().unwrap_or_default());
    words.for_each(|word| {
        command.arg(word);
    });
    command.query(connection).map_err(|error| error_text(&error))
}

/// An error reply as it came, else what the library says.
pub fn error_text(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        _ => error.to_string(),
    }
}

/// A reply as text: lists in brackets, errors inside of them behind a `!`.
pub fn text_of(value: Value) -> Result<String, String> {
    let list = |values: Vec<Value>| {
        let texts: Vec<String> = values.into_iter().map(|value| text_of(value).unwrap_or_else(|error| format!("!{error}"))).collect();
        format!("[{}]", texts.join(" "))
    };
    Ok(match value {
        Value::Nil => "nil".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => text,
        Value::Okay => "OK".to_owned(),
        Value::Array(values) | Value::Set(values) => list(values),
        Value::Map(pairs) => list(pairs.into_iter().flat_map(|(key, value)| [key, value]).collect()),
        Value::ServerError(error) => return Err(format!("{} {}", error.code(), error.details().unwrap_or_default())),
        other => format!("{other:?}"),
    })
}

/// Bytes to a node and its replies, line by line.
pub struct Raw {
    reader: BufReader<TcpStream>,
}

impl Raw {
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the port takes connections");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
        Self { reader: BufReader::new(stream) }
    }

    pub fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.reader.get_mut().write_all(bytes.as_ref()).expect("the node takes bytes");
    }

    /// The next line without its end; empty at the end of the stream.
    #[track_caller]
    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).expect("the node answers");
        String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()
    }

    /// Sends an inline command and gives the first line of its reply.
    #[track_caller]
    pub fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n"));
        self.line()
    }

    /// Everything up to the end of the stream, whichever end it is; it must come.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let end = self.reader.read_to_end(&mut rest);
        assert!(!end.is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "the node does not hang up");
        rest
    }
}
