//! Who this member is: the identity file, `.urb/raft/identity`, a text of five lines.
//!
//! ```text
//! seguro identity 1
//! member 0123456789abcdef
//! cluster 00112233445566778899aabbccddeeff
//! founding no
//! crc32c 1a2b3c4d
//! ```
//! The checksum is that of all lines before its own. `cluster` is `none` until it is known; `founding` is `yes` until a
//! founder's first entry is committed.
//!
//! The identity is random, made once. It is the name under which this member has voted, so it goes where the votes are: the
//! Raft log names it too. A member whose disk was wiped has neither and gets a new one; a Raft log without its identity is
//! an error, and so is one with another's.

use crate::{
    limits::IDENTITY_BYTES,
    pier_lock::PierLock,
    raft::config::ClusterId,
    store::{
        failure::{EXIT_CORRUPT, EXIT_FULL, EXIT_IO, FailureKind, kind_of_io},
        fault::NoFaults,
        files::{self, FileError},
        raft_log,
    },
    types::MemberId,
};
use std::path::{Path, PathBuf};

/// The file's name.
const NAME: &str = "identity";
/// Its first line, with its version.
const TITLE: &str = "seguro identity 1";
/// What the first lines of all versions begin with.
const FAMILY: &str = "seguro identity ";

/// Who a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Its random name, under which it votes.
    pub(crate) member: MemberId,
    /// Its cluster's random name; None while it has not joined one.
    pub(crate) cluster: Option<ClusterId>,
    /// Whether it founds the cluster, and the first entry is not yet committed.
    pub(crate) founding: bool,
}

/// Why the identity file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// It is not what it should be.
    #[error(
        "{} is not an identity file: {why}. Restore it from a copy, or let the member join anew from an empty directory",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It was written by a newer program.
    #[error("{} was written by a newer version of this program: `{title}` is not `{TITLE}`", path.display())]
    New {
        /// The file.
        path: PathBuf,
        /// Its first line.
        title: String,
    },
    /// There is a Raft log, and nobody knows under which name it has voted.
    #[error(
        "{} holds a Raft log but no identity file: this member's votes would count under another name. Restore the file from \
         a copy, or let the member join anew from an empty directory",
        path.display()
    )]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl IdentityError {
    /// The process's exit code after this failure.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            IdentityError::File(error) => match kind_of_io(&error.source) {
                FailureKind::DiskFull | FailureKind::MapFull => EXIT_FULL,
                FailureKind::Corrupt => EXIT_CORRUPT,
                FailureKind::Io => EXIT_IO,
            },
            _ => EXIT_CORRUPT,
        }
    }
}

/// A member's identity, and the file that holds it.
#[derive(Debug)]
pub(crate) struct IdentityFile {
    directory: PathBuf,
    identity: Identity,
}

impl IdentityFile {
    /// Reads the pier's identity file; None where there is neither that nor a Raft log.
    ///
    /// # Errors
    /// When it is damaged or too new, or is missing beside a Raft log, or cannot be read.
    pub(crate) fn read(pier: &PierLock) -> Result<Option<IdentityFile>, IdentityError> {
        let directory = raft_log::directory(pier.pier());
        let path = directory.join(NAME);
        let Some(bytes) = files::read_small(&path, IDENTITY_BYTES)? else {
            if raft_log::exists(&directory) {
                return Err(IdentityError::Missing { path: directory });
            }
            return Ok(None);
        };
        let identity = parse(&String::from_utf8_lossy(&bytes), &path)?;
        // The process that wrote it may have been killed before it was durable.
        files::create_dir(&directory, &NoFaults)?;
        files::sync_dir(&directory, &NoFaults)?;
        Ok(Some(IdentityFile { directory, identity }))
    }

    /// Writes a new identity file. Durable on return.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn create(pier: &PierLock, identity: Identity) -> Result<IdentityFile, IdentityError> {
        let directory = raft_log::directory(pier.pier());
        files::create_dir(&pier.pier().join(".urb"), &NoFaults)?;
        files::create_dir(&directory, &NoFaults)?;
        let file = IdentityFile { directory, identity };
        file.write()?;
        Ok(file)
    }

    /// Who this is.
    pub(crate) fn get(&self) -> Identity {
        self.identity
    }

    /// The founder's first entry is committed. Durable on return.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn set_founded(&mut self) -> Result<(), IdentityError> {
        self.identity.founding = false;
        self.write()
    }

    /// The cluster is known. Durable on return.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn set_cluster(&mut self, cluster: ClusterId) -> Result<(), IdentityError> {
        self.identity.cluster = Some(cluster);
        self.write()
    }

    fn write(&self) -> Result<(), IdentityError> {
        Ok(files::write_atomically(
            &self.directory,
            NAME,
            render(&self.identity).as_bytes(),
            &NoFaults,
        )?)
    }
}

fn render(identity: &Identity) -> String {
    let cluster = identity
        .cluster
        .map_or_else(|| "none".to_owned(), |cluster| format!("{:032x}", cluster.0));
    let founding = if identity.founding { "yes" } else { "no" };
    let text = format!(
        "{TITLE}\nmember {:016x}\ncluster {cluster}\nfounding {founding}\n",
        identity.member.0
    );
    format!("{text}crc32c {:08x}\n", crc32c::crc32c(text.as_bytes()))
}

fn parse(text: &str, path: &Path) -> Result<Identity, IdentityError> {
    let damaged = |why: &str| IdentityError::Damaged {
        path: path.to_path_buf(),
        why: why.to_owned(),
    };
    let title = text.lines().next().unwrap_or_default();
    if title != TITLE && title.starts_with(FAMILY) {
        return Err(IdentityError::New {
            path: path.to_path_buf(),
            title: title.to_owned(),
        });
    }
    let at = text
        .rfind("crc32c ")
        .ok_or_else(|| damaged("it has no checksum"))?;
    let (body, last) = text.split_at(at);
    if last != format!("crc32c {:08x}\n", crc32c::crc32c(body.as_bytes())) {
        return Err(damaged("its checksum is wrong"));
    }
    let mut lines = body.lines();
    let mut value = |key: &str| {
        let line = lines.next().unwrap_or_default();
        line.strip_prefix(key)
            .ok_or_else(|| damaged(&format!("it has `{line}` where `{key}` belongs")))
    };
    value(TITLE)?;
    let member = value("member ")?;
    let cluster = value("cluster ")?;
    let founding = value("founding ")?;
    let identity = Identity {
        member: MemberId(u64::from_str_radix(member, 16).map_err(|_| damaged("its member is no number"))?),
        cluster: match cluster {
            "none" => None,
            cluster => {
                let number =
                    u128::from_str_radix(cluster, 16).map_err(|_| damaged("its cluster is no number"))?;
                Some(ClusterId(number))
            }
        },
        founding: founding == "yes",
    };
    // What is read is what would be written: nothing is left over, nothing was read loosely.
    if render(&identity) == text {
        Ok(identity)
    } else {
        Err(damaged("it has more or other lines than it should"))
    }
}

/// Reads bytes as an identity file, for a fuzzer.
pub(crate) fn fuzz(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(identity) = parse(&text, Path::new(NAME)) {
        assert_eq!(render(&identity), text, "an identity is written as it was read");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        failure::Alarm,
        raft_log::{RaftLog, RaftLogOptions},
    };
    use std::fs;

    const IDENTITY: Identity = Identity {
        member: MemberId(0x0123_4567_89ab_cdef),
        cluster: Some(ClusterId(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff)),
        founding: false,
    };

    #[test]
    fn golden() {
        let text = "seguro identity 1\nmember 0123456789abcdef\ncluster 00112233445566778899aabbccddeeff\nfounding no\n";
        assert_eq!(render(&IDENTITY), format!("{text}crc32c d052a274\n"));
        assert_eq!(parse(&render(&IDENTITY), Path::new("f")).unwrap(), IDENTITY);
    }

    #[test]
    fn it_is_written_read_and_changed() {
        let dir = tempfile::tempdir().unwrap();
        let pier = PierLock::acquire(dir.path()).unwrap();
        assert!(IdentityFile::read(&pier).unwrap().is_none());
        let new = Identity {
            cluster: None,
            founding: true,
            ..IDENTITY
        };
        let mut file = IdentityFile::create(&pier, new).unwrap();
        assert_eq!(IdentityFile::read(&pier).unwrap().unwrap().get(), new);
        file.set_cluster(ClusterId(7)).unwrap();
        file.set_founded().unwrap();
        let found = IdentityFile::read(&pier).unwrap().unwrap().get();
        assert_eq!(
            found,
            Identity {
                cluster: Some(ClusterId(7)),
                ..IDENTITY
            }
        );
        let names: Vec<_> = fs::read_dir(dir.path().join(".urb/raft"))
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, ["identity"], "nothing staged is left");
    }

    #[test]
    fn every_change_of_a_byte_is_noticed() {
        let good = render(&IDENTITY);
        for at in 0..good.len() {
            for change in [1, 0x20] {
                let mut bad = good.clone().into_bytes();
                bad[at] ^= change;
                if let Ok(bad) = String::from_utf8(bad) {
                    parse(&bad, Path::new("f")).unwrap_err();
                }
            }
            parse(&good[..at], Path::new("f")).unwrap_err();
        }
        parse(&format!("{good}\n"), Path::new("f")).unwrap_err();
        let newer = parse("seguro identity 2\n", Path::new("f"));
        assert!(matches!(newer, Err(IdentityError::New { .. })), "{newer:?}");
    }

    #[tokio::test]
    async fn a_raft_log_without_its_identity_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let pier = PierLock::acquire(dir.path()).unwrap();
        IdentityFile::create(&pier, IDENTITY).unwrap();
        let options = RaftLogOptions {
            journal_bytes: 64 * 1024,
            ..RaftLogOptions::new(Alarm::new())
        };
        RaftLog::open(&pier, IDENTITY.member, options)
            .unwrap()
            .close()
            .await
            .unwrap();
        assert!(IdentityFile::read(&pier).unwrap().is_some());
        fs::remove_file(dir.path().join(".urb/raft/identity")).unwrap();
        let error = IdentityFile::read(&pier).unwrap_err();
        assert!(matches!(error, IdentityError::Missing { .. }), "{error}");
        // Wiped altogether it is nobody, and gets a new name.
        fs::remove_dir_all(dir.path().join(".urb/raft")).unwrap();
        assert!(IdentityFile::read(&pier).unwrap().is_none());
    }
}
