//! From the command line, and the file that it names, to a [`Config`].
//!
//! Owns: the order (defaults, file, options), warnings, `--help`. Must not: read the file itself.

use std::io;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, Source};
use super::options::{self, Opt};
use super::{Config, Misfit, inert, lines};

/// The longest configuration file that is read.
const MAX_FILE: usize = 4 << 20;

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

/// The lines that have set something, in their order: the option, where, and what stands there.
type Lines = Vec<(&'static str, Source, String)>;

/// Reads the arguments after the program's name: `[file] [--option value...]...`, or one of `--help`, `--version`,
/// `--check-nodes-conf FILE`.
pub fn from_args(args: &[String], read_file: &dyn Fn(&Path) -> io::Result<String>) -> Result<Launch, ConfigError> {
    match args {
        [first] if first == "--help" || first == "-h" => return Ok(Launch::Help(help())),
        [first] if first == "--version" || first == "-v" => return Ok(Launch::Version(version())),
        [first, file] if first == "--check-nodes-conf" => return Ok(Launch::CheckNodesConf(file.into())),
        [first, ..] if first == "--check-nodes-conf" => return Err(ConfigError::Usage("--check-nodes-conf takes one file".into())),
        [first, ..] if first == "-" => {
            return Err(ConfigError::Usage("reading the configuration from standard input is not supported".into()));
        }
        _ => {}
    }
    let mut config = Config::shipped();
    let mut lines = Lines::new();
    let options = match args {
        [file, rest @ ..] if !file.starts_with('-') => {
            load_file(&mut config, Path::new(file), read_file, &mut lines)?;
            rest
        }
        all => all,
    };
    load_options(&mut config, options, &mut lines)?;
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
    read_file: &dyn Fn(&Path) -> io::Result<String>,
    set: &mut Lines,
) -> Result<(), ConfigError> {
    let unreadable = |reason: String| ConfigError::Unreadable { path: path.to_owned(), reason };
    let text = read_file(path).map_err(|error| unreadable(error.to_string()))?;
    if text.len() > MAX_FILE {
        return Err(unreadable(format!("longer than {MAX_FILE} bytes")));
    }
    config.file = Some(path.to_owned());
    let mut seen = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let source = Source::File(path.to_owned(), number + 1);
        let refuse = |reason: &str| ConfigError::Option { source: source.clone(), text: line.to_owned(), reason: reason.to_owned() };
        let words = lines::split(line).ok_or_else(|| refuse("Unbalanced quotes in configuration line"))?;
        let Some((name, values)) = words.split_first() else { continue };
        let name = set_one(config, name, values, &source, &mut seen).map_err(|reason| refuse(&reason))?;
        set.push((name, source.clone(), line.to_owned()));
    }
    Ok(())
}

/// `--name value...`, where a word that begins with `--` begins the next option.
fn load_options(config: &mut Config, mut args: &[String], set: &mut Lines) -> Result<(), ConfigError> {
    let mut seen = Vec::new();
    while let Some((first, rest)) = args.split_first() {
        let refuse = |reason: String, text: String| ConfigError::Option { source: Source::CommandLine, text, reason };
        let Some(name) = first.strip_prefix("--") else {
            return Err(refuse("an option begins with '--'".into(), first.clone()));
        };
        let count = rest.iter().take_while(|word| !word.starts_with("--")).count();
        let (values, next) = rest.split_at(count);
        let text = || [first].into_iter().chain(values).map(String::as_str).collect::<Vec<_>>().join(" ");
        let name = set_one(config, name, values, &Source::CommandLine, &mut seen).map_err(|reason| refuse(reason, text()))?;
        set.push((name, Source::CommandLine, text()));
        args = next;
    }
    Ok(())
}

/// Sets one option from one line, and names it. `seen` holds the options that this source has warned of, and those that add up which it has
/// begun.
fn set_one(
    config: &mut Config,
    name: &str,
    values: &[String],
    source: &Source,
    seen: &mut Vec<&'static str>,
) -> Result<&'static str, String> {
    if let Some(reason) = inert::refused(name) {
        return Err(reason.into());
    }
    let option = options::find(name).ok_or("Bad directive or wrong number of arguments: no such option")?;
    if option.kind.adds_up() && !seen.contains(&option.name) {
        seen.push(option.name);
        option.read(config, &[])?;
    }
    option.read(config, values)?;
    if !option.has_effect() && option.show(config) != option.default && !seen.contains(&option.name) {
        seen.push(option.name);
        config.warnings.push(format!("{source}: option '{}' is accepted, without effect", option.name));
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
        "Usage: pontoon [FILE] [--OPTION VALUE...]...\n       pontoon --check-nodes-conf FILE\n       pontoon --version | --help\n\n\
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
