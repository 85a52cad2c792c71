//! From the command line, and the file that it names, to a [`Config`].
//!
//! Owns: the order (defaults, file, options), warnings, `--help`. Must not: read the file itself.

use std::io;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, Source};
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

/// The lines that have set something, in their order: the option, where, and what stands there.
type Lines = Vec<(&'static str, Source, String)>;

/// Reads the arguments after the program's name: `[file | -] [--option value...]...`, or one of `--help`, `--version`,
/// `--check-nodes-conf FILE`.
pub fn from_args(args: &[String], read_file: &dyn Fn(&Path) -> io::Result<Vec<u8>>) -> Result<Launch, ConfigError> {
    match args {
        [first] if first == "--help" || first == "-h" => return Ok(Launch::Help(help())),
        [first] if first == "--version" || first == "-v" => return Ok(Launch::Version(version())),
        [first, file] if first == "--check-nodes-conf" => return Ok(Launch::CheckNodesConf(file.into())),
        [first, ..] if first == "--check-nodes-conf" => return Err(ConfigError::Usage("--check-nodes-conf takes one file".into())),
        _ => {}
    }
    let mut config = Config::shipped();
    let (mut lines, mut begun) = (Lines::new(), Vec::new());
    let options = match args {
        [file, rest @ ..] if !file.starts_with('-') || file == STANDARD_INPUT => {
            load_file(&mut config, Path::new(file), read_file, &mut lines, &mut begun)?;
            rest
        }
        all => all,
    };
    load_options(&mut config, options, &mut lines, &mut begun)?;
    warn_of_inert(&mut config, &lines);
    config.check().map_err(|Misfit { options, reason }| {
        let blamed = lines.into_iter().rev().find(|(name, ..)| options.contains(name));
        let (_, source, text) = blamed.expect("the shipped values fit together");
        ConfigError::Option { source, text, reason }
    })?;
    let cautions = config.cautions();
    config.warnings.extend(cautions);
    Ok(Launch::Run(Box::new(config)))
}

fn load_file(
    config: &mut Config,
    path: &Path,
    read_file: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    set: &mut Lines,
    begun: &mut Vec<&'static str>,
) -> Result<(), ConfigError> {
    let unreadable = |reason: String| ConfigError::Unreadable { path: path.to_owned(), reason };
    let text = read_file(path).map_err(|error| unreadable(error.to_string()))?;
    if text.len() > MAX_FILE {
        return Err(unreadable(format!("longer than {MAX_FILE} bytes")));
    }
    config.file = (path != Path::new(STANDARD_INPUT)).then(|| path.to_owned());
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let source = Source::File(path.to_owned(), number + 1);
        let shown = || String::from_utf8_lossy(line).into_owned();
        let refuse = |reason: &str| ConfigError::Option { source: source.clone(), text: shown(), reason: reason.to_owned() };
        let words = lines::split(line).ok_or_else(|| refuse("Unbalanced quotes in configuration line"))?;
        let Some((name, values)) = words.split_first() else { continue };
        let name = set_one(config, &String::from_utf8_lossy(name), values, begun).map_err(|reason| refuse(&reason))?;
        set.push((name, source.clone(), shown()));
    }
    Ok(())
}

fn load_options(config: &mut Config, args: &[String], set: &mut Lines, begun: &mut Vec<&'static str>) -> Result<(), ConfigError> {
    for words in command_lines(args)? {
        let text = words.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join(" ");
        let refuse = |reason| ConfigError::Option { source: Source::CommandLine, text: text.clone(), reason };
        let Some((name, values)) = words.split_first() else { continue };
        let name = set_one(config, &String::from_utf8_lossy(name), values, begun).map_err(refuse)?;
        set.push((name, Source::CommandLine, format!("--{text}")));
    }
    Ok(())
}

/// The arguments as lines of a file, as Redis takes them: a word that begins with `--` begins a line, unless it is the first value of one.
/// It may hold the values too (`'--maxmemory 1gb'`). `--save` without any value means that of none.
fn command_lines(args: &[String]) -> Result<Vec<Vec<Word>>, ConfigError> {
    let mut lines: Vec<Vec<Word>> = Vec::new();
    let mut is_complete = true;
    for (at, arg) in args.iter().enumerate() {
        match arg.strip_prefix("--").filter(|_| is_complete) {
            Some(option) => {
                let words = lines::split(option.as_bytes()).ok_or_else(|| ConfigError::Option {
                    source: Source::CommandLine,
                    text: arg.clone(),
                    reason: "Unbalanced quotes in configuration line".into(),
                })?;
                is_complete = words.len() > 1;
                lines.push(words);
                let is_last = args.get(at + 1).is_none_or(|next| next.starts_with("--"));
                if is_last && option.eq_ignore_ascii_case("save") {
                    lines.last_mut().into_iter().for_each(|line| line.push(Word::new()));
                    is_complete = true;
                }
            }
            None => {
                if lines.is_empty() {
                    lines.push(Vec::new());
                }
                lines.last_mut().into_iter().for_each(|line| line.push(arg.clone().into_bytes()));
                is_complete = true;
            }
        }
    }
    Ok(lines)
}

/// Sets one option from one line, and names it. `begun` holds the options that add up of which there was a line.
fn set_one(config: &mut Config, name: &str, values: &[Word], begun: &mut Vec<&'static str>) -> Result<&'static str, String> {
    if let Some(reason) = inert::refused(name) {
        return Err(reason.into());
    }
    let option = options::find(name).ok_or("Bad directive or wrong number of arguments: no such option")?;
    if values.is_empty() {
        return Err("wrong number of arguments".into());
    }
    if option.kind.adds_up() && !begun.contains(&option.name) {
        begun.push(option.name);
        option.read(config, &[])?;
    }
    option.read(config, values)?;
    Ok(option.name)
}

/// A warning for each option without effect that is not at its default in the end, where it was set last.
fn warn_of_inert(config: &mut Config, set: &Lines) {
    let inert = options::all().filter(|option| !option.has_effect() && option.show(config) != option.default.as_bytes());
    let lines = inert.filter_map(|option| set.iter().rev().find(|(name, ..)| *name == option.name));
    let warnings: Vec<String> = lines.map(|(name, source, _)| format!("{source}: option '{name}' is accepted, without effect")).collect();
    config.warnings.extend(warnings);
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
