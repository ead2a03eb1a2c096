//! What a disk can do by itself: bytes written and synced with nothing around them.

use anyhow::Context;
use heed::{
    Database, Env, EnvOpenOptions, IntegerComparator, PutFlags,
    byteorder::NativeEndian,
    types::{Bytes, U64},
};
use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

/// Address space for an LMDB table, bytes: more than a bench writes.
const MAP_BYTES: usize = 32 << 30;

/// A file that grows with each append, and is synced after it.
#[derive(Debug)]
pub struct SyncedFile(File);

impl SyncedFile {
    /// An empty file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: &Path) -> anyhow::Result<SyncedFile> {
        let file = File::create(path).with_context(|| format!("the file {}", path.display()))?;
        Ok(SyncedFile(file))
    }

    /// Writes the bytes behind those that are there: they are on disk on return.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn append(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.0.write_all(bytes)?;
        self.0.sync_data()?;
        Ok(())
    }
}

/// An LMDB table of numbered values, each of which is a transaction with a sync.
#[derive(Debug)]
pub struct SyncedTable {
    env: Env,
    table: Database<U64<NativeEndian>, Bytes, IntegerComparator>,
    next: u64,
}

impl SyncedTable {
    /// An empty table in a directory of its own, which is made.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(directory: &Path) -> anyhow::Result<SyncedTable> {
        let failed = || format!("the LMDB environment {}", directory.display());
        fs::create_dir(directory).with_context(failed)?;
        // SAFETY: the directory was made just now, and this is the only environment of this process that is opened in it.
        #[expect(unsafe_code, reason = "opening a memory map; the obligation is stated")]
        let env =
            unsafe { EnvOpenOptions::new().map_size(MAP_BYTES).open(directory) }.with_context(failed)?;
        let mut txn = env.write_txn()?;
        let table = env.database_options().types().key_comparator().create(&mut txn)?;
        txn.commit()?;
        Ok(SyncedTable { env, table, next: 0 })
    }

    /// Commits the bytes under the next number: they are on disk on return.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn append(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let mut txn = self.env.write_txn()?;
        self.table
            .put_with_flags(&mut txn, PutFlags::APPEND, &self.next, bytes)?;
        txn.commit()?;
        self.next += 1;
        Ok(())
    }
}
