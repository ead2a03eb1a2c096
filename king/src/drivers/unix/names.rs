//! Names: a file of the ship's as a file on disk, and back (`spec/drivers.md` section 5). What has no safe name has none here.

use serf_ipc::text::cord::is_knot;

/// A file's place: the mount's own name, or `MOUNT/DIR/NAME.EXT`, or `MOUNT.EXT`, from the pier's directory. Made from knots
/// that were looked at, or by walking the disk: no component is empty, `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileName(String);

impl FileName {
    /// The file of a path in a mount; None for what has no place on disk: an empty path, or a knot with a slash in it.
    pub(super) fn of(mount: &MountName, path: &[String]) -> Option<FileName> {
        let (extension, above) = path.split_last()?;
        let mut name = mount.0.clone();
        for knot in above {
            name.push('/');
            name.push_str(&component(knot)?);
        }
        name.push('.');
        name.push_str(&component(extension)?);
        Some(FileName(name))
    }

    /// A file that was found on disk in `directory` of the mount, the components joined by slashes.
    pub(super) fn found(directory: &str, name: &str) -> FileName {
        FileName(if directory.is_empty() {
            name.to_owned()
        } else {
            format!("{directory}/{name}")
        })
    }

    /// What a record of ours calls a file; None for a name that could not have been written there.
    pub(super) fn recorded(text: &str) -> Option<FileName> {
        let good = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
        let is_one = text.split('/').all(good) && !text.starts_with('.');
        is_one.then(|| FileName(text.to_owned()))
    }

    /// From the pier's directory.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The path within the mount, which must be this file's: the last knot is the extension.
    pub(super) fn path(&self, mount: &MountName) -> Vec<String> {
        let rest = self.0.strip_prefix(&mount.0).unwrap_or(&self.0);
        let Some(inside) = rest.strip_prefix('/') else {
            return vec![knot(rest.strip_prefix('.').unwrap_or(rest)).to_owned()];
        };
        let (directories, name) = inside
            .rsplit_once('/')
            .map_or((None, inside), |(above, name)| (Some(above), name));
        let mut path: Vec<String> = directories
            .into_iter()
            .flat_map(|above| above.split('/'))
            .map(|part| knot(part).to_owned())
            .collect();
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        path.extend([knot(stem).to_owned(), knot(extension).to_owned()]);
        path
    }

    /// Whether it belongs to this mount.
    pub(super) fn is_of(&self, mount: &MountName) -> bool {
        self.0
            .strip_prefix(&mount.0)
            .is_some_and(|rest| rest.starts_with('/') || rest.starts_with('.') && !rest.contains('/'))
    }

    /// The mount's directory and what stands below it; None for a file beside it.
    pub(super) fn split_mount(&self) -> Option<(&str, &str)> {
        self.0.split_once('/')
    }
}

/// A mount's name on disk, in the pier's directory. Never one that begins with a dot: there the pier keeps its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct MountName(String);

impl MountName {
    /// The name of a mount point; None for one that has no safe place in the pier.
    pub(super) fn of(knot: &str) -> Option<MountName> {
        let name = component(knot)?;
        (!name.starts_with('.')).then_some(MountName(name))
    }

    /// The mount whose directory has this name; None for one that no mount can have.
    pub(super) fn on_disk(name: &str) -> Option<MountName> {
        MountName::of(knot(name)).filter(|mount| mount.0 == name)
    }

    /// As on disk.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// As the ship calls it.
    pub(super) fn knot(&self) -> &str {
        knot(&self.0)
    }
}

/// Whether a file that the ship does not know is one for the ship: an extension, no editor's backup, a name of a knot's letters.
pub(super) fn is_for_ship(name: &str) -> bool {
    name.contains('.') && !name.ends_with('~') && is_knot(knot(name))
}

/// A knot as a component of a file's path: what means something else to the file system is marked by a `!`.
fn component(knot: &str) -> Option<String> {
    if knot.contains(['/', '\0']) {
        return None;
    }
    let marked = matches!(knot, "" | "." | "..") || knot.starts_with('!');
    Some(if marked {
        format!("!{knot}")
    } else {
        knot.to_owned()
    })
}

/// The knot of a component.
fn knot(component: &str) -> &str {
    component.strip_prefix('!').unwrap_or(component)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mount(knot: &str) -> MountName {
        MountName::of(knot).unwrap()
    }

    fn path(text: &str) -> Vec<String> {
        text.split(' ').map(|knot| knot.replace('_', "")).collect()
    }

    #[test]
    fn paths_have_files_and_files_paths() {
        let base = mount("base");
        for (knots, file) in [
            ("gen hi hoon", "base/gen/hi.hoon"),
            ("desk bill", "base/desk.bill"),
            ("txt", "base.txt"),
            ("a.b txt", "base/a.b.txt"),
            ("_ _ hoon", "base/!/!.hoon"),
            (". .. txt", "base/!./!...txt"),
            ("!a !! txt", "base/!!a/!!!.txt"),
        ] {
            let name = FileName::of(&base, &path(knots)).unwrap();
            assert_eq!(name.as_str(), file);
            assert_eq!(name.path(&base), path(knots), "{file}");
            assert!(name.is_of(&base) && !name.is_of(&mount("bas")));
        }
        // As vere reads them: one mark is dropped, the last dot counts.
        assert_eq!(FileName::found("base", "!x.txt").path(&base), ["x", "txt"]);
        assert_eq!(FileName::found("", "base.a.b").path(&base), ["a.b"]);
    }

    #[test]
    fn what_leads_elsewhere_has_no_name() {
        let base = mount("base");
        assert_eq!(FileName::of(&base, &[]), None);
        for bad in ["a/b", "../../etc/passwd", "/", "a\0b"] {
            assert_eq!(FileName::of(&base, &path(&format!("{bad} txt"))), None);
            assert_eq!(FileName::of(&base, &path(&format!("a {bad}"))), None);
            assert_eq!(MountName::of(bad), None);
        }
        for own in [".urb", ".http", ".bin", "...", ".vere"] {
            assert_eq!(MountName::of(own), None, "{own}");
        }
        assert_eq!(mount("..").as_str(), "!..");
        assert_eq!(mount("").as_str(), "!");
        assert_eq!(mount("..").knot(), "..");
        for bad in [
            "",
            "/etc/passwd",
            "a//b",
            "a/../b",
            ".urb/chk/image.bin",
            "a/./b",
            "..",
        ] {
            assert_eq!(FileName::recorded(bad), None, "{bad}");
        }
    }

    #[test]
    fn new_files_are_told_from_other_things() {
        for name in ["a.txt", "a.b.txt", "!x.txt", "0-~_.hoon", "foo."] {
            assert!(is_for_ship(name), "{name}");
        }
        for name in ["noext", "Bad.txt", "x.txt~", "a b.txt", "é.txt"] {
            assert!(!is_for_ship(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn every_path_stays_in_its_mount(knots in proptest::collection::vec("[a!./\0]{0,4}", 0..5), pot in "[a!.]{0,3}") {
            let Some(mount) = MountName::of(&pot) else { return Ok(()) };
            prop_assert_eq!(mount.knot(), pot);
            let Some(file) = FileName::of(&mount, &knots) else { return Ok(()) };
            prop_assert!(file.is_of(&mount));
            prop_assert!(file.as_str().split('/').all(|part| !matches!(part, "" | "." | "..")));
            prop_assert_eq!(FileName::recorded(file.as_str()), Some(file.clone()));
            if knots.last().is_some_and(|last| !last.contains('.')) {
                prop_assert_eq!(file.path(&mount), knots);
            }
        }
    }
}
