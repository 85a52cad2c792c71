//! What the disk in memory may do to its bytes and names, and what it may not.

use super::*;

const FILE: &str = "dir/file";
const TEMP: &str = "dir/file.tmp";

fn path(text: &str) -> &Path {
    Path::new(text)
}

/// A file of `durable` synced bytes `a`, then `unsynced` bytes `b`.
fn disk_with(durable: usize, unsynced: usize) -> MemoryDisk {
    let mut disk = MemoryDisk::with_file(FILE, vec![b'a'; durable]);
    disk.open_append(path(FILE)).unwrap();
    disk.write(path(FILE), &vec![b'b'; unsynced]).unwrap();
    disk
}

#[test]
fn unsynced_bytes_are_lost_kept_or_torn_by_sector_and_synced_ones_never() {
    let mut rng = Rng::new(1);
    let (mut lost, mut kept, mut torn) = (0, 0, 0);
    for _ in 0..200 {
        let disk = disk_with(700, 2000);
        assert_eq!(disk.durable(path(FILE)).unwrap().len(), 700);
        disk.crash(&mut rng);
        let bytes = disk.live(path(FILE)).unwrap();
        assert!(bytes.len() >= 700 && bytes[..700].iter().all(|byte| *byte == b'a'));
        for sector in bytes[700..].chunk_by(|a, b| a == b) {
            assert!(sector[0] == 0 || sector[0] == b'b');
        }
        match bytes.len() {
            700 => lost += 1,
            2700 if !bytes.contains(&0) => kept += 1,
            _ => torn += 1,
        }
    }
    assert!(lost > 10 && kept > 10 && torn > 10, "{lost} {kept} {torn}");
}

#[test]
fn a_torn_file_changes_at_sector_bounds_only() {
    let mut rng = Rng::new(2);
    for _ in 0..200 {
        let disk = disk_with(100, 5000);
        disk.crash(&mut rng);
        let bytes = disk.live(path(FILE)).unwrap();
        let changes = (101..bytes.len()).filter(|at| bytes[*at] != bytes[at - 1]);
        assert!(changes.into_iter().all(|at| at % SECTOR == 0));
    }
}

#[test]
fn a_sync_is_for_ever_unless_it_failed() {
    let mut disk = disk_with(10, 10);
    disk.inject(1, Fault::Fail);
    assert!(disk.sync(path(FILE)).is_err());
    disk.write(path(FILE), b"c").unwrap();
    disk.sync(path(FILE)).unwrap();
    // The bytes of the failed sync are gone though a later one succeeded.
    assert_eq!(disk.durable(path(FILE)).unwrap(), [&[b'a'; 10][..], &[0; 10], b"c"].concat());
    assert_eq!(disk.live(path(FILE)).unwrap(), [&[b'a'; 10][..], &[b'b'; 10], b"c"].concat());
}

#[test]
fn names_are_lost_in_order_until_the_directory_is_synced() {
    let mut rng = Rng::new(3);
    let mut seen = BTreeMap::new();
    for _ in 0..100 {
        let mut disk = MemoryDisk::with_file(FILE, "old");
        disk.create(path(TEMP)).unwrap();
        disk.write(path(TEMP), b"new").unwrap();
        disk.sync(path(TEMP)).unwrap();
        disk.rename(path(TEMP), path(FILE)).unwrap();
        assert_eq!(disk.live(path(FILE)).unwrap(), b"new");
        assert_eq!(disk.durable(path(FILE)).unwrap(), b"old");
        let synced = disk.fork();
        synced.clone().sync_dir(path(FILE)).unwrap();
        synced.crash(&mut rng);
        assert_eq!(synced.live(path(FILE)).unwrap(), b"new");
        disk.crash(&mut rng);
        *seen.entry((disk.live(path(FILE)), disk.live(path(TEMP)))).or_insert(0) += 1;
    }
    let (old, new) = (Some(b"old".to_vec()), Some(b"new".to_vec()));
    assert_eq!(seen.keys().cloned().collect::<Vec<_>>(), [(new.clone(), None), (old.clone(), None), (old, new)]);
}

#[test]
fn faults_hit_the_operation_that_they_were_ordered_for() {
    let mut disk = MemoryDisk::with_file(FILE, "");
    disk.inject(2, Fault::Short(2));
    disk.inject(4, Fault::Die);
    disk.open_append(path(FILE)).unwrap();
    assert_eq!(disk.write(path(FILE), b"abcd").unwrap(), 2);
    assert_eq!(disk.write(path(FILE), b"cd").unwrap(), 2);
    assert!(disk.sync(path(FILE)).is_err());
    assert!(disk.sync(path(FILE)).is_err(), "the dead write nothing");
    assert_eq!(disk.durable(path(FILE)).unwrap(), b"");
    disk.kill();
    assert_eq!(disk.read(path(FILE)).unwrap().unwrap(), b"abcd");
}

#[test]
fn a_lock_is_held_by_one_process_until_it_dies() {
    let mut first = MemoryDisk::new();
    let mut second = first.process();
    assert!(first.lock(path("l")).unwrap() && first.clone().lock(path("l")).unwrap());
    assert!(!second.lock(path("l")).unwrap());
    first.kill();
    assert!(second.lock(path("l")).unwrap());
    first.crash(&mut Rng::new(0));
    assert!(first.lock(path("l")).unwrap());
}

#[test]
fn the_durable_version_moves_with_the_durable_bytes() {
    let mut disk = disk_with(1, 1);
    let before = disk.durable_version();
    disk.write(path(FILE), b"x").unwrap();
    assert_eq!(disk.durable_version(), before);
    disk.sync(path(FILE)).unwrap();
    assert!(disk.durable_version() > before);
}
