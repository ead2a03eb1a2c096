//! A file system that forgets: what of it is certain after a power cut, and what may be there or not.
//!
//! Only what was synced is certain: a file's bytes and length by a sync of the file, a name by a sync of its directory. Of
//! what was done since, a power cut keeps anything: of a file each sector (512 bytes) and the length as they were at
//! some moment after the last sync, of the names any of the changes, but each whole: a rename takes the old name away and
//! sets the new one, or does neither. That is more than ext4 or XFS ever do, who keep the order of names.

use fastrand::Rng;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// A file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Inode(usize);

/// Versions of something, each with the time at which it came to be: the first is certain, the last is what a running
/// program sees.
#[derive(Clone, Debug)]
struct Versions<T>(Vec<(u64, T)>);

impl<T: Clone> Versions<T> {
    fn certain(value: T) -> Versions<T> {
        Versions(vec![(0, value)])
    }

    fn now(&self) -> &T {
        &self.0[self.0.len() - 1].1
    }

    /// What there was at `time` is certain: everything before is no longer possible.
    fn sync(&mut self, time: u64) {
        let newest = self.0.iter().rposition(|(at, _)| *at <= time).unwrap_or(0);
        self.0.drain(..newest);
    }

    fn settled(&self) -> bool {
        self.0.len() == 1
    }
}

/// None is a sector of zeros.
type Sector = Option<Arc<[u8; SECTOR]>>;

#[derive(Clone, Debug)]
struct Content {
    length: Versions<u64>,
    sectors: BTreeMap<u64, Versions<Sector>>,
    /// Sectors of which there is more than one version.
    unsettled: BTreeSet<u64>,
}

#[derive(Clone, Debug)]
enum Node {
    File(Content),
    Dir {
        certain: BTreeMap<String, Inode>,
        now: BTreeMap<String, Inode>,
    },
}

/// A change of names, which happens whole or not at all.
#[derive(Clone, Debug)]
struct Renaming {
    time: u64,
    /// Directory, name, and what it names afterwards.
    names: Vec<(Inode, String, Option<Inode>)>,
    /// The directories of these names that have not been synced since.
    open: BTreeSet<Inode>,
}

/// What is left of that which was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// All of it: the process was killed, and the machine went on.
    All,
    /// Nothing.
    Nothing,
    /// Anything, drawn from this seed.
    Some(u64),
}

/// The disk.
#[derive(Clone, Debug)]
pub struct Disk {
    nodes: Vec<Node>,
    renamings: Vec<Renaming>,
    time: u64,
}

impl Default for Disk {
    fn default() -> Disk {
        Disk {
            nodes: vec![Node::Dir {
                certain: BTreeMap::new(),
                now: BTreeMap::new(),
            }],
            renamings: Vec::new(),
            time: 0,
        }
    }
}

impl Disk {
    /// The root directory, which is certain.
    pub const ROOT: Inode = Inode(0);

    /// The time: a moment later than all that was done so far.
    #[must_use]
    pub fn time(&self) -> u64 {
        self.time
    }

    fn tick(&mut self) -> u64 {
        self.time += 1;
        self.time
    }

    /// What `name` in the directory names now.
    #[must_use]
    pub fn find(&self, dir: Inode, name: &str) -> Option<Inode> {
        match &self.nodes[dir.0] {
            Node::Dir { now, .. } => now.get(name).copied(),
            Node::File(_) => None,
        }
    }

    /// A new directory.
    pub fn new_dir(&mut self) -> Inode {
        self.nodes.push(Node::Dir {
            certain: BTreeMap::new(),
            now: BTreeMap::new(),
        });
        Inode(self.nodes.len() - 1)
    }

    /// A new, empty file.
    pub fn new_file(&mut self) -> Inode {
        self.nodes.push(Node::File(Content {
            length: Versions::certain(0),
            sectors: BTreeMap::new(),
            unsettled: BTreeSet::new(),
        }));
        Inode(self.nodes.len() - 1)
    }

    /// Changes names, at once.
    pub fn rename(&mut self, names: Vec<(Inode, String, Option<Inode>)>) {
        let time = self.tick();
        for (dir, name, target) in &names {
            if let Node::Dir { now, .. } = &mut self.nodes[dir.0] {
                set(now, name, *target);
            }
        }
        let open = names.iter().map(|(dir, _, _)| *dir).collect();
        self.renamings.push(Renaming { time, names, open });
    }

    /// The length of a file now.
    #[must_use]
    pub fn length(&self, file: Inode) -> u64 {
        match &self.nodes[file.0] {
            Node::File(content) => *content.length.now(),
            Node::Dir { .. } => 0,
        }
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_dir(&self, inode: Inode) -> bool {
        matches!(self.nodes[inode.0], Node::Dir { .. })
    }

    /// Writes into a file.
    pub fn write(&mut self, file: Inode, offset: u64, bytes: &[u8]) {
        let time = self.tick();
        let Node::File(content) = &mut self.nodes[file.0] else {
            return;
        };
        let end = offset + bytes.len() as u64;
        let mut at = offset;
        while at < end {
            let sector = at / SECTOR as u64;
            let stop = ((sector + 1) * SECTOR as u64).min(end);
            let within = (at % SECTOR as u64) as usize;
            let piece = &bytes[(at - offset) as usize..(stop - offset) as usize];
            content.change(sector, time, |old| {
                old[within..within + piece.len()].copy_from_slice(piece)
            });
            at = stop;
        }
        if end > *content.length.now() {
            content.length.0.push((time, end));
        }
    }

    /// Cuts a file, or lengthens it with zeros.
    pub fn set_length(&mut self, file: Inode, length: u64) {
        let time = self.tick();
        let Node::File(content) = &mut self.nodes[file.0] else {
            return;
        };
        let first = length / SECTOR as u64;
        let beyond: Vec<u64> = content
            .sectors
            .range(first..)
            .map(|(sector, _)| *sector)
            .collect();
        for sector in beyond {
            let from = length.saturating_sub(sector * SECTOR as u64) as usize;
            content.change(sector, time, |old| old[from.min(SECTOR)..].fill(0));
        }
        if length != *content.length.now() {
            content.length.0.push((time, length));
        }
    }

    /// What the file or directory was at `time` is certain.
    pub fn sync(&mut self, inode: Inode, time: u64) {
        match &mut self.nodes[inode.0] {
            Node::File(content) => {
                content.length.sync(time);
                let sectors = std::mem::take(&mut content.unsettled);
                content.sync(sectors, time);
            }
            Node::Dir { .. } => self.sync_names(inode, time),
        }
    }

    /// What these bytes of a file were at `time` is certain, and so is that its length holds them.
    pub fn sync_range(&mut self, file: Inode, offset: u64, length: u64, time: u64) {
        let Node::File(content) = &mut self.nodes[file.0] else {
            return;
        };
        if content.length.0[0].1 < offset + length {
            content.length.sync(time);
        }
        let sectors = offset / SECTOR as u64..(offset + length).div_ceil(SECTOR as u64);
        let sectors: Vec<u64> = content.unsettled.range(sectors).copied().collect();
        for sector in &sectors {
            content.unsettled.remove(sector);
        }
        content.sync(sectors, time);
    }

    fn sync_names(&mut self, dir: Inode, time: u64) {
        for renaming in &mut self.renamings {
            if renaming.time <= time {
                renaming.open.remove(&dir);
            }
        }
        let nodes = &mut self.nodes;
        self.renamings.retain(|renaming| {
            if renaming.open.is_empty() {
                for (dir, name, target) in &renaming.names {
                    if let Node::Dir { certain, .. } = &mut nodes[dir.0] {
                        set(certain, name, *target);
                    }
                }
            }
            !renaming.open.is_empty()
        });
    }

    /// Whether anything is not certain.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.renamings.is_empty()
            && self.nodes.iter().all(|node| match node {
                Node::File(content) => content.unsettled.is_empty() && content.length.settled(),
                Node::Dir { .. } => true,
            })
    }

    /// The names after a power cut: each directory's.
    fn names(&self, kept: Kept) -> BTreeMap<Inode, BTreeMap<String, Inode>> {
        let mut dirs: BTreeMap<Inode, BTreeMap<String, Inode>> = BTreeMap::new();
        for (nth, node) in self.nodes.iter().enumerate() {
            if let Node::Dir { certain, now } = node {
                let names = if kept == Kept::All { now } else { certain };
                dirs.insert(Inode(nth), names.clone());
            }
        }
        let Kept::Some(seed) = kept else { return dirs };
        let mut dice = Rng::with_seed(seed ^ 0x6e61_6d65);
        let happens: Vec<bool> = match dice.u64(..4) {
            // In order, as a journal keeps them.
            0 | 1 => {
                let end = dice.u64(..self.renamings.len() as u64 + 1) as usize;
                (0..self.renamings.len()).map(|nth| nth < end).collect()
            }
            2 => self.renamings.iter().map(|_| dice.u64(..2) == 0).collect(),
            // All but one, or but two.
            _ => {
                let left_out: Vec<u64> = (0..2)
                    .map(|_| dice.u64(..self.renamings.len() as u64 + 1))
                    .collect();
                (0..self.renamings.len() as u64)
                    .map(|nth| !left_out.contains(&nth))
                    .collect()
            }
        };
        for (renaming, happens) in self.renamings.iter().zip(happens) {
            if happens {
                for (dir, name, target) in &renaming.names {
                    if let Some(names) = dirs.get_mut(dir) {
                        set(names, name, *target);
                    }
                }
            }
        }
        dirs
    }

    /// Makes what a power cut leaves, as real files in the empty directory `to`. Files of these names are left empty.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn make(&self, kept: Kept, to: &Path, empty: &[&str]) -> io::Result<()> {
        let names = self.names(kept);
        self.make_dir(Disk::ROOT, &names, kept, to, empty)
    }

    fn make_dir(
        &self,
        dir: Inode,
        names: &BTreeMap<Inode, BTreeMap<String, Inode>>,
        kept: Kept,
        to: &Path,
        empty: &[&str],
    ) -> io::Result<()> {
        for (name, inode) in names.get(&dir).into_iter().flatten() {
            let path = to.join(name);
            match &self.nodes[inode.0] {
                Node::Dir { .. } => {
                    fs::create_dir(&path)?;
                    self.make_dir(*inode, names, kept, &path, empty)?;
                }
                Node::File(_) if empty.contains(&name.as_str()) => drop(File::create(&path)?),
                Node::File(content) => content.make(kept, inode.0 as u64, &path)?,
            }
        }
        Ok(())
    }
}

fn set(names: &mut BTreeMap<String, Inode>, name: &str, target: Option<Inode>) {
    match target {
        Some(inode) => names.insert(name.to_owned(), inode),
        None => names.remove(name),
    };
}

impl Content {
    fn change(&mut self, sector: u64, time: u64, change: impl FnOnce(&mut [u8; SECTOR])) {
        let versions = self
            .sectors
            .entry(sector)
            .or_insert_with(|| Versions::certain(None));
        let mut new = versions.now().as_deref().copied().unwrap_or([0; SECTOR]);
        change(&mut new);
        let new = (new != [0; SECTOR]).then(|| Arc::new(new));
        if new != *versions.now() {
            versions.0.push((time, new));
            self.unsettled.insert(sector);
        } else if versions.settled() && new.is_none() {
            self.sectors.remove(&sector);
        }
    }

    fn sync(&mut self, sectors: impl IntoIterator<Item = u64>, time: u64) {
        for sector in sectors {
            let Some(versions) = self.sectors.get_mut(&sector) else {
                continue;
            };
            versions.sync(time);
            if !versions.settled() {
                self.unsettled.insert(sector);
            }
        }
    }

    fn make(&self, kept: Kept, name: u64, path: &Path) -> io::Result<()> {
        let mut drawing = Drawing::of(kept, name);
        let length = *drawing.draw(0, &self.length);
        let file = File::create(path)?;
        file.set_len(length)?;
        // Sectors that lie side by side go out together.
        let (mut start, mut together) = (0, Vec::new());
        for (sector, versions) in &self.sectors {
            let Some(bytes) = drawing.draw(*sector, versions) else {
                continue;
            };
            let at = sector * SECTOR as u64;
            if start + together.len() as u64 != at {
                file.write_all_at(&together, start)?;
                together.clear();
                start = at;
            }
            together.extend_from_slice(&bytes[..]);
        }
        file.write_all_at(&together, start)?;
        file.set_len(length)
    }
}

/// Draws versions of a file's sectors.
struct Drawing {
    how: How,
    dice: Rng,
    /// The page that was last drawn for, and what for it.
    page: (u64, bool),
}

enum How {
    First,
    Last,
    /// Each sector by itself.
    Sectors,
    /// Pages of eight sectors, all of one kind; of a hundred so many arrive.
    Pages(u64),
}

impl Drawing {
    fn of(kept: Kept, name: u64) -> Drawing {
        let (how, seed) = match kept {
            Kept::All => (How::Last, 0),
            Kept::Nothing => (How::First, 0),
            Kept::Some(seed) => {
                let mut dice = Rng::with_seed(seed ^ name.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                let how = match dice.u64(..8) {
                    0 => How::First,
                    1 | 2 => How::Last,
                    3 | 4 => How::Sectors,
                    _ => How::Pages([10, 50, 90][dice.u64(..3) as usize]),
                };
                (how, dice.u64(..))
            }
        };
        Drawing {
            how,
            dice: Rng::with_seed(seed),
            page: (u64::MAX, false),
        }
    }

    fn draw<'v, T: Clone>(&mut self, sector: u64, versions: &'v Versions<T>) -> &'v T {
        if versions.settled() {
            return versions.now();
        }
        match self.how {
            How::First => &versions.0[0].1,
            How::Last => versions.now(),
            How::Sectors => &versions.0[self.dice.u64(..versions.0.len() as u64) as usize].1,
            How::Pages(percent) => {
                if self.page.0 != sector / 8 {
                    self.page = (sector / 8, self.dice.u64(..100) < percent);
                }
                if self.page.1 {
                    versions.now()
                } else {
                    &versions.0[0].1
                }
            }
        }
    }
}
