//! From the command line, and the file that it names, to a [`Config`].
//!
//! Owns: the order (defaults, file, options), warnings, `--help`. Must not: read the file itself.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, Fault, Source};
use super::options::{self, Opt};
use super::words::Word;
use super::{Config, Misfit, inert, lines};

/// The longest configuration file that is read, in bytes.
pub const MAX_FILE: usize = 4 << 20;

/// What the process was asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Launch {
    /// Be a node.
    Run(Box<Config>),
    /// Print this help.
    Help(String),
    /// Print this version.
    Version(String),
    /// Say what a node would load from this nodes.conf.
    CheckNodesConf(PathBuf),
}

/// In the place of a file: it is read, and CONFIG REWRITE has none to write to.
pub const STANDARD_INPUT: &str = "-";

/// What the lines have come to so far.
struct Loading {
    config: Config,
    /// Those that have set something, in their order: the option, where, and what stands there.
    lines: Vec<(&'static str, Source, String)>,
    /// Those that cannot be followed.
    faults: Vec<Fault>,
    /// The options that add up of which there was a line.
    begun: Vec<&'static str>,
}

/// Reads the arguments after the program's name: `[file | -] [--option value...]...`, or one of `--help`, `--version`,
/// `--check-nodes-conf FILE`.
pub fn from_args(args: &[impl AsRef<[u8]>], read_file: &dyn Fn(&Path) -> io::Result<Vec<u8>>) -> Result<Launch, ConfigError> {
    let args: Vec<&[u8]> = args.iter().map(AsRef::as_ref).collect();
    match *args {
        [b"--help" | b"-h"] => return Ok(Launch::Help(help())),
        [b"--version" | b"-v"] => return Ok(Launch::Version(version())),
        [b"--check-nodes-conf", file] => return Ok(Launch::CheckNodesConf(path_of(file))),
        [b"--check-nodes-conf", ..] => return Err(ConfigError::Usage("--check-nodes-conf takes one file".into())),
        _ => {}
    }
    let mut loading = Loading { config: Config::shipped(), lines: Vec::new(), faults: Vec::new(), begun: Vec::new() };
    let options = match &args[..] {
        [file, rest @ ..] if !file.starts_with(b"-") || *file == STANDARD_INPUT.as_bytes() => {
            loading.read_file(&path_of(file), read_file)?;
            rest
        }
        all => all,
    };
    loading.read_options(options);
    loading.judge()
}

fn path_of(bytes: &[u8]) -> PathBuf {
    OsStr::from_bytes(bytes).into()
}

impl Loading {
    fn read_file(&mut self, path: &Path, read_file: &dyn Fn(&Path) -> io::Result<Vec<u8>>) -> Result<(), ConfigError> {
        let unreadable = |reason: String| ConfigError::Unreadable { path: path.to_owned(), reason };
        let text = read_file(path).map_err(|error| unreadable(error.to_string()))?;
        if text.len() > MAX_FILE {
            return Err(unreadable(format!("longer than {MAX_FILE} bytes")));
        }
        self.config.file = (path != Path::new(STANDARD_INPUT)).then(|| path.to_owned());
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if !line.is_empty() && !line.starts_with(b"#") {
                self.take(Source::File(path.to_owned(), number + 1), shown(line), lines::split(line));
            }
        }
        Ok(())
    }

    fn read_options(&mut self, args: &[&[u8]]) {
        for (typed, words) in command_lines(args) {
            let text = typed.iter().map(|word| shown(word)).collect::<Vec<_>>().join(" ");
            self.take(Source::CommandLine, text, words);
        }
    }

    /// Takes one line, which stands there.
    fn take(&mut self, source: Source, text: String, words: Option<Vec<Word>>) {
        let words = words.ok_or_else(|| "Unbalanced quotes in configuration line".to_owned());
        let set = words.and_then(|words| match words.split_first() {
            Some((name, values)) => set_one(&mut self.config, &shown(name), values, &mut self.begun).map(Some),
            None => Ok(None),
        });
        match set {
            Ok(Some(name)) => self.lines.push((name, source, text)),
            Ok(None) => {}
            Err(reason) => self.faults.push(Fault { source, text, reason }),
        }
    }

    /// What all lines come to: a node, or all that is wrong with them.
    fn judge(mut self) -> Result<Launch, ConfigError> {
        self.warn_of_inert();
        for Misfit { options, reason } in self.config.misfits() {
            // What does not fit was said somewhere: the shipped values fit together.
            let blamed = self.lines.iter().rev().find(|(name, ..)| options.contains(name));
            self.faults.extend(blamed.map(|(_, source, text)| Fault { source: source.clone(), text: text.clone(), reason }));
        }
        if !self.faults.is_empty() {
            self.faults.sort();
            return Err(ConfigError::Lines(self.faults));
        }
        let cautions = self.config.cautions();
        self.config.warnings.extend(cautions);
        Ok(Launch::Run(Box::new(self.config)))
    }

    /// A warning for each option without effect that is not at its default in the end, where it was set last.
    fn warn_of_inert(&mut self) {
        let inert = options::all().filter(|option| !option.has_effect() && option.show(&self.config) != option.default.as_bytes());
        let lines = inert.filter_map(|option| self.lines.iter().rev().find(|(name, ..)| *name == option.name));
        let warnings: Vec<String> =
            lines.map(|(name, source, _)| format!("{source}: option '{name}' is accepted, without effect")).collect();
        self.config.warnings.extend(warnings);
    }
}

/// As people are shown it.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A line of the command line: what was typed, and its words; none if a quote is not closed.
type Typed<'a> = (Vec<&'a [u8]>, Option<Vec<Word>>);

/// The arguments as lines of a file, as Redis takes them: a word that begins with `--` begins a line, unless it is the first value of one.
/// It may hold the values too (`'--maxmemory 1gb'`). `--save` without any value means that of none.
fn command_lines<'a>(args: &[&'a [u8]]) -> Vec<Typed<'a>> {
    let mut lines: Vec<Typed<'a>> = Vec::new();
    let mut is_complete = true;
    for (at, arg) in args.iter().copied().enumerate() {
        if let Some(option) = arg.strip_prefix(b"--").filter(|_| is_complete) {
            let mut words = lines::split(option);
            is_complete = words.as_ref().is_none_or(|words| words.len() > 1);
            let is_last = args.get(at + 1).is_none_or(|next| next.starts_with(b"--"));
            if is_last && option.eq_ignore_ascii_case(b"save") {
                words.iter_mut().for_each(|words| words.push(Word::new()));
                is_complete = true;
            }
            lines.push((vec![arg], words));
            continue;
        }
        if lines.is_empty() {
            lines.push((Vec::new(), Some(Vec::new())));
        }
        if let Some((typed, words)) = lines.last_mut() {
            typed.push(arg);
            words.iter_mut().for_each(|words| words.push(arg.to_owned()));
        }
        is_complete = true;
    }
    lines
}

/// Sets one option from one line, and names it. `begun` holds the options that add up of which there was a line.
fn set_one(config: &mut Config, name: &str, values: &[Word], begun: &mut Vec<&'static str>) -> Result<&'static str, String> {
    if let Some(reason) = inert::refused(name) {
        return Err(reason.into());
    }
    let option = options::find(name).ok_or("Bad directive or wrong number of arguments: no such option")?;
    if values.is_empty() && !option.kind.may_be_empty() {
        return Err("wrong number of arguments".into());
    }
    if option.kind.adds_up() && !begun.contains(&option.name) {
        begun.push(option.name);
        option.read(config, &[])?;
    }
    // An empty list adds nothing.
    if !(values.is_empty() && option.kind.adds_up()) {
        option.read(config, values)?;
    }
    Ok(option.name)
}

/// The text of `--version`.
fn version() -> String {
    let bits = usize::BITS;
    format!("Pontoon server v={} bits={bits} protocol=redis:7.2.4\n", env!("CARGO_PKG_VERSION"))
}

/// The text of `--help`.
fn help() -> String {
    let mut out = String::from(
        "Usage: pontoon [FILE | -] [--OPTION VALUE...]...\n       pontoon --check-nodes-conf FILE\n       pontoon --version | --help\n\n\
         FILE has redis.conf's syntax; options typed here come after it. '*': CONFIG SET can change it.\n\nOptions:\n",
    );
    for option in options::all().filter(|option| option.has_effect()) {
        out.push_str(&help_of(option));
    }
    out.push_str("\nAccepted, without effect:\n");
    let mut column = 0;
    for option in options::all().filter(|option| !option.has_effect()) {
        if column > 100 {
            out.push('\n');
            column = 0;
        }
        out.push_str(if column == 0 { "  " } else { " " });
        out.push_str(option.name);
        column += option.name.len() + 1;
    }
    out.push('\n');
    out
}

fn help_of(option: &Opt) -> String {
    let star = if option.at_run_time { '*' } else { ' ' };
    let default = if option.default.is_empty() { "\"\"" } else { option.default };
    format!("{star} --{} {}\n      {} (default {default})\n", option.name, option.kind.placeholder(), option.help)
}
