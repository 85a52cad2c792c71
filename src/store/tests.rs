//! The store on its disks: when it appends and when it rewrites, what it refuses, and that the real disk works like the one in memory.

use super::scene::Scene;
use super::*;
use crate::raft::{Durable, Needs};
use crate::store::memory::Fault;

const FILE: &str = "dir/nodes.conf";

fn open(disk: &MemoryDisk) -> (Store<MemoryDisk>, Option<Loaded>) {
    Store::open(disk.clone(), FILE.into()).unwrap()
}

fn text(disk: &MemoryDisk) -> String {
    String::from_utf8(disk.durable(Path::new(FILE)).unwrap()).unwrap()
}

/// Which words the tail's lines begin with.
fn tail_words(disk: &MemoryDisk) -> Vec<String> {
    let text = text(disk);
    let lines = text.lines().skip_while(|line| !line.starts_with("crc "));
    lines.skip(1).map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_fresh_node_is_fresh_until_it_persists_and_then_loads_as_what_it_was() {
    let (disk, scene) = (MemoryDisk::new(), Scene::founded());
    let (mut store, loaded) = open(&disk);
    assert_eq!((loaded, disk.live(Path::new(FILE))), (None, None));
    assert_eq!(store.last_persisted(), Durable::default());
    let receipt = store.persist(&scene.image(), false).unwrap();
    assert!(receipt.covers(&Needs { term: 3, vote: Some(scene.me), index: 2 }));
    let loaded = open(&disk).1.unwrap();
    assert_eq!((loaded.me, loaded.incarnation, loaded.hard), (scene.me, 2, scene.hard));
    assert_eq!((loaded.state, loaded.log, loaded.cut_bytes), (scene.state, scene.log, 0));
}

#[test]
fn entries_alone_are_appended_behind_a_synced_line_and_an_idle_file_is_closed_by_one() {
    let (disk, mut scene) = (MemoryDisk::new(), Scene::founded());
    let mut store = open(&disk).0;
    store.persist(&scene.image(), true).unwrap();
    assert_eq!(tail_words(&disk), ["log", "log", "synced"]);
    assert!(!store.needs_synced_line());
    let operations = disk.operations();
    assert_eq!(store.persist(&scene.image(), false).unwrap().durable(), store.last_persisted());
    assert_eq!(disk.operations(), operations, "nothing was due");
    scene.append("NOOP 6000");
    scene.append("NOOP 7000");
    store.persist(&scene.image(), false).unwrap();
    assert_eq!(disk.operations(), operations + 2, "one write, one sync");
    assert_eq!(tail_words(&disk), ["log", "log", "synced", "synced", "log", "log"]);
    assert!(store.needs_synced_line());
    store.idle_synced().unwrap();
    store.idle_synced().unwrap();
    assert_eq!(tail_words(&disk)[6..], ["synced"]);
    assert_eq!(open(&disk).1.unwrap().log, scene.log);
}

#[test]
fn the_work_is_counted() {
    let (disk, mut scene) = (MemoryDisk::new(), Scene::founded());
    let mut store = open(&disk).0;
    let counts = |store: &Store<MemoryDisk>| (store.work().appends, store.work().rewrites, store.work().syncs.count());
    assert_eq!(counts(&store), (0, 0, 0));
    store.persist(&scene.image(), false).unwrap();
    assert_eq!(counts(&store), (0, 1, 2), "a rewrite syncs the file and its name");
    scene.append("NOOP 1");
    scene.append("NOOP 2");
    store.persist(&scene.image(), false).unwrap();
    assert_eq!(counts(&store), (1, 1, 3), "two entries go in one append");
    store.persist(&scene.image(), false).unwrap();
    store.idle_synced().unwrap();
    assert_eq!(counts(&store), (1, 1, 4), "a line that says `synced` is no append of entries");
    disk.inject(1, Fault::Fail);
    assert!(store.persist(&scene.image(), true).is_err());
    assert_eq!(counts(&store), (1, 1, 4));
}

#[test]
fn what_an_append_cannot_say_is_rewritten_without_being_asked() {
    let (disk, mut scene) = (MemoryDisk::new(), Scene::founded());
    let mut store = open(&disk).0;
    store.persist(&scene.image(), true).unwrap();
    let mut rewritten = |scene: &Scene, what: &str| {
        store.persist(&scene.image(), false).unwrap();
        assert_eq!(tail_words(&disk).last().map(String::as_str), Some("synced"), "{what}");
        assert!(!store.needs_synced_line(), "{what}");
        let loaded = open(&disk).1.unwrap();
        assert_eq!((&loaded.log, loaded.hard, &loaded.standing), (&scene.log, scene.hard, &scene.standing), "{what}");
    };
    scene.append("NOOP 1");
    scene.hard.voted_for = None;
    rewritten(&scene, "a vote");
    scene.append("NOOP 2");
    scene.hard.term = 4;
    rewritten(&scene, "a term");
    scene.log.truncate_from(4);
    rewritten(&scene, "a truncation");
    scene.log.truncate_from(3);
    let again = crate::cluster::parse_entry("2 NOOP 3").unwrap();
    (0..3).for_each(|_| {
        scene.log.push(again.clone());
    });
    rewritten(&scene, "a truncation filled up again");
    scene.standing = Standing::Claiming(vec![crate::types::Slot::new(1).unwrap().into()]);
    rewritten(&scene, "claims");
}

#[test]
fn a_file_takes_a_hundred_entries_before_it_is_rewritten() {
    let (disk, mut scene) = (MemoryDisk::new(), Scene::founded());
    let mut store = open(&disk).0;
    store.persist(&scene.image(), true).unwrap();
    for _ in 0..MAX_APPENDED {
        scene.append("NOOP 1");
        store.persist(&scene.image(), false).unwrap();
    }
    assert!(store.needs_synced_line());
    scene.append("NOOP 1");
    store.persist(&scene.image(), false).unwrap();
    assert!(!store.needs_synced_line(), "the 101st is in a rewrite");
}

#[test]
fn a_load_is_followed_by_a_rewrite_and_promises_nothing_before() {
    let (disk, mut scene) = (MemoryDisk::new(), Scene::founded());
    open(&disk).0.persist(&scene.image(), true).unwrap();
    let (mut store, loaded) = open(&disk);
    assert_eq!(store.last_persisted(), Durable::default(), "what was read may be in the page cache only");
    scene.incarnation = loaded.unwrap().incarnation;
    store.persist(&scene.image(), false).unwrap();
    assert!(text(&disk).contains("incarnation 2 "));
    assert_eq!(open(&disk).1.unwrap().incarnation, 3);
}

#[test]
fn a_torn_last_append_is_cut_and_gone_after_the_rewrite() {
    let (disk, mut scene) = (MemoryDisk::new(), Scene::founded());
    open(&disk).0.persist(&scene.image(), true).unwrap();
    disk.put(FILE, format!("{}synced 0", text(&disk)));
    let (mut store, loaded) = open(&disk);
    let loaded = loaded.unwrap();
    assert_eq!((loaded.cut_bytes, loaded.log.last_index()), (8, 2));
    scene.incarnation = loaded.incarnation;
    store.persist(&scene.image(), false).unwrap();
    assert_eq!(open(&disk).1.unwrap().cut_bytes, 0);
}

#[test]
fn refusals_name_the_file_the_line_and_what_to_do() {
    let refusal = |bytes: &str| Store::open(MemoryDisk::with_file(FILE, bytes), FILE.into()).unwrap_err().to_string();
    let empty = refusal("");
    assert!(empty.starts_with("dir/nodes.conf: line 1: the file is empty") && empty.contains("remove the file"), "{empty}");
    let redis = refusal("vars currentEpoch 0 lastVoteEpoch 0\n");
    assert!(redis.contains("no crc line") && redis.contains("Redis"), "{redis}");
}

#[test]
fn the_second_process_on_a_file_is_refused() {
    let first = MemoryDisk::new();
    let second = first.process();
    let store = open(&first).0;
    assert!(matches!(Store::open(second.clone(), FILE.into()), Err(LoadError::Locked { .. })));
    drop(store);
    first.kill();
    assert!(Store::open(second, FILE.into()).is_ok());
}

#[test]
fn after_an_error_nothing_is_tried_again() {
    let (disk, mut scene) = (MemoryDisk::new(), Scene::founded());
    let mut store = open(&disk).0;
    store.persist(&scene.image(), true).unwrap();
    scene.append("NOOP 1");
    disk.inject(2, Fault::Fail);
    let error = store.persist(&scene.image(), false).unwrap_err().to_string();
    assert_eq!(error, "dir/nodes.conf: syncing failed: injected fault");
    let operations = disk.operations();
    assert!(store.persist(&scene.image(), true).is_err());
    assert_eq!((disk.operations(), store.last_persisted().last_index), (operations, 2));
}

#[test]
fn the_report_says_what_a_node_would_load() {
    let (disk, scene) = (MemoryDisk::new(), Scene::founded());
    open(&disk).0.persist(&scene.image(), true).unwrap();
    let good = text(&disk);
    let (report, loads) = check::report(good.as_bytes());
    assert!(loads && report.contains("2 entries, 1-2, last term 1") && report.contains("torn append    none"), "{report}");
    let (report, loads) = check::report(format!("{good}x").as_bytes());
    assert!(loads && report.contains(&format!("1 bytes from byte {} (line 7)", good.len())), "{report}");
    let (report, loads) = check::report(good.replace("incarnation 1", "incarnation 2").as_bytes());
    assert!(!loads && report.contains("line 3") && report.contains("its crc is"), "{report}");
    let (report, loads) = check::report_file(&mut disk.clone(), Path::new("elsewhere"));
    assert_eq!((report.as_str(), loads), ("elsewhere: there is no such file\n", false));
}

#[test]
fn on_a_real_disk_appends_follow_the_file_over_rewrites_and_the_lock_holds() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nodes.conf");
    let mut scene = Scene::founded();
    let (mut store, loaded) = Store::open(RealDisk::new(), path.clone()).unwrap();
    assert_eq!(loaded, None);
    for full in [true, false, false, true, false] {
        scene.append("NOOP 1");
        store.persist(&scene.image(), full).unwrap();
        let contents = nodes_conf::read(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(contents.tail.log, scene.log);
    }
    store.idle_synced().unwrap();
    assert!(matches!(Store::open(RealDisk::new(), path.clone()), Err(LoadError::Locked { .. })));
    drop(store);
    let loaded = Store::open(RealDisk::new(), path).unwrap().1.unwrap();
    assert_eq!((loaded.incarnation, loaded.log), (2, scene.log));
    assert!(!dir.path().join("nodes.conf.tmp").exists());
}

#[test]
fn a_missing_directory_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nowhere").join("nodes.conf");
    let error = Store::open(RealDisk::new(), path).unwrap_err().to_string();
    assert!(error.contains("nowhere/nodes.conf.lock: locking failed"), "{error}");
}
