//! The table walked from every side: whatever one use of it says, the others say too.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::options::{Opt, Store, all, find};
use super::*;
use crate::values::Thresholds;

fn args(line: &str) -> Vec<String> {
    line.split_ascii_whitespace().map(str::to_owned).collect()
}

fn launch(line: &str, file: &str) -> Result<Launch, ConfigError> {
    let file = file.to_owned();
    from_args(&args(line), &move |_: &Path| Ok(file.clone().into_bytes()))
}

/// The text of a configuration file after CONFIG REWRITE.
fn rewritten(config: &Config, old: &str) -> String {
    String::from_utf8(config.rewrite(old)).unwrap()
}

fn config_of(line: &str, file: &str) -> Config {
    match launch(line, file) {
        Ok(Launch::Run(config)) => *config,
        other => panic!("{other:?}"),
    }
}

fn error_of(line: &str, file: &str) -> String {
    launch(line, file).unwrap_err().to_string()
}

fn value(config: &Config, name: &str) -> String {
    let found = config.get(name).into_iter().next().unwrap_or_else(|| panic!("CONFIG GET does not know {name}"));
    String::from_utf8(found.1).unwrap()
}

#[test]
fn names_are_unique_and_lower_case() {
    let mut names: Vec<_> = all().flat_map(Opt::names).collect();
    assert!(names.iter().all(|name| *name == name.to_ascii_lowercase()));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn every_option_shows_and_takes_its_default() {
    let config = config_of("", "");
    assert_eq!(config, Config::shipped());
    assert!(config.warnings.is_empty());
    for option in all() {
        for name in option.names() {
            assert_eq!(value(&config, name), option.default, "{name}");
            let line = format!("{name} {}", if option.default.is_empty() { "\"\"" } else { option.default });
            let again = config_of(
                "c.conf",
                &if option.kind.takes_words() { line } else { format!("{name} {}", lines::quote(option.default.as_bytes())) },
            );
            assert_eq!(value(&again, name), option.default, "{name}");
            assert!(again.warnings.is_empty(), "{:?}", again.warnings);
        }
    }
}

#[test]
fn every_name_that_the_peers_show_is_known() {
    let lists = [
        include_str!("../../tests/options/redis-7.0.txt"),
        include_str!("../../tests/options/valkey-8.1.txt"),
        include_str!("../../tests/options/valkey-9.1.txt"),
    ];
    let shown: Vec<&str> = Config::shipped().get("*").into_iter().map(|pair| pair.0).collect();
    for name in lists.into_iter().flat_map(str::lines) {
        assert!(shown.contains(&name), "{name}");
    }
}

#[test]
fn what_the_peers_hide_is_shown_by_its_name_only() {
    let config = Config::shipped();
    assert_eq!(config.get("k*"), []);
    assert_eq!(config.get("Key-Load-Delay"), [("key-load-delay", b"0".to_vec())]);
}

#[test]
fn what_somebody_may_count_on_stays_off() {
    let cases = [
        ("appendonly yes", "'save' and replicas"),
        ("maxmemory 1mb", "supervisor"),
        ("maxmemory-clients 5%", "maxclients"),
        ("aclfile users.acl", "requirepass"),
        ("unixsocket /run/x", "'port'"),
        ("tls-port 6380", "TLS is not supported"),
        ("tls-cert-file x", "TLS is not supported"),
        ("tls-protocols TLSv1.2", "TLS is not supported"),
        ("import-mode yes", "expire"),
        ("replicaof a 1", "CLUSTER REPLICATE"),
    ];
    for (line, instead) in cases {
        let text = error_of("c.conf", &format!("port 7000\n{line}\n"));
        assert!(text.contains(&format!("c.conf:2: '{line}': ")) && text.contains(instead), "{text}");
        let (name, value) = line.split_once(' ').unwrap();
        let mut config = Config::shipped();
        let error = config.set(&[("timeout", "1"), (name, value), ("hz", "20")]).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("ERR CONFIG SET failed (possibly related to argument '{name}')")) && error.contains(instead),
            "{error}"
        );
        assert_eq!(config, Config::shipped());
    }
    let off = "appendonly no\nmaxmemory 0mb\nmaxmemory-clients 0\naclfile \"\"\ntls-port 0\ntls-auth-clients no\nreplicaof no one\nappendonly yes\nappendonly no\n";
    assert_eq!(config_of("c.conf", off).warnings.len(), 1, "the last line counts");
}

#[test]
fn what_has_no_effect_has_the_peers_bounds() {
    for line in [
        "maxmemory-samples 0",
        "hz 05",
        "hz +5",
        "cluster-announce-client-ipv4 ::1",
        "cluster-announce-client-ipv6 1.2.3.4",
        "active-defrag-ignore-bytes 0",
        "latency-tracking-info-percentiles abc",
        "auto-aof-rewrite-min-size 9223372036854775808",
        "slowlog-log-slower-than -5",
        "unixsocketperm 999999",
        "io-threads 0",
        "hz -1",
        "databases 0",
        "oom-score-adj-values 1 2",
        "latency-tracking-info-percentiles 101",
        "syslog-facility x",
        "enable-debug-command maybe",
        "active-defrag-cycle-min 100",
    ] {
        assert!(launch("c.conf", line).is_err(), "{line}");
        let (name, value) = line.split_once(' ').unwrap();
        assert!(Config::shipped().set(&[(name, value)]).is_err(), "{line}");
    }
    for line in [
        "slot-migration-max-failover-repl-bytes 1gb",
        "auto-aof-rewrite-min-size \"\"",
        "maxclients 4294967295",
        "timeout 100000",
        "slowlog-log-slower-than -1",
        "client-query-buffer-limit 100gb",
        "tcp-backlog 0",
    ] {
        config_of("c.conf", line);
    }
}

/// Debian's file for Redis 7.0, without its comments, and what its unit adds.
#[test]
fn a_distribution_s_configuration_starts_a_node() {
    let file = include_str!("../../tests/options/debian-12.conf");
    let config = config_of("c.conf --supervised systemd --daemonize no", file);
    assert_eq!((value(&config, "dir").as_str(), config.daemonize), ("/var/lib/redis", false));
    assert!(error_of("c.conf --supervised systemd", file).contains(":7: 'daemonize yes': "));
}

#[test]
fn the_command_line_is_read_as_by_redis() {
    let of = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        match from_args(&words, &|_| Ok(b"save 900 1\nsave 300 10\n".to_vec())) {
            Ok(Launch::Run(config)) => *config,
            other => panic!("{other:?}"),
        }
    };
    let config = of(&["--maxclients 700", "--requirepass", "--abc", "--port", "7001"]);
    assert_eq!((config.maxclients, config.requirepass.as_slice(), config.port), (700, &b"--abc"[..], 7001));
    let config = of(&["c.conf", "port", "7001", "--save 10 1", "--maxclients", "9"]);
    assert_eq!((config.port, value(&config, "save").as_str(), config.maxclients), (7001, "900 1 300 10 10 1", 9));
    assert_eq!(value(&of(&["--save", "10", "1", "20", "2"]), "save"), "10 1 20 2", "not the defaults too");
    for none in [&["c.conf", "--save", ""][..], &["c.conf", "--save"], &["c.conf", "--save", "--port", "7001"]] {
        assert_eq!(value(&of(none), "save"), "", "{none:?}");
    }
    let config = of(&["-", "--port", "7001"]);
    assert_eq!((config.file.as_deref(), config.port, value(&config, "save").as_str()), (None, 7001, "900 1 300 10"));
    assert!(error_of("--port 7001 maxclients 50", "").contains("wrong number of arguments"));
}

#[test]
fn every_threshold_is_an_option() {
    assert_eq!(Config::shipped().thresholds, Thresholds::SHIPPED, "each has a row, with the same default");
}

#[test]
fn every_option_is_explained_where_people_look() {
    let Ok(Launch::Help(help)) = launch("--help", "") else { panic!("no help") };
    let manual = include_str!("../../docs/operations.md");
    for option in all() {
        assert!(help.contains(option.name), "--help: {}", option.name);
        let default = if option.default.is_empty() { "\"\"" } else { option.default };
        let row = format!("| `{}` | `{default}` | {} | {} |", option.name, if option.at_run_time { "yes" } else { "no" }, option.help);
        assert!(!option.has_effect() || manual.contains(&row), "docs/operations.md lacks\n{row}");
        assert_eq!(option.help.is_empty(), !option.has_effect(), "{}", option.name);
    }
    let listed = |begin: &str| -> BTreeSet<&str> {
        let line = manual.lines().find_map(|line| line.strip_prefix(begin)).expect("the list is there");
        line.split(';').next().unwrap_or_default().split('`').skip(1).step_by(2).collect()
    };
    let without_effect = |is_meant: &dyn Fn(&Store) -> bool| -> BTreeSet<&str> {
        all().filter(|option| !option.hidden && is_meant(&option.store)).map(|option| option.name).collect()
    };
    assert_eq!(listed("Accepted without effect"), without_effect(&|store| matches!(store, Store::Inert)));
    assert_eq!(listed("Refused unless they are off"), without_effect(&|store| matches!(store, Store::Missing(_))));
}

#[test]
fn every_option_is_set_at_run_time_or_says_that_it_is_not() {
    for option in all() {
        let mut config = Config::shipped();
        let done = config.set(&[(option.name, option.default)]);
        assert_eq!(done.is_ok(), option.at_run_time, "{}: {done:?}", option.name);
    }
}

#[test]
fn file_and_command_line_give_typed_values() {
    let config = config_of(
        "c.conf --port 7001 --bind 127.0.0.1 ::1",
        "port 7000\n# a comment\n\nMAXCLIENTS 50\nrequirepass \"a b\"\nclient-query-buffer-limit 64mb\n",
    );
    assert_eq!(config.file.as_deref(), Some(Path::new("c.conf")));
    assert_eq!((config.port, config.maxclients, config.bus_port()), (7001, 50, 17001));
    assert_eq!((config.requirepass.as_slice(), config.client_query_buffer_limit), (&b"a b"[..], 64 << 20));
    assert_eq!(config.bind, ["127.0.0.1", "::1"]);
    let limits = config_of("c.conf", "client-output-buffer-limit normal 1mb 0 0\nclient-output-buffer-limit pubsub 2mb 0 0")
        .client_output_buffer_limit;
    assert_eq!((limits.normal.hard, limits.pubsub.hard), (1 << 20, 2 << 20));
}

#[test]
fn a_backlog_has_redis_bounds() {
    for (size, taken) in [("1", 16 << 10), ("16383", 16 << 10), ("16385", 16385), ("1mb", 1 << 20)] {
        assert_eq!(config_of(&format!("--repl-backlog-size {size}"), "").repl_backlog_size, taken);
    }
    for line in ["repl-backlog-size 0", "repl-diskless-sync-delay -1", "repl-diskless-sync-max-replicas -1"] {
        assert!(error_of("c.conf", line).contains("argument must be between"), "{line}");
    }
}

#[test]
fn timeouts_follow_from_each_other() {
    let config = config_of("", "");
    assert_eq!((config.write_lease(), config.election_timeout()), (5000, 1000));
    let config = config_of("--cluster-node-timeout 2000", "");
    assert_eq!((config.write_lease(), config.election_timeout()), (2000, 400));
    let config = config_of("--cluster-write-lease 9000 --cluster-node-timeout 2000 --cluster-raft-election-timeout 500", "");
    assert_eq!((config.write_lease(), config.election_timeout()), (2000, 500));
    assert_eq!(config.warnings.len(), 2);
}

#[test]
fn errors_name_file_line_and_reason() {
    let cases = [
        ("port 7000\nfoo bar", "c.conf:2", "no such option"),
        ("port 99999", "c.conf:1", "between 0 and 65535"),
        ("port 0", "c.conf:1", "would let nobody in"),
        ("port 1 2", "c.conf:1", "wrong number of arguments"),
        ("port", "c.conf:1", "wrong number of arguments"),
        ("bind", "c.conf:1", "wrong number of arguments"),
        ("oom-score-adj-values", "c.conf:1", "wrong number of arguments"),
        ("cluster-enabled no", "c.conf:1", "Pontoon is a cluster node"),
        ("daemonize yes", "c.conf:1", "supervisor"),
        ("include other.conf", "c.conf:1", "not supported"),
        ("logfile \"x", "c.conf:1", "Unbalanced quotes"),
        ("cluster-announce-hostname a,b", "c.conf:1", "hyphens or dots"),
        ("port 60000", "c.conf:1", "cluster-port"),
        ("port 7000\ncluster-port 7000", "c.conf:2", "must differ"),
        ("# x\ndbfilename a/b\nport 7000", "c.conf:2: 'dbfilename a/b'", "can't be a path"),
        ("dbfilename \"\"", "c.conf:1: 'dbfilename \"\"'", "must not be empty"),
        ("dbfilename x\ncluster-config-file x", "c.conf:2", "a name of its own"),
    ];
    for (file, place, reason) in cases {
        let text = error_of("c.conf", file);
        assert!(text.starts_with("*** FATAL CONFIG FILE ERROR") && text.contains(place) && text.contains(reason), "{file}: {text}");
    }
    assert!(error_of("--prot 1", "").contains("command line"));
    assert!(error_of("c.conf --port 60000", "port 7000").contains("command line: '--port 60000'"));
    let missing = from_args(&args("c.conf"), &|_| Err(io::ErrorKind::NotFound.into())).unwrap_err();
    assert!(missing.to_string().contains("c.conf"));
}

#[test]
fn lists_may_be_empty() {
    for (file, shown) in [("save", ""), ("save 60 1\nsave", "60 1"), ("save\nsave 60 1", "60 1"), ("save 60 1\nsave \"\"", "")] {
        assert_eq!(value(&config_of("c.conf", file), "save"), shown, "{file}");
    }
    let config = config_of("c.conf", "latency-tracking-info-percentiles\nclient-output-buffer-limit");
    assert_eq!(value(&config, "latency-tracking-info-percentiles"), "");
    assert_eq!(value(&config, "client-output-buffer-limit"), value(&config_of("", ""), "client-output-buffer-limit"));
}

#[test]
fn what_means_nothing_here_is_taken_with_a_warning() {
    let config = config_of("c.conf --hz 20", "hz 30\nmaxmemory-samples 7\nlua-time-limit 7\n");
    let warnings = ["command line: option 'hz'", "c.conf:2: option 'maxmemory-samples'", "c.conf:3: option 'busy-reply-threshold'"];
    let all_said = |of: &str| config.warnings.contains(&format!("{of} is accepted, without effect"));
    assert!(config.warnings.len() == 3 && warnings.into_iter().all(all_said), "{:?}", config.warnings);
    assert_eq!((value(&config, "maxmemory-samples").as_str(), value(&config, "busy-reply-threshold").as_str()), ("7", "7"));
    let of_redis = "replica-ignore-disk-write-errors no\nserver_cpulist \"\"\ntls-port 0\ntls-cluster no\ntls-replication no\n";
    assert!(config_of("c.conf", of_redis).warnings.is_empty());
}

#[test]
fn launches_other_than_a_node() {
    assert_eq!(launch("--check-nodes-conf n.conf", ""), Ok(Launch::CheckNodesConf("n.conf".into())));
    assert!(matches!(launch("--version", ""), Ok(Launch::Version(text)) if text.starts_with("Pontoon server v=")));
    assert!(launch("--check-nodes-conf", "").is_err());
}

#[test]
fn the_cluster_options_that_tools_read_are_all_there() {
    let names: Vec<_> = Config::shipped().get("cluster*").into_iter().map(|pair| pair.0).collect();
    for name in "announce-client-ipv6 allow-pubsubshard-when-down replica-validity-factor slave-validity-factor allow-replica-migration port \
        announce-hostname manual-failover-timeout blacklist-ttl announce-port slot-stats-enabled preferred-endpoint-type allow-reads-when-down \
        announce-human-nodename announce-bus-port announce-ip announce-client-ipv4 announce-tls-port enabled migration-barrier require-full-coverage \
        slave-no-failover node-timeout link-sendbuf-limit config-file replica-no-failover"
        .split_ascii_whitespace()
    {
        assert!(names.contains(&format!("cluster-{name}").as_str()), "{name}");
    }
}

#[test]
fn set_changes_all_or_nothing() {
    let mut config = Config::shipped();
    config.set(&[("cluster-node-timeout", "3000"), ("MAXCLIENTS", "7")]).unwrap();
    assert_eq!((config.cluster_node_timeout, config.maxclients), (3000, 7));
    let before = config.clone();
    let refused = |config: &mut Config, pairs: &[(&str, &str)]| config.set(pairs).unwrap_err().to_string();
    assert_eq!(
        refused(&mut config, &[("timeout", "5"), ("maxclients", "x")]),
        "ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument couldn't be parsed into an integer"
    );
    assert_eq!(refused(&mut config, &[("foo", "1")]), "ERR Unknown option or number of arguments for CONFIG SET - 'foo'");
    assert!(refused(&mut config, &[("cluster-port", "1")]).ends_with("can't set immutable config"));
    assert!(refused(&mut config, &[("timeout", "1"), ("timeout", "2")]).ends_with("duplicate parameter"));
    assert_eq!(config, before);
    config.set(&[("client-output-buffer-limit", "normal 5 4 3")]).unwrap();
    assert_eq!(config.client_output_buffer_limit.normal.hard, 5);
    assert_eq!(config.client_output_buffer_limit.replica, OutputLimits::DEFAULT.replica);
    config.set(&[("save", "")]).unwrap();
    config.client_room = Some(32);
    config
        .set(&[("maxmemory-samples", "10"), ("appendonly", "no"), ("cluster-write-lease", "9000"), ("cluster-node-timeout", "5000")])
        .unwrap();
    let inert = "CONFIG SET: option 'maxmemory-samples' is accepted, without effect";
    assert_eq!(config.warnings, [inert, "cluster-write-lease is above cluster-node-timeout: 5000 ms is used"], "what is new only");
    config.set(&[("maxclients", "32")]).unwrap();
    assert!(config.warnings.is_empty());
    assert_eq!(
        refused(&mut config, &[("maxclients", "33")]),
        "ERR CONFIG SET failed (possibly related to argument 'maxclients') - The operating system is not able to handle the specified number of clients, try with 32"
    );
}

#[test]
fn rewrite_keeps_what_people_wrote() {
    let old = "# my node\nport 7000\n\nclient-query-buffer-limit 64mb   \n# the timeout\ncluster-node-timeout 5000\nclient-output-buffer-limit replica 1 1 1\nsave 900 1\n";
    let mut config = config_of("c.conf", old);
    assert_eq!(rewritten(&config, old), old);
    config.set(&[("cluster-node-timeout", "3000"), ("requirepass", "a b"), ("client-output-buffer-limit", "slave 2 2 2")]).unwrap();
    let new = rewritten(&config, old);
    let expected = "# my node\nport 7000\n\nclient-query-buffer-limit 64mb   \n# the timeout\ncluster-node-timeout 3000\nclient-output-buffer-limit slave 2 2 2\nsave 900 1\n\
                    # Generated by CONFIG REWRITE\nrequirepass \"a b\"\n";
    assert_eq!(new, expected);
    assert_eq!(rewritten(&config, &new), new, "a second rewrite changes nothing");
    let mut again = config_of("c.conf", &new);
    again.warnings.clone_from(&config.warnings);
    assert_eq!(again, config);
    assert_eq!(rewritten(&config_of("", ""), "port 6379\nport 7000\n"), "port 6379\n", "a repeated line goes");
}

#[test]
fn a_password_may_be_of_any_bytes() {
    let mut config = config_of("c.conf", "requirepass \"a\\xffb\"\n");
    assert_eq!(config.requirepass, b"a\xffb");
    let file = b"# caf\xe9\r\nport 7000\nrequirepass caf\xe9\n".to_vec();
    match from_args(&args("c.conf"), &|_| Ok(file.clone())) {
        Ok(Launch::Run(config)) => assert_eq!((config.port, config.requirepass.as_slice()), (7000, &b"caf\xe9"[..])),
        other => panic!("{other:?}"),
    }
    config.set(&[("requirepass", &b"\xfe\0 x"[..]), ("masterauth", b"\xc3\xa4"), ("masteruser", b"\x80")]).unwrap();
    assert_eq!(config.get("masteruser"), [("masteruser", b"\x80".to_vec())]);
    let text = rewritten(&config, "requirepass \"a\\xffb\"\n");
    assert!(text.starts_with("requirepass \"\\xfe\\x00 x\"\n"), "{text}");
    let again = config_of("c.conf", &text);
    assert_eq!(
        (&again.requirepass, &again.primaryauth, &again.primaryuser),
        (&config.requirepass, &config.primaryauth, &config.primaryuser)
    );
    assert_eq!(rewritten(&again, &text), text);
    assert!(
        error_of("c.conf", "loglevel \"\\xff\"").contains("must be one of")
            && error_of("c.conf", "bind \"\\xff\" x").contains("UTF-8 text")
    );
}

#[test]
fn names_of_files_and_what_nothing_here_reads_may_be_of_any_bytes() {
    let names = ["dir", "logfile", "pidfile", "dbfilename", "cluster-config-file", "appendfilename", "bind-source-addr", "locale-collate"];
    let old: Vec<u8> = names.iter().flat_map(|name| [name.as_bytes(), b" caf\xe9-", name.as_bytes(), b"\n"].concat()).collect();
    let typed = [&b"c\xff.conf"[..], b"--syslog-ident", b"\xfe", b"--pidfile a\xf0"];
    let read = |text: &[u8], args: &[&[u8]]| match from_args(args, &|_| Ok(text.to_vec())) {
        Ok(Launch::Run(config)) => *config,
        other => panic!("{other:?}"),
    };
    let mut config = read(&old, &typed);
    assert_eq!(config.file.as_ref().unwrap().as_os_str().as_bytes(), b"c\xff.conf");
    assert_eq!(config.get("syslog-ident")[0].1, b"\xfe");
    assert_eq!(config.get("pidfile")[0].1, b"a\xf0", "quotes are read on the command line, other bytes stay");
    assert_eq!(config.get("dbfilename")[0].1, b"caf\xe9-dbfilename");
    config.set(&[("proc-title-template", &b"\x80 \0"[..])]).unwrap();
    let new = config.rewrite(&old);
    assert!(new.starts_with(b"dir caf\xe9-dir\n"), "{}", new.escape_ascii());
    let again = read(&new, &typed[..1]);
    for name in names.into_iter().chain(["syslog-ident", "proc-title-template"]) {
        assert_eq!(again.get(name), config.get(name), "{name}");
    }
    assert_eq!(again.rewrite(&new), new);
    assert!(error_of("c.conf", "dbfilename \"\\xff/\"").contains("can't be a path"));
}

/// What is missing is named at once, a line each, in the order of the lines.
#[test]
fn all_that_is_wrong_is_said_at_once() {
    let text = error_of("c.conf --maxmemory 1gb --foo 1", "appendonly yes\nport x\naclfile a\n\ninclude b\ndaemonize yes\ndaemonize no\n");
    let lines: Vec<&str> = text.lines().skip(1).collect();
    let begins = ["c.conf:1: 'appendonly yes': ", "c.conf:2: 'port x': ", "c.conf:3: 'aclfile a': ", "c.conf:5: 'include b': "]
        .into_iter()
        .chain(["command line: '--foo 1': ", "command line: '--maxmemory 1gb': "]);
    assert_eq!(lines.len(), 6, "{text}");
    assert!(lines.iter().zip(begins).all(|(line, begin)| line.starts_with(begin) && line.len() > begin.len() + 10), "{text}");
}

/// What operators and charts generate, retold: it starts a node, or each line that cannot be followed is named with what to do instead.
#[test]
fn what_tools_generate_starts_a_node_or_names_what_is_missing() {
    let cases: [(&str, &str, &[&str]); 6] = [
        ("", include_str!("../../tests/options/bitnami-chart.conf"), &["appendonly"]),
        (
            "",
            include_str!("../../tests/options/bitnami-chart-tls.conf"),
            &["appendonly", "port", "tls-port", "tls-cert-file", "tls-key-file", "tls-ca-cert-file", "tls-cluster", "tls-replication"],
        ),
        (
            " --cluster-announce-ip 10.1.2.3 --primaryuser _replication --primaryauth secret",
            include_str!("../../tests/options/valkey-operator.conf"),
            &["aclfile"],
        ),
        (" --protected-mode no", include_str!("../../tests/options/hyperspike-operator.conf"), &[]),
        ("", include_str!("../../tests/options/redis-operator.conf"), &[]),
        ("", include_str!("../../tests/options/redis-operator-persistent.conf"), &["Appendonly", "maxmemory", "include"]),
    ];
    for (options, file, missing) in cases {
        match launch(&format!("c.conf{options}"), file) {
            Ok(Launch::Run(config)) => assert!(missing.is_empty() && config.cluster_enabled, "{file}"),
            Err(error) => {
                let text = error.to_string();
                let named: Vec<&str> = text.lines().skip(1).filter_map(|line| line.split('\'').nth(1)?.split(' ').next()).collect();
                assert_eq!(named.iter().collect::<BTreeSet<_>>(), missing.iter().collect(), "{text}");
                let rest: Vec<&str> =
                    file.lines().filter(|line| !missing.iter().any(|name| line.split(' ').next() == Some(name))).collect();
                config_of(&format!("c.conf{options}"), &rest.join("\n"));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn find_knows_aliases_in_any_case() {
    assert_eq!(find("Cluster-Slave-No-Failover").map(|option| option.name), Some("cluster-replica-no-failover"));
}

#[test]
fn the_example_in_the_repository_is_what_it_says() {
    let mut example = config_of("pontoon.conf", include_str!("../../pontoon.conf"));
    example.file = None;
    assert_eq!(example, Config::shipped());
}
