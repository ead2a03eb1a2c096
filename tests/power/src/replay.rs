//! Does to a [`Disk`] what a recorded run did to the real one.

use crate::{
    disk::{Disk, Inode},
    trace::{Arg, CWD, Call, Moment, Trace},
};
use anyhow::{Context, bail, ensure};
use std::{
    collections::HashMap,
    path::{Component, Path, PathBuf},
};

/// Files that a program changes through memory: what is in them is of no use after a power cut. LMDB's lock file.
pub const IN_MEMORY: &[&str] = &["lock.mdb"];

/// Where a recorded run has its files.
#[derive(Clone, Debug)]
pub struct Places {
    /// The directory that is recorded.
    pub root: PathBuf,
    /// The file, elsewhere, to which it writes its marks.
    pub marks: PathBuf,
    /// The directory that it stands in.
    pub stands_in: PathBuf,
}

/// What a descriptor means.
#[derive(Clone, Debug)]
struct Open {
    what: What,
    position: u64,
    appends: bool,
    /// Writes are durable when they return (`O_SYNC`, `O_DSYNC`).
    synced: bool,
}

#[derive(Clone, Debug)]
enum What {
    Inode(Inode, PathBuf),
    Marks,
}

/// What happened at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// Nothing that concerns the disk.
    Nothing,
    /// The disk changed, or more of it is certain.
    Changed,
    /// The story wrote these marks.
    Said(Vec<String>),
}

/// A run as far as it has been replayed.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The disk.
    pub disk: Disk,
    places: Places,
    /// Descriptors, by their number; copies of one share a place in `opens`.
    descriptors: HashMap<i64, usize>,
    opens: Vec<Open>,
    /// When the calls that are under way began.
    began: HashMap<usize, u64>,
    /// A sync that does not happen.
    forgotten: Option<usize>,
}

impl Replay {
    /// Nothing has happened yet, to this disk.
    #[must_use]
    pub fn new(disk: Disk, places: Places) -> Replay {
        Replay {
            disk,
            places,
            descriptors: HashMap::new(),
            opens: Vec::new(),
            began: HashMap::new(),
            forgotten: None,
        }
    }

    /// The call of this place, a sync, does not happen.
    pub fn forget(&mut self, sync: usize) {
        self.forgotten = Some(sync);
    }

    /// Goes on by a moment.
    ///
    /// # Errors
    /// When the program did something that this does not understand.
    pub fn step(&mut self, trace: &Trace, moment: Moment) -> anyhow::Result<Happened> {
        let (Moment::Begin(nth) | Moment::End(nth)) = moment;
        let call = &trace.calls[nth];
        if call.result.is_none_or(|result| result < 0) {
            return Ok(Happened::Nothing);
        }
        let happened = match moment {
            Moment::Begin(_) => {
                let happened = self.begin(call);
                self.began.insert(nth, self.disk.time());
                happened
            }
            Moment::End(_) => {
                let began = self
                    .began
                    .remove(&nth)
                    .context("a call ended that had not begun")?;
                if self.forgotten == Some(nth) {
                    return Ok(Happened::Nothing);
                }
                self.end(call, began)
            }
        };
        happened.with_context(|| format!("{}, call {nth} of the recording", call.name))
    }

    /// Which file a call syncs, if it is of those that do no more than that.
    ///
    /// # Errors
    /// When the call is malformed.
    pub fn syncs(&self, call: &Call) -> anyhow::Result<Option<PathBuf>> {
        if !matches!(call.name.as_str(), "fsync" | "fdatasync") {
            return Ok(None);
        }
        Ok(match self.opened(call.number(0)?) {
            Some(Open {
                what: What::Inode(_, path),
                ..
            }) => Some(path.clone()),
            _ => None,
        })
    }

    /// Which file a call writes, if it is a commit's last write: LMDB's is certain when it returns, the journal's is its only one.
    ///
    /// # Errors
    /// When the call is malformed.
    pub fn ends_a_commit(&self, call: &Call) -> anyhow::Result<Option<PathBuf>> {
        if !matches!(call.name.as_str(), "write" | "writev" | "pwrite64" | "pwritev") {
            return Ok(None);
        }
        Ok(match self.opened(call.number(0)?) {
            Some(Open {
                what: What::Inode(_, path),
                synced,
                ..
            }) if *synced || path.ends_with("journal") => Some(path.clone()),
            _ => None,
        })
    }

    fn opened(&self, descriptor: i64) -> Option<&Open> {
        self.descriptors.get(&descriptor).map(|nth| &self.opens[*nth])
    }

    /// The directory and name that a path means, if it is one of those that are recorded.
    fn place(&self, dir: i64, path: &[u8]) -> anyhow::Result<Option<(Inode, String)>> {
        let path = Path::new(std::str::from_utf8(path)?);
        let (mut at, below) = match (path.is_absolute(), self.opened(dir)) {
            (
                false,
                Some(Open {
                    what: What::Inode(inode, _),
                    ..
                }),
            ) => (*inode, path.to_path_buf()),
            (false, _) if dir != CWD => return Ok(None),
            _ => match self.places.stands_in.join(path).strip_prefix(&self.places.root) {
                Ok(below) => (Disk::ROOT, below.to_path_buf()),
                Err(_) => return Ok(None),
            },
        };
        let mut names = Vec::new();
        for part in below.components() {
            match part {
                Component::Normal(name) => names.push(name.to_str().context("a name that is no text")?),
                Component::CurDir => {}
                other => bail!("a path with {other:?}"),
            }
        }
        let Some(last) = names.pop() else { return Ok(None) };
        for name in names {
            match self.disk.find(at, name) {
                Some(inode) => at = inode,
                None => return Ok(None),
            }
        }
        Ok(Some((at, last.to_owned())))
    }

    /// What a call changes that it has begun.
    fn begin(&mut self, call: &Call) -> anyhow::Result<Happened> {
        let arguments =
            |dir: usize| -> anyhow::Result<(i64, &[u8])> { Ok((call.number(dir)?, call.bytes(dir + 1)?)) };
        let here = |path: usize| -> anyhow::Result<(i64, &[u8])> { Ok((CWD, call.bytes(path)?)) };
        match call.name.as_str() {
            "open" => self.create(here(0)?, call.has_flag(1, "O_CREAT"), call.has_flag(1, "O_TRUNC")),
            "creat" => self.create(here(0)?, true, true),
            "openat" => self.create(
                arguments(0)?,
                call.has_flag(2, "O_CREAT"),
                call.has_flag(2, "O_TRUNC"),
            ),
            "mkdir" => self.make_dir(here(0)?),
            "mkdirat" => self.make_dir(arguments(0)?),
            "unlink" | "rmdir" => self.remove(here(0)?),
            "unlinkat" => self.remove(arguments(0)?),
            "rename" => self.rename(here(0)?, here(1)?, false),
            "renameat" => self.rename(arguments(0)?, arguments(2)?, false),
            "renameat2" => self.rename(arguments(0)?, arguments(2)?, call.has_flag(4, "RENAME_EXCHANGE")),
            "write" | "writev" | "pwrite64" | "pwritev" => self.write(call),
            "ftruncate" => match self.opened(call.number(0)?) {
                Some(Open {
                    what: What::Inode(inode, _),
                    ..
                }) => {
                    self.disk.set_length(*inode, u64::try_from(call.number(1)?)?);
                    Ok(Happened::Changed)
                }
                _ => Ok(Happened::Nothing),
            },
            "mmap" => {
                let shared = call.has_flag(3, "MAP_SHARED") && call.has_flag(2, "PROT_WRITE");
                match self.opened(call.number(4)?) {
                    Some(Open {
                        what: What::Inode(_, path),
                        ..
                    }) if shared => {
                        let known = path
                            .file_name()
                            .is_some_and(|name| IN_MEMORY.iter().any(|known| name == *known));
                        ensure!(
                            known,
                            "{} is written through memory, which is not recorded",
                            path.display()
                        );
                    }
                    _ => {}
                }
                Ok(Happened::Nothing)
            }
            "fsync" | "fdatasync" | "close" | "lseek" | "dup" | "dup2" | "dup3" | "fcntl" | "msync" => {
                Ok(Happened::Nothing)
            }
            // Those that are not understood must not concern the files that are recorded.
            _ => {
                for (nth, arg) in call.args.iter().enumerate() {
                    let concerns = match arg {
                        Arg::Number(number) => nth < 3 && self.opened(*number).is_some(),
                        Arg::Bytes(path) => self.place(CWD, path)?.is_some(),
                        Arg::Other(_) => false,
                    };
                    ensure!(!concerns, "not understood by the replay: {:?}", call.args);
                }
                Ok(Happened::Nothing)
            }
        }
    }

    fn create(&mut self, (dir, path): (i64, &[u8]), creates: bool, cuts: bool) -> anyhow::Result<Happened> {
        let Some((dir, name)) = self.place(dir, path)? else {
            return Ok(Happened::Nothing);
        };
        match self.disk.find(dir, &name) {
            None if creates => {
                let file = self.disk.new_file();
                self.disk.rename(vec![(dir, name, Some(file))]);
            }
            Some(file) if cuts && self.disk.length(file) > 0 => self.disk.set_length(file, 0),
            _ => return Ok(Happened::Nothing),
        }
        Ok(Happened::Changed)
    }

    fn make_dir(&mut self, (dir, path): (i64, &[u8])) -> anyhow::Result<Happened> {
        let Some((dir, name)) = self.place(dir, path)? else {
            return Ok(Happened::Nothing);
        };
        let new = self.disk.new_dir();
        self.disk.rename(vec![(dir, name, Some(new))]);
        Ok(Happened::Changed)
    }

    fn remove(&mut self, (dir, path): (i64, &[u8])) -> anyhow::Result<Happened> {
        let Some((dir, name)) = self.place(dir, path)? else {
            return Ok(Happened::Nothing);
        };
        self.disk.rename(vec![(dir, name, None)]);
        Ok(Happened::Changed)
    }

    fn rename(&mut self, from: (i64, &[u8]), to: (i64, &[u8]), exchanges: bool) -> anyhow::Result<Happened> {
        let (from, to) = (self.place(from.0, from.1)?, self.place(to.0, to.1)?);
        let (Some(from), Some(to)) = (&from, &to) else {
            ensure!(
                from.is_none() && to.is_none(),
                "a rename into or out of what is recorded"
            );
            return Ok(Happened::Nothing);
        };
        let moved = self.disk.find(from.0, &from.1);
        let other = self.disk.find(to.0, &to.1).filter(|_| exchanges);
        self.disk
            .rename(vec![(from.0, from.1.clone(), other), (to.0, to.1.clone(), moved)]);
        Ok(Happened::Changed)
    }

    fn write(&mut self, call: &Call) -> anyhow::Result<Happened> {
        let Some(nth) = self.descriptors.get(&call.number(0)?).copied() else {
            return Ok(Happened::Nothing);
        };
        let bytes = written(call)?;
        let (inode, appends) = match &self.opens[nth] {
            Open {
                what: What::Marks, ..
            } => {
                let text = String::from_utf8(bytes)?;
                return Ok(Happened::Said(text.lines().map(str::to_owned).collect()));
            }
            Open {
                what: What::Inode(inode, _),
                appends,
                ..
            } => (*inode, *appends),
        };
        let offset = match call.name.as_str() {
            "pwrite64" | "pwritev" => u64::try_from(call.number(3)?)?,
            _ => {
                let start = if appends {
                    self.disk.length(inode)
                } else {
                    self.opens[nth].position
                };
                self.opens[nth].position = start + bytes.len() as u64;
                start
            }
        };
        self.disk.write(inode, offset, &bytes);
        Ok(Happened::Changed)
    }

    /// What a call changes that has ended.
    fn end(&mut self, call: &Call, began: u64) -> anyhow::Result<Happened> {
        let result = call.result.unwrap_or(-1);
        match call.name.as_str() {
            "open" => self.bind(result, (CWD, call.bytes(0)?), call, 1)?,
            "creat" => self.bind(result, (CWD, call.bytes(0)?), call, 1)?,
            "openat" => self.bind(result, (call.number(0)?, call.bytes(1)?), call, 2)?,
            "dup" | "dup2" | "dup3" => self.copy(call.number(0)?, result),
            "fcntl" if call.has_flag(1, "F_DUPFD") || call.has_flag(1, "F_DUPFD_CLOEXEC") => {
                self.copy(call.number(0)?, result);
            }
            "close" => {
                self.descriptors.remove(&call.number(0)?);
            }
            "lseek" => {
                if let Some(nth) = self.descriptors.get(&call.number(0)?) {
                    self.opens[*nth].position = u64::try_from(result)?;
                }
            }
            "fsync" | "fdatasync" => {
                if let Some(Open {
                    what: What::Inode(inode, _),
                    ..
                }) = self.opened(call.number(0)?)
                {
                    self.disk.sync(*inode, began);
                    return Ok(Happened::Changed);
                }
            }
            "write" | "writev" | "pwrite64" | "pwritev" => {
                if let Some(Open {
                    what: What::Inode(inode, _),
                    synced: true,
                    position,
                    ..
                }) = self.opened(call.number(0)?)
                {
                    let length = u64::try_from(result)?;
                    let offset = match call.name.as_str() {
                        "pwrite64" | "pwritev" => u64::try_from(call.number(3)?)?,
                        _ => position - length,
                    };
                    self.disk.sync_range(*inode, offset, length, began);
                    return Ok(Happened::Changed);
                }
            }
            _ => {}
        }
        Ok(Happened::Nothing)
    }

    fn bind(
        &mut self,
        descriptor: i64,
        (dir, path): (i64, &[u8]),
        call: &Call,
        flags: usize,
    ) -> anyhow::Result<()> {
        self.descriptors.remove(&descriptor);
        let full = self.places.stands_in.join(std::str::from_utf8(path)?);
        let what = if full == self.places.marks {
            What::Marks
        } else if full == self.places.root {
            What::Inode(Disk::ROOT, full)
        } else {
            let Some((dir, name)) = self.place(dir, path)? else {
                return Ok(());
            };
            let Some(inode) = self.disk.find(dir, &name) else {
                return Ok(());
            };
            What::Inode(inode, full)
        };
        self.opens.push(Open {
            what,
            position: 0,
            appends: call.has_flag(flags, "O_APPEND"),
            synced: call.has_flag(flags, "O_SYNC") || call.has_flag(flags, "O_DSYNC"),
        });
        self.descriptors.insert(descriptor, self.opens.len() - 1);
        Ok(())
    }

    fn copy(&mut self, from: i64, to: i64) {
        self.descriptors.remove(&to);
        if let Some(nth) = self.descriptors.get(&from) {
            self.descriptors.insert(to, *nth);
        }
    }
}

/// The bytes that a call has written.
fn written(call: &Call) -> anyhow::Result<Vec<u8>> {
    let length = usize::try_from(call.result.unwrap_or(0))?;
    let mut bytes = match call.args.get(1) {
        Some(Arg::Bytes(bytes)) => bytes.clone(),
        // A list of `{iov_base="...", iov_len=...}`.
        Some(Arg::Other(list)) => {
            ensure!(!list.contains("..."), "a list was cut short");
            let mut bytes = Vec::new();
            for part in list.split("iov_base=").skip(1) {
                let (_, quoted) = part.split_once('"').context("a part that is no string")?;
                let (hex, _) = quoted.split_once('"').context("a string without an end")?;
                bytes.extend(crate::trace::unhex(hex)?);
            }
            bytes
        }
        other => bail!("a write of {other:?}"),
    };
    ensure!(
        bytes.len() >= length,
        "the recording has {} bytes of {length}",
        bytes.len()
    );
    bytes.truncate(length);
    Ok(bytes)
}
