//! LMDB environments: how they are opened and closed, and how a value made of parts is put.

use super::{
    fault::{Faults, Step},
    files::{self, At, FileError},
};
use crate::limits::{MAX_READERS, MAX_TABLES, MIN_MAP_BYTES, RESERVE_BYTES};
use heed::{
    Database, EnvOpenOptions, IntegerComparator, PutFlags, RwTxn, WithoutTls,
    byteorder::NativeEndian,
    types::{Bytes as ByteSlice, U64},
};
use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

/// An environment of ours.
pub(crate) type Env = heed::Env<WithoutTls>;

/// A table with keys that are numbers: `MDB_INTEGERKEY`, native endian, as vere's EVENTS.
pub(crate) type NumberTable = Database<U64<NativeEndian>, ByteSlice, IntegerComparator>;

/// A table with keys that are bytes, as vere's META.
pub(crate) type BytesTable = Database<ByteSlice, ByteSlice>;

/// The file of an environment in its directory.
pub(crate) const DATA_FILE: &str = "data.mdb";

/// Where a new environment is made, in the directory of its file.
const STAGE: &str = "seguro-new-env";

/// Why an environment could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvError {
    /// A file of it cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// LMDB refuses.
    #[error("LMDB cannot open or read {}: {source}", path.display())]
    Lmdb {
        /// The directory.
        path: PathBuf,
        /// What LMDB said.
        #[source]
        source: heed::Error,
    },
    /// The file is shorter than its pages: reading it would end the process with SIGBUS.
    #[error(
        "{} is cut off: it has {found} bytes of {needed}. Restore it from a copy, or let the member join anew from an empty \
         directory",
        path.display()
    )]
    Truncated {
        /// The data file.
        path: PathBuf,
        /// Bytes that it has.
        found: u64,
        /// Bytes that its pages need.
        needed: u64,
    },
}

/// Adds the directory to a result of LMDB's.
pub(crate) trait In<T> {
    /// Adds the directory.
    fn within(self, path: &Path) -> Result<T, EnvError>;
}

impl<T> In<T> for Result<T, heed::Error> {
    fn within(self, path: &Path) -> Result<T, EnvError> {
        self.map_err(|source| EnvError::Lmdb {
            path: path.to_path_buf(),
            source,
        })
    }
}

/// Opens the environment in the directory `path`, making its files if they are not there. Plain sync mode, readers without
/// thread-local slots. Where `map_bytes` of address space are not to be had, as much as is.
pub(crate) fn open_env(path: &Path, map_bytes: usize, faults: &dyn Faults) -> Result<Env, EnvError> {
    open_checked(path, map_bytes, faults, |cut, _| Err(cut))
}

/// As [`open_env`], for an environment from which much is deleted: LMDB counts pages that a transaction took and gave back, and
/// does not write those at the file's end. A file that lacks its last pages is filled up, and what may be wrong with it is
/// told: whoever reads it must find out whether anything was there.
pub(crate) fn open_env_filled_up(
    path: &Path,
    map_bytes: usize,
    faults: &dyn Faults,
) -> Result<(Env, Option<EnvError>), EnvError> {
    let mut lacking = None;
    let env = open_checked(path, map_bytes, faults, |cut, needed| {
        let file = path.join(DATA_FILE);
        faults
            .at(Step::WriteFile, &file)
            .and_then(|()| fs::OpenOptions::new().write(true).open(&file)?.set_len(needed))
            .at("cannot fill up", &file)?;
        lacking = Some(cut);
        Ok(())
    })?;
    Ok((env, lacking))
}

/// Opens an environment; a file that ends before its last page is `short`'s, before anything is read.
fn open_checked(
    path: &Path,
    map_bytes: usize,
    faults: &dyn Faults,
    short: impl FnOnce(EnvError, u64) -> Result<(), EnvError>,
) -> Result<Env, EnvError> {
    faults
        .at(Step::OpenEnv, path)
        .at("cannot open the environment in", path)?;
    let mut map_bytes = map_bytes - map_bytes % MIN_MAP_BYTES.min(map_bytes);
    loop {
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options
            .max_dbs(MAX_TABLES)
            .max_readers(MAX_READERS)
            .map_size(map_bytes);
        // SAFETY: the map must not change but through LMDB. The pier's lock keeps every other program that knows piers
        // out, the directories are closed to other users (0700), heed keeps this process from opening it twice, and no file
        // of an open environment is renamed, cut or removed by us.
        #[expect(unsafe_code, reason = "opening a memory map; the obligation is stated")]
        let opened = unsafe { options.open(path) };
        match opened {
            Err(heed::Error::Io(error))
                if error.kind() == io::ErrorKind::OutOfMemory && map_bytes / 2 >= MIN_MAP_BYTES =>
            {
                map_bytes /= 2;
            }
            opened => {
                let env = opened.within(path)?;
                check_length(&env, path, short)?;
                env.clear_stale_readers().within(path)?;
                // A process that was killed in its last commit may have left one that is seen here and is not on disk:
                // nothing may be built on that.
                faults.at(Step::Sync, path).at("cannot sync", path)?;
                env.force_sync().within(path)?;
                return Ok(env);
            }
        }
    }
}

/// Makes an environment in the directory `dir`, where none is, so that it is there whole or not at all, and durable on return:
/// LMDB cannot open a file of which a power cut left a part. `fill` makes its tables, in a directory of its own.
pub(crate) fn create_env<E: From<EnvError>>(
    dir: &Path,
    faults: &dyn Faults,
    fill: impl FnOnce(&Env, &Path) -> Result<(), E>,
) -> Result<(), E> {
    let stage = dir.join(STAGE);
    files::remove_dir(&stage, faults).map_err(EnvError::from)?;
    files::create_dir(&stage, faults).map_err(EnvError::from)?;
    let env = open_env(&stage, MIN_MAP_BYTES, faults)?;
    let filled = fill(&env, &stage);
    close_env(env);
    filled?;
    let publish = || -> Result<(), FileError> {
        files::rename(&stage.join(DATA_FILE), &dir.join(DATA_FILE), faults)?;
        files::sync_dir(dir, faults)?;
        files::sync_dir(&stage, faults)?;
        files::remove_dir(&stage, faults)
    };
    Ok(publish().map_err(EnvError::from)?)
}

/// Removes what an interrupted [`create_env`] left in `dir`.
pub(crate) fn sweep(dir: &Path, faults: &dyn Faults) -> Result<(), FileError> {
    let stage = dir.join(STAGE);
    if stage.exists() {
        files::remove_dir(&stage, faults)?;
    }
    Ok(())
}

/// LMDB does not look whether its file holds the pages that it should; touching one that is not there is SIGBUS.
fn check_length(
    env: &Env,
    path: &Path,
    short: impl FnOnce(EnvError, u64) -> Result<(), EnvError>,
) -> Result<(), EnvError> {
    let file = path.join(DATA_FILE);
    let found = fs::metadata(&file).at("cannot look at", &file)?.len();
    let page = u64::from(env.stat().page_size);
    let needed = (env.info().last_page_number as u64 + 1) * page;
    if found < needed {
        let path = file;
        short(EnvError::Truncated { path, found, needed }, needed)
    } else {
        Ok(())
    }
}

/// Closes an environment and waits until it is closed, so that its directory may be renamed or opened anew. Every
/// other handle of it must be gone.
pub(crate) fn close_env(env: Env) {
    env.prepare_for_closing().wait();
}

/// Bytes of an environment's file that are in use (pages up to the last one, free ones among them included).
pub(crate) fn used_bytes(env: &Env) -> u64 {
    (env.info().last_page_number as u64 + 1) * u64::from(env.stat().page_size)
}

/// Puts a value of `length` bytes, which `fill` writes, behind the table's last key.
///
/// `key` must be greater than every key in the table: the caller knows its last key and has checked.
pub(crate) fn append(
    table: NumberTable,
    txn: &mut RwTxn<'_>,
    key: u64,
    length: usize,
    scratch: &mut Vec<u8>,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), heed::Error> {
    if length >= RESERVE_BYTES {
        // Straight into LMDB's pages: a copy of 512 MiB is worth avoiding. Not with APPEND: heed's way of passing it
        // reads an unset pointer when LMDB refuses the key.
        return table.put_reserved(txn, &key, length, |space| fill(space));
    }
    scratch.clear();
    fill(scratch)?;
    assert_eq!(scratch.len(), length, "a value has the length that was announced");
    table.put_with_flags(txn, PutFlags::APPEND, &key, scratch)
}

#[cfg(test)]
mod tests {
    use super::{super::fault::NoFaults, *};

    fn numbers(env: &Env, txn: &mut RwTxn<'_>) -> NumberTable {
        env.database_options()
            .types::<U64<NativeEndian>, ByteSlice>()
            .key_comparator::<IntegerComparator>()
            .name("N")
            .create(txn)
            .unwrap()
    }

    #[test]
    fn a_cut_file_is_an_error_and_not_a_signal() {
        let dir = tempfile::tempdir().unwrap();
        let env = open_env(dir.path(), MIN_MAP_BYTES, &NoFaults).unwrap();
        let mut txn = env.write_txn().unwrap();
        let table: BytesTable = env.create_database(&mut txn, Some("T")).unwrap();
        table.put(&mut txn, b"key", &[7; 100_000]).unwrap();
        txn.commit().unwrap();
        close_env(env);
        let file = dir.path().join(DATA_FILE);
        let whole = fs::metadata(&file).unwrap().len();
        fs::OpenOptions::new()
            .write(true)
            .open(&file)
            .unwrap()
            .set_len(whole - 4096)
            .unwrap();
        match open_env(dir.path(), MIN_MAP_BYTES, &NoFaults) {
            Err(EnvError::Truncated { found, needed, .. }) => {
                assert_eq!((found, needed), (whole - 4096, whole))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn pages_that_a_transaction_gave_back_may_be_missing() {
        let dir = super::super::fast_dir();
        let env = open_env(dir.path(), MIN_MAP_BYTES, &NoFaults).unwrap();
        let mut txn = env.write_txn().unwrap();
        let numbers = numbers(&env, &mut txn);
        let names: BytesTable = env.create_database(&mut txn, Some("T")).unwrap();
        names.put(&mut txn, b"log", b"x").unwrap();
        txn.commit().unwrap();
        // Found by trying: lengths of what is put, how many of the last and of the first go again.
        let (mut first, mut next) = (0_u64, 0_u64);
        for (lengths, last, oldest) in [
            (&[142, 214, 287, 3961, 121, 147][..], 0, 5),
            (&[128, 219, 287, 109, 151, 169, 5193], 0, 5),
            (&[132, 5614, 1857, 113, 93, 2584, 222], 2, 7),
        ] {
            let mut txn = env.write_txn().unwrap();
            for length in lengths {
                numbers
                    .put_with_flags(&mut txn, PutFlags::APPEND, &next, &vec![7; *length])
                    .unwrap();
                next += 1;
            }
            numbers.delete_range(&mut txn, &(next - last..)).unwrap();
            next -= last;
            names.put(&mut txn, b"vote", &[1; 20]).unwrap();
            names.put(&mut txn, b"purged", &[1; 24]).unwrap();
            first += oldest;
            numbers.delete_range(&mut txn, &(..first)).unwrap();
            names.put(&mut txn, b"journal", &[1; 24]).unwrap();
            txn.commit().unwrap();
        }
        let used = used_bytes(&env);
        close_env(env);
        let length = fs::metadata(dir.path().join(DATA_FILE)).unwrap().len();
        assert!(length < used, "LMDB wrote all pages");
        assert!(matches!(
            open_env(dir.path(), MIN_MAP_BYTES, &NoFaults),
            Err(EnvError::Truncated { .. })
        ));
        let (env, lacking) = open_env_filled_up(dir.path(), MIN_MAP_BYTES, &NoFaults).unwrap();
        assert!(matches!(lacking, Some(EnvError::Truncated { found, needed, .. })
            if (found, needed) == (length, used)));
        let mut txn = env.write_txn().unwrap();
        let names: BytesTable = env.open_database(&txn, Some("T")).unwrap().unwrap();
        assert_eq!(names.get(&txn, b"vote").unwrap(), Some(&[1; 20][..]));
        // And the pages are there to be used.
        names.put(&mut txn, b"large", &[8; 100_000]).unwrap();
        txn.commit().unwrap();
    }

    /// Fails at the step of this number, and notes each.
    #[derive(Debug, Default)]
    struct Steps {
        fails_at: usize,
        seen: std::sync::Mutex<Vec<(Step, PathBuf)>>,
        file: PathBuf,
    }

    impl Faults for Steps {
        fn at(&self, step: Step, path: &Path) -> io::Result<()> {
            let mut seen = self.seen.lock().unwrap();
            let renamed = seen.iter().any(|(step, _)| *step == Step::Rename);
            assert!(
                renamed || self.file == Path::new("") || !self.file.exists(),
                "{step:?} with half a file in place"
            );
            seen.push((step, path.to_path_buf()));
            match seen.len() == self.fails_at {
                true => Err(io::Error::from_raw_os_error(5)),
                false => Ok(()),
            }
        }
    }

    #[test]
    fn a_new_environment_is_there_whole_or_not_at_all() {
        let fill = |env: &Env, path: &Path| -> Result<(), EnvError> {
            let mut txn = env.write_txn().within(path)?;
            let table: BytesTable = env.create_database(&mut txn, Some("T")).within(path)?;
            table.put(&mut txn, b"key", b"value").within(path)?;
            txn.commit().within(path)
        };
        for fails_at in 1.. {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join(DATA_FILE);
            let steps = Steps {
                fails_at,
                file: file.clone(),
                ..Steps::default()
            };
            let made = create_env(dir.path(), &steps, fill);
            let ended = made.is_ok();
            // What is left is gone on with.
            if !file.exists() {
                create_env(dir.path(), &NoFaults, fill).unwrap();
            }
            sweep(dir.path(), &NoFaults).unwrap();
            let names: Vec<_> = fs::read_dir(dir.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            assert_eq!(names, [DATA_FILE], "step {fails_at}");
            let env = open_env(dir.path(), MIN_MAP_BYTES, &NoFaults).unwrap();
            let txn = env.read_txn().unwrap();
            let table: BytesTable = env.open_database(&txn, Some("T")).unwrap().unwrap();
            assert_eq!(table.get(&txn, b"key").unwrap().unwrap(), b"value");
            if ended {
                let seen = steps.seen.into_inner().unwrap();
                let renamed = seen.iter().position(|(step, _)| *step == Step::Rename).unwrap();
                let after = &seen[renamed + 1];
                assert_eq!(
                    *after,
                    (Step::Sync, dir.path().to_path_buf()),
                    "its name is synced next"
                );
                return;
            }
        }
    }

    #[test]
    fn what_is_opened_is_synced_first() {
        let dir = tempfile::tempdir().unwrap();
        close_env(open_env(dir.path(), MIN_MAP_BYTES, &NoFaults).unwrap());
        let steps = Steps::default();
        close_env(open_env(dir.path(), MIN_MAP_BYTES, &steps).unwrap());
        let seen = steps.seen.into_inner().unwrap();
        assert!(seen.contains(&(Step::Sync, dir.path().to_path_buf())), "{seen:?}");
    }

    #[test]
    fn address_space_that_is_not_to_be_had_is_halved() {
        let dir = tempfile::tempdir().unwrap();
        // 2^50 bytes: more than a process has, on any machine of today.
        let env = open_env(dir.path(), 1 << 50, &NoFaults).unwrap();
        assert!(env.info().map_size >= MIN_MAP_BYTES && env.info().map_size < 1 << 50);
        close_env(env);
    }

    #[test]
    fn large_and_small_values_arrive_alike() {
        let dir = tempfile::tempdir().unwrap();
        let env = open_env(dir.path(), MIN_MAP_BYTES, &NoFaults).unwrap();
        let mut txn = env.write_txn().unwrap();
        let table = numbers(&env, &mut txn);
        let mut scratch = Vec::new();
        for (key, length) in [
            (1, 0),
            (2, 5),
            (300, RESERVE_BYTES - 1),
            (301, RESERVE_BYTES),
            (302, 3 * RESERVE_BYTES),
        ] {
            append(table, &mut txn, key, length, &mut scratch, |out| {
                out.write_all(&vec![key as u8; length])
            })
            .unwrap();
            assert_eq!(table.get(&txn, &key).unwrap().unwrap(), vec![key as u8; length]);
        }
        // Out of order: refused where it is cheap to see.
        append(table, &mut txn, 7, 1, &mut scratch, |out| out.write_all(&[1])).unwrap_err();
        txn.commit().unwrap();
    }
}
