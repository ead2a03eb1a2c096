//! `-A DIR`: a directory as the ovum that fills a new ship's base desk (`spec/boot.md` section 2).

use crate::{console, limits};
use serf_ipc::{Noun, n};
use std::{
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// `[[%c %sync ~] [%into %$ & can]]`: every file below `directory` whose path has no component that begins with a
/// dot. Files that cannot be read are logged and left out, as vere does; so is what is neither file nor directory.
///
/// # Errors
/// When `directory` itself cannot be read.
pub fn initial_filesystem(directory: &Path) -> io::Result<Noun> {
    let mut files = Vec::new();
    walk(&directory.to_owned(), &mut Vec::new(), &mut files)?;
    let can = Noun::list(files.into_iter().map(|(knots, data)| {
        let mime = n![
            n!["text", "plain", Noun::ZERO],
            data.len() as u64,
            Noun::from_le_bytes(&data)
        ];
        n![Noun::list(knots), Noun::ZERO, mime]
    }));
    Ok(n![
        n!["c", "sync", Noun::ZERO],
        "into",
        Noun::ZERO,
        Noun::YES,
        can
    ])
}

/// A file: its path in the ship, and its bytes.
type File = (Vec<Noun>, Vec<u8>);

/// Appends what lies below `directory`. Entries are taken by name from last to first: vere takes them as the
/// directory gives them and puts later ones first, which no ship can tell from this, and this is the same each time.
fn walk(directory: &PathBuf, above: &mut Vec<Noun>, files: &mut Vec<File>) -> io::Result<()> {
    let mut entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    entries.retain(|entry| !entry.file_name().as_bytes().starts_with(b"."));
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.file_name()));
    for entry in entries {
        let path = entry.path();
        if let Err(error) = take(&path, entry.file_name().as_bytes(), above, files) {
            tracing::warn!(target: console::TARGET, "error reading initial file {}: {error}", path.display());
        }
    }
    Ok(())
}

/// Appends one entry, or what lies below it. Symbolic links are followed.
fn take(path: &PathBuf, name: &[u8], above: &mut Vec<Noun>, files: &mut Vec<File>) -> io::Result<()> {
    let kind = fs::metadata(path)?;
    if kind.is_dir() {
        if above.len() >= limits::ARVO_DIR_DEPTH {
            return Err(io::Error::other(
                "directories too deep, or a symbolic link that leads back",
            ));
        }
        above.push(knot(name));
        let walked = walk(path, above, files);
        above.pop();
        walked
    } else if kind.is_file() {
        let mut knots = above.clone();
        match name.iter().rposition(|byte| *byte == b'.') {
            Some(dot) => knots.extend([knot(&name[..dot]), knot(&name[dot + 1..])]),
            None => knots.push(knot(name)),
        }
        files.push((knots, fs::read(path)?));
        Ok(())
    } else {
        Err(io::Error::other("neither a file nor a directory"))
    }
}

/// A name's component as a knot: a leading `!` escapes what could not be a file's name, and is dropped.
fn knot(component: &[u8]) -> Noun {
    Noun::from_le_bytes(component.strip_prefix(b"!").unwrap_or(component))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The `can` list as text: path, and bytes.
    fn can(ovum: &Noun) -> Vec<(String, Vec<u8>)> {
        assert_eq!(ovum.slot(2), Some(&n!["c", "sync", Noun::ZERO]));
        assert!(ovum.slot(6).unwrap().is_cord("into"));
        assert_eq!(
            (ovum.slot(14), ovum.slot(30)),
            (Some(&Noun::ZERO), Some(&Noun::YES))
        );
        let entries = ovum.slot(31).unwrap().iter_list().map(Result::unwrap);
        entries
            .map(|entry| {
                assert_eq!(entry.slot(6), Some(&Noun::ZERO));
                assert_eq!(entry.slot(14), Some(&n!["text", "plain", Noun::ZERO]));
                let length = entry.slot(30).and_then(Noun::as_u64).unwrap() as usize;
                let mut bytes = entry.slot(31).unwrap().atom_bytes().unwrap().into_owned();
                assert!(bytes.len() <= length);
                bytes.resize(length, 0);
                (crate::ovum::wire_path(entry.head().unwrap()), bytes)
            })
            .collect()
    }

    #[test]
    fn files_become_paths_and_bytes() {
        let directory = tempfile::tempdir().unwrap();
        for (name, bytes) in [
            ("sys/hoon.hoon", &b"code\0\0"[..]),
            ("a.b.txt", b""),
            ("noext", b"n"),
            ("!.git/!x.y", b"escaped"),
            (".hidden", b"no"),
            ("sys/.also", b"no"),
            (".git/config", b"no"),
            ("backup.txt~", b"kept"),
        ] {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let found = can(&initial_filesystem(directory.path()).unwrap());
        let expected = [
            ("/sys/hoon/hoon", &b"code\0\0"[..]),
            ("/noext", b"n"),
            ("/backup/txt~", b"kept"),
            ("/a.b/txt", b""),
            ("/.git/x/y", b"escaped"),
        ];
        assert_eq!(
            found,
            expected.map(|(path, bytes)| (path.to_owned(), bytes.to_owned()))
        );
    }

    #[test]
    fn a_link_that_leads_back_ends() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a.txt"), b"x").unwrap();
        std::os::unix::fs::symlink(".", directory.path().join("loop")).unwrap();
        std::os::unix::fs::symlink("nowhere", directory.path().join("broken.txt")).unwrap();
        let found = can(&initial_filesystem(directory.path()).unwrap());
        assert!(found.iter().any(|(path, _)| path == "/a/txt"));
        assert!(found.iter().all(|(path, _)| !path.contains("broken")));
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        assert!(initial_filesystem(&directory.path().join("none")).is_err());
    }
}
