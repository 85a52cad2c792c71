//! COMMAND's shapes in both protocols, against what Redis 7.0 answers, and Valkey 8.1 where that differs.

use super::*;

const WATCH_2: &str = "*10\r\n$5\r\nwatch\r\n:-2\r\n*6\r\n+noscript\r\n+loading\r\n+stale\r\n+fast\r\n+no_multi\r\n+allow_busy\r\n:1\r\n:-1\r\n:1\r\n\
    *2\r\n+@transaction\r\n+@fast\r\n*0\r\n*1\r\n*6\r\n$5\r\nflags\r\n*1\r\n+RO\r\n$12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n\
    $4\r\nspec\r\n*2\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n*6\r\n$7\r\nlastkey\r\n\
    :-1\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n*0\r\n";
const WATCH_3: &str = "*10\r\n$5\r\nwatch\r\n:-2\r\n~6\r\n+noscript\r\n+loading\r\n+stale\r\n+fast\r\n+no_multi\r\n+allow_busy\r\n:1\r\n:-1\r\n:1\r\n\
    ~2\r\n+@transaction\r\n+@fast\r\n~0\r\n~1\r\n%3\r\n$5\r\nflags\r\n~1\r\n+RO\r\n$12\r\nbegin_search\r\n%2\r\n$4\r\ntype\r\n$5\r\nindex\r\n\
    $4\r\nspec\r\n%1\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n%2\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n%3\r\n$7\r\nlastkey\r\n\
    :-1\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n~0\r\n";

#[test]
fn one_command_in_both_protocols() {
    let mut desk = Desk::new();
    assert_eq!(desk.ask("command info watch"), format!("*1\r\n{WATCH_2}"));
    assert_eq!(desk.ask("command info nosuch WATCH"), format!("*2\r\n$-1\r\n{WATCH_2}"));
    desk.ask("hello 3");
    assert_eq!(desk.ask("command info watch"), format!("*1\r\n{WATCH_3}"));
}

#[test]
fn subcommands_have_full_names_and_keys_count_from_the_container() {
    let mut desk = Desk::new();
    let memory = desk.ask("command info memory");
    assert!(memory.contains("*2\r\n*10\r\n$11\r\nmemory|help\r\n:2\r\n"), "{memory}");
    let usage = desk.ask("command info memory|usage");
    assert!(usage.contains("$12\r\nmemory|usage\r\n:-3\r\n*1\r\n+readonly\r\n:2\r\n:2\r\n:1\r\n"), "{usage}");
    assert!(usage.contains("$5\r\nindex\r\n:2\r\n") && usage.contains("$7\r\nlastkey\r\n:0\r\n"), "{usage}");
    assert_eq!(desk.ask("command info memory|nope"), "*1\r\n$-1\r\n");
}

#[test]
fn everything_at_once() {
    let mut desk = Desk::new();
    let count = table().command_count();
    assert_eq!(desk.ask("command count"), format!(":{count}\r\n"));
    assert!(desk.ask("command list").starts_with(&format!("*{}\r\n$6\r\nappend\r\n", table().len())), "subcommands too");
    let all = desk.ask("command");
    assert!(all.starts_with(&format!("*{count}\r\n*10\r\n$6\r\nappend\r\n")), "sorted by name");
    assert_eq!(desk.ask("command info"), all);
    assert_eq!(count_values(all.as_bytes()), 1);
    desk.ask("hello 3");
    for line in ["command", "command docs", "command list"] {
        assert_eq!(count_values(desk.ask(line).as_bytes()), 1, "{line}");
    }
}

#[test]
fn docs_and_lists() {
    let mut desk = Desk::new();
    assert_eq!(
        desk.ask("command docs multi nosuch"),
        "*2\r\n$5\r\nmulti\r\n*6\r\n$7\r\nsummary\r\n$21\r\nStarts a transaction.\r\n$5\r\nsince\r\n$5\r\n1.2.0\r\n$5\r\ngroup\r\n\
         $12\r\ntransactions\r\n"
    );
    desk.ask("hello 3");
    let docs = desk.ask("command docs config");
    assert!(
        docs.starts_with("%1\r\n$6\r\nconfig\r\n%4\r\n") && docs.contains("$11\r\nsubcommands\r\n%5\r\n$10\r\nconfig|get\r\n"),
        "{docs}"
    );
    assert_eq!(desk.ask("command list filterby pattern MULT*"), "*1\r\n$5\r\nmulti\r\n");
    assert!(desk.ask("command list filterby aclcat transaction").starts_with("*5\r\n"));
    assert_eq!(desk.ask("command list filterby module x"), "*0\r\n");
    assert_eq!(desk.ask("command list filterby x y"), "-ERR syntax error\r\n");
    assert_eq!(desk.ask("command list x"), "-ERR syntax error\r\n");
    assert_eq!(desk.ask("command nope"), "-ERR unknown subcommand 'nope'. Try COMMAND HELP.\r\n");
}

#[test]
fn keys_of_a_whole_command() {
    let mut desk = Desk::new();
    assert_eq!(desk.ask("command getkeys watch a b"), "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    assert_eq!(desk.ask("command getkeys memory usage k"), "*1\r\n$1\r\nk\r\n");
    assert_eq!(desk.ask("command getkeysandflags watch a"), "*1\r\n*2\r\n$1\r\na\r\n*1\r\n+RO\r\n");
    for line in ["set a get", "set a b", "set a b ex 5 nx"] {
        assert_eq!(desk.ask(&format!("command getkeysandflags {line}")), "*1\r\n*2\r\n$1\r\na\r\n*2\r\n+OW\r\n+update\r\n", "{line}");
    }
    let with_get = "*1\r\n*2\r\n$1\r\na\r\n*3\r\n+RW\r\n+access\r\n+update\r\n";
    assert_eq!(desk.ask("command getkeysandflags set a b xx GET"), with_get);
    assert_eq!(desk.ask("command getkeys ping"), "-ERR The command has no key arguments\r\n");
    assert_eq!(desk.ask("command getkeys nosuch a"), "-ERR Invalid command specified\r\n");
    assert_eq!(desk.ask("command getkeys watch"), "-ERR Invalid number of arguments specified for command\r\n");
}

/// How many values these bytes hold; panics unless they end with one.
pub(super) fn count_values(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while !bytes.is_empty() {
        bytes = skip_value(bytes);
        count += 1;
    }
    count
}

fn skip_value(bytes: &[u8]) -> &[u8] {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n").expect("a line ends");
    let (line, rest) = (&bytes[1..end], &bytes[end + 2..]);
    let number = || std::str::from_utf8(line).unwrap().parse::<i64>().unwrap();
    let several = |n: i64| (0..n).fold(rest, |rest, _| skip_value(rest));
    match bytes[0] {
        b'+' | b'-' | b':' | b',' | b'_' | b'#' => rest,
        b'$' | b'=' if number() < 0 => rest,
        b'$' | b'=' => rest[number() as usize..].strip_prefix(b"\r\n").expect("a bulk string ends"),
        b'*' | b'~' | b'>' => several(number()),
        b'%' => several(2 * number()),
        other => panic!("no reply begins with {other}"),
    }
}
