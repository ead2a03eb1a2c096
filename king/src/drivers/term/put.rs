//! Files that the ship saves below `.urb/put`: no name and no symbolic link leads out of it.

use super::shapes::Form;
use crate::{console, limits, real_dir};
use cap_std::{
    ambient_authority,
    fs::{Dir, OpenOptions, OpenOptionsExt},
};
use nix::fcntl::OFlag;
use serf_ipc::{Noun, jam, text::path::is_canonical_file_path};
use std::{
    io::{self, ErrorKind, Write as _},
    path::PathBuf,
    sync::mpsc,
    thread,
};

/// The path of a file below `.urb/put`: knots joined by slashes, the last one after a dot.
///
/// # Errors
/// The path as text, when it is empty or would lead anywhere else.
fn put_path(path: &Noun) -> Result<String, String> {
    let knots = path.iter_list().map(|knot| knot.ok().and_then(Noun::as_cord));
    let Some(knots) = knots.collect::<Option<Vec<_>>>() else {
        return Err(format!("{path:?}"));
    };
    let mut text = String::new();
    for (index, knot) in knots.iter().enumerate() {
        text.push(if index + 1 == knots.len() { '.' } else { '/' });
        text.push_str(knot);
    }
    if !is_canonical_file_path(&text) || text == "/" || text.contains('\0') {
        return Err(text);
    }
    Ok(text.strip_prefix('/').unwrap_or(&text).to_owned())
}

/// A file to be written.
struct Save {
    /// Below `.urb/put`.
    path: String,
    data: Noun,
    form: Form,
}

/// Writes files one after the other, on a thread that begins with the first, so that the pier need not wait for a disk. Dropping it waits
/// for the last.
pub(super) struct Saver {
    pier: PathBuf,
    running: Option<Running>,
}

struct Running {
    files: mpsc::SyncSender<Save>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Saver {
    pub(super) fn new(pier: PathBuf) -> Saver {
        Saver { pier, running: None }
    }

    /// Saves a file, or says why not.
    pub(super) fn save(&mut self, path: &Noun, data: &Noun, form: Form) {
        match put_path(path) {
            Err(text) => tracing::warn!(target: console::TARGET, "{text}: non-canonical path"),
            Ok(path) if form == Form::Atom && data.is_cell() => {
                tracing::warn!(target: console::TARGET, "{path}: not an atom, not saved");
            }
            Ok(path) => self.send(Save {
                path,
                data: data.clone(),
                form,
            }),
        }
    }

    fn send(&mut self, save: Save) {
        let pier = &self.pier;
        let running = self.running.get_or_insert_with(|| start(pier.clone()));
        // Without a thread nothing takes the files, and each is named as it is lost.
        if let Err(mpsc::SendError(lost)) = running.files.send(save) {
            tracing::error!(target: console::TARGET, "{}: not saved, no thread to do it", lost.path);
        }
    }
}

fn start(pier: PathBuf) -> Running {
    let (files, queue) = mpsc::sync_channel::<Save>(limits::TERM_SAVES);
    let thread = thread::Builder::new().name("term-put".to_owned()).spawn(move || {
        for save in queue {
            if let Err(error) = write(&pier, &save) {
                tracing::error!(target: console::TARGET, "{}/.urb/put/{}: {error}", pier.display(), save.path);
            }
        }
    });
    Running {
        files,
        thread: thread.ok(),
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        if let Some(Running { files, thread }) = self.running.take() {
            drop(files);
            // A panic there has been reported by the thread itself.
            let _ = thread.map(thread::JoinHandle::join);
        }
    }
}

fn write(pier: &std::path::Path, save: &Save) -> io::Result<()> {
    let mut directory = Dir::open_ambient_dir(pier.join(".urb"), ambient_authority())?;
    let (above, name) = save.path.rsplit_once('/').unwrap_or(("", &save.path));
    for part in std::iter::once("put").chain(above.split('/').filter(|part| !part.is_empty())) {
        match directory.create_dir(part) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => directory = real_dir::open(&directory, part)?,
        }
    }
    let mut options = OpenOptions::new();
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    options
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(flags.bits());
    let mut file = directory.open_with(name, &options)?;
    match save.form {
        Form::Atom => file.write_all(&save.data.atom_bytes().unwrap_or_default()),
        Form::Jam => file.write_all(&jam(&save.data)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serf_ipc::n;
    use std::{fs, os::unix::fs::symlink};

    fn path(knots: &[&str]) -> Noun {
        Noun::list(knots.iter().map(|knot| Noun::cord(knot)))
    }

    #[test]
    fn files_stay_below_put() {
        assert_eq!(put_path(&path(&["a", "b", "txt"])).unwrap(), "a/b.txt");
        assert_eq!(put_path(&path(&["txt"])).unwrap(), ".txt");
        for knots in [
            &[][..],
            &[""],
            &["", "", "txt"],
            &["..", "..", "x", "txt"],
            &["a/../..", "b", "txt"],
            &["a", "/b/../../c"],
            &["a", "b\0c", "txt"],
        ] {
            let path = put_path(&path(knots));
            assert!(path.is_err(), "{knots:?} gave {path:?}");
        }
        assert!(put_path(&Noun::atom(5)).is_err());
        assert!(put_path(&n![n![1u64, 2u64], 0u64]).is_err());
        assert!(put_path(&n![255u64, 0u64]).is_err());
    }

    #[test]
    fn no_link_is_followed() {
        let (pier, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let put = pier.path().join(".urb/put");
        fs::create_dir_all(&put).unwrap();
        symlink(outside.path(), put.join("away")).unwrap();
        let target = outside.path().join("target");
        fs::write(&target, "as it was").unwrap();
        symlink(&target, put.join("link.txt")).unwrap();
        let mut saver = Saver::new(pier.path().to_owned());
        saver.save(&path(&["away", "file", "txt"]), &Noun::cord("no"), Form::Atom);
        saver.save(&path(&["link", "txt"]), &Noun::cord("no"), Form::Atom);
        saver.save(
            &path(&["new", "dir", "file", "txt"]),
            &Noun::cord("long text"),
            Form::Atom,
        );
        saver.save(
            &path(&["new", "dir", "file", "txt"]),
            &Noun::cord("short"),
            Form::Atom,
        );
        drop(saver);
        assert_eq!(fs::read(put.join("new/dir/file.txt")).unwrap(), b"short");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
        assert_eq!(fs::read(target).unwrap(), b"as it was");
    }

    #[test]
    fn a_pier_without_the_directory_gets_it() {
        let pier = tempfile::tempdir().unwrap();
        fs::create_dir(pier.path().join(".urb")).unwrap();
        let mut saver = Saver::new(pier.path().to_owned());
        saver.save(&path(&["jam"]), &n![1u64, 2u64], Form::Jam);
        drop(saver);
        assert_eq!(
            fs::read(pier.path().join(".urb/put/.jam")).unwrap(),
            jam(&n![1u64, 2u64])
        );
    }
}
