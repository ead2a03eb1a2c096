//! The serf's image files in the pier: put in place from an epoch, so that a serf begins again from there.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// The image's files (`spec/eventlog.md` section 10).
const IMAGES: [&str; 2] = ["north.bin", "south.bin"];
/// A patch that a serf was writing when it ended: it belongs to the image that goes.
const PATCH: [&str; 2] = ["control.bin", "memory.bin"];

/// Why an image could not be put in place.
#[derive(Debug, thiserror::Error)]
#[error("the serf's image {path} cannot be put in place ({cause}); free space or repair the disk, and start again", path = path.display())]
pub struct ImageError {
    path: PathBuf,
    cause: io::Error,
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ImageError + '_ {
    move |cause| ImageError {
        path: path.to_owned(),
        cause,
    }
}

/// Replaces the image in `chk` (the pier's `.urb/chk`) by that in `epoch`. No serf may run on it.
///
/// A crash in between leaves no mix: the new files are complete under other names before the old ones go, and
/// [`recover`] finishes or undoes what was begun.
///
/// # Errors
/// When a file cannot be copied or synced.
pub fn install(epoch: &Path, chk: &Path) -> Result<(), ImageError> {
    fs::create_dir_all(chk).map_err(at(chk))?;
    for name in IMAGES {
        let (from, to) = (epoch.join(name), chk.join(format!("{name}.new")));
        fs::copy(&from, &to).map_err(at(&from))?;
        File::open(&to)
            .and_then(|file| file.sync_all())
            .map_err(at(&to))?;
    }
    for name in PATCH.into_iter().chain(IMAGES) {
        let path = chk.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&path)(error)),
            _ => {}
        }
    }
    sync_dir(chk)?;
    for name in IMAGES {
        let (from, to) = (chk.join(format!("{name}.new")), chk.join(name));
        fs::rename(&from, &to).map_err(at(&to))?;
    }
    sync_dir(chk)
}

/// Finishes or undoes what a crash in the middle of [`install`] left. To be called before a serf starts.
///
/// # Errors
/// When a file cannot be renamed or removed.
pub fn recover(chk: &Path) -> Result<(), ImageError> {
    let fresh = |name: &str| chk.join(format!("{name}.new"));
    let begun = IMAGES.iter().any(|name| fresh(name).exists());
    if !begun {
        return Ok(());
    }
    // The old files go only when both new ones are complete, so a missing file means: finish.
    let finish = IMAGES.iter().any(|name| !chk.join(name).exists());
    for name in IMAGES {
        let (from, to) = (fresh(name), chk.join(name));
        if from.exists() {
            if finish {
                fs::rename(&from, &to)
            } else {
                fs::remove_file(&from)
            }
            .map_err(at(&from))?;
        }
    }
    sync_dir(chk)
}

/// Removes the image, so that the serf starts before any event and is played the whole log.
///
/// # Errors
/// When a file cannot be removed.
pub fn clear(chk: &Path) -> Result<(), ImageError> {
    for name in PATCH.into_iter().chain(IMAGES) {
        let path = chk.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&path)(error)),
            _ => {}
        }
    }
    if chk.exists() { sync_dir(chk) } else { Ok(()) }
}

fn sync_dir(path: &Path) -> Result<(), ImageError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_replaces_the_old_one_and_its_patch() {
        let dir = tempfile::tempdir().unwrap();
        let (epoch, chk) = (dir.path().join("0i7"), dir.path().join("chk"));
        fs::create_dir_all(&epoch).unwrap();
        fs::create_dir_all(&chk).unwrap();
        fs::write(epoch.join("north.bin"), b"new north").unwrap();
        fs::write(epoch.join("south.bin"), b"new south").unwrap();
        fs::write(chk.join("north.bin"), b"old").unwrap();
        fs::write(chk.join("control.bin"), b"patch").unwrap();
        install(&epoch, &chk).unwrap();
        assert_eq!(fs::read(chk.join("north.bin")).unwrap(), b"new north");
        assert_eq!(fs::read(chk.join("south.bin")).unwrap(), b"new south");
        assert!(!chk.join("control.bin").exists());
        assert_eq!(fs::read_dir(&chk).unwrap().count(), 2);
        clear(&chk).unwrap();
        assert_eq!(fs::read_dir(&chk).unwrap().count(), 0);
    }

    #[test]
    fn a_crash_in_the_middle_is_finished_or_undone() {
        let dir = tempfile::tempdir().unwrap();
        let chk = dir.path();
        // Before the old files went: undone.
        for name in ["north.bin", "south.bin"] {
            fs::write(chk.join(name), b"old").unwrap();
        }
        fs::write(chk.join("north.bin.new"), b"half").unwrap();
        recover(chk).unwrap();
        assert_eq!(fs::read(chk.join("north.bin")).unwrap(), b"old");
        assert!(!chk.join("north.bin.new").exists());
        // After: finished.
        fs::remove_file(chk.join("north.bin")).unwrap();
        fs::remove_file(chk.join("south.bin")).unwrap();
        fs::write(chk.join("north.bin"), b"new").unwrap();
        fs::write(chk.join("south.bin.new"), b"new").unwrap();
        recover(chk).unwrap();
        assert_eq!(fs::read(chk.join("south.bin")).unwrap(), b"new");
        assert!(!chk.join("south.bin.new").exists());
    }

    #[test]
    fn an_image_that_is_not_there_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let chk = dir.path().join("chk");
        fs::create_dir_all(&chk).unwrap();
        fs::write(chk.join("north.bin"), b"old").unwrap();
        let error = install(&dir.path().join("0i9"), &chk).unwrap_err();
        assert!(error.to_string().contains("0i9/north.bin"), "{error}");
        assert_eq!(fs::read(chk.join("north.bin")).unwrap(), b"old");
    }
}
