//! `vere`: downloads an `urbit` binary to run as the serf, from where vere's own `vere` does (`spec/cli.md` sections 3 and 7).

use crate::{boot::Fetcher, console, limits};
use anyhow::{Context, bail, ensure};
use clap::Args;
use serf_ipc::child;
use std::{
    fs::{self, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Where vere's releases are, a directory for each pace.
const RELEASES: &str = "https://bootstrap.urbit.org/vere";
/// What an executable file of Linux begins with.
const ELF: &[u8] = b"\x7fELF";

/// Arguments of `vere`.
#[derive(Debug, Args)]
pub struct FetchSerfArgs {
    /// For which machine: linux-x86_64, linux-aarch64, macos-x86_64, macos-aarch64. Without it: this one.
    #[arg(short, long, value_name = "ARCH", value_parser = word)]
    pub arch: Option<String>,
    /// The channel of releases.
    #[arg(short, long, default_value = "live", value_parser = word)]
    pub pace: String,
    /// The release. 3.5 is the newest whose worker can be the serf.
    #[arg(short, long, default_value = "3.5", value_parser = release)]
    pub version: String,
    /// Where releases are fetched from.
    #[arg(long, value_name = "URL", default_value = RELEASES)]
    pub from: String,
    /// The directory to put it in; made if it is not there.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// Part of an address and of a file's name.
fn word(text: &str) -> Result<String, String> {
    let is_word = !text.is_empty()
        && !text.starts_with('.')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if is_word {
        Ok(text.to_owned())
    } else {
        Err("letters, digits, `.`, `_` and `-` only".to_owned())
    }
}

/// A release whose worker can be the serf.
fn release(text: &str) -> Result<String, String> {
    let release = word(text.strip_prefix('v').unwrap_or(text))?;
    let major = release
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    match major {
        None => Err("a release is named by its number, like 3.5".to_owned()),
        Some(4..) => Err(
            "from v4.0 on vere's worker keeps the event log itself and cannot be the serf; take 3.5 or an older one".to_owned(),
        ),
        Some(_) => Ok(release),
    }
}

/// `vere DIR`.
pub(super) fn run(args: &FetchSerfArgs) -> anyhow::Result<u8> {
    console::init(console::LogFormat::Text, console::Verbosity::Usual);
    let file = fetch(args, &Fetcher::default().speaking_as("vere"))?;
    println!(
        "vere: run ships with --serf-bin {}, or name it in SEGURO_SERF",
        file.display()
    );
    Ok(0)
}

/// Downloads it unless it is there; where it is then.
fn fetch(args: &FetchSerfArgs, fetcher: &Fetcher) -> anyhow::Result<PathBuf> {
    let own = own_arch();
    let Some(arch) = args.arch.as_deref().or(own.as_deref()) else {
        bail!("vere: no release is made for this machine: name another with --arch");
    };
    let name = format!("vere-v{}-{arch}", args.version);
    let file = args.directory.join(&name);
    if file.exists() {
        println!("vere: already installed: {}", file.display());
        return Ok(file);
    }
    let from = args.from.trim_end_matches('/');
    let url = format!("{from}/{}/v{}/{name}", args.pace, args.version);
    println!("vere: downloading {url}");
    let binary = fetcher
        .get(&url, limits::FETCH_BYTES, Some(&name))
        .context("vere: download failed")?;
    ensure!(
        !arch.starts_with("linux-") || binary.starts_with(ELF),
        "vere: download failed: what {url} gives is no program; see whether the address is right"
    );
    fs::create_dir_all(&args.directory)
        .with_context(|| format!("vere: {} cannot be made", args.directory.display()))?;
    save(&binary, &args.directory, &file, own.as_deref() == Some(arch))?;
    println!("vere: saved to {}", file.display());
    Ok(file)
}

/// Puts it in its place, whole or not at all. One for this machine must say that it is vere first.
fn save(binary: &[u8], directory: &Path, file: &Path, is_ours: bool) -> anyhow::Result<()> {
    let write = || {
        let mut unfinished = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o755))
            .tempfile_in(directory)?;
        unfinished.write_all(binary)?;
        unfinished.as_file().sync_all()?;
        // Closed: the system runs no program that is open for writing.
        Ok::<_, std::io::Error>(unfinished.into_temp_path())
    };
    let unfinished = write().with_context(|| format!("vere: {} cannot be written", file.display()))?;
    if is_ours {
        let probe = child::probe(&unfinished, serf_ipc::limits::PROBE_TIME)
            .context("vere: what was downloaded cannot be the serf")?;
        println!("vere: it is release {}", probe.release);
    }
    unfinished
        .persist_noclobber(file)
        .with_context(|| format!("vere: {} cannot be written", file.display()))
}

/// What this machine is in the names of vere's releases; None where there is none for it.
fn own_arch() -> Option<String> {
    let (system, processor) = (std::env::consts::OS, std::env::consts::ARCH);
    let is_made = matches!(system, "linux" | "macos") && matches!(processor, "x86_64" | "aarch64");
    is_made.then(|| format!("{system}-{processor}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        boot::test_server::{Answer, Server, impatient},
        cli::{Cli, Command},
    };
    use clap::Parser;

    fn args(words: &str) -> Result<FetchSerfArgs, clap::Error> {
        let words = ["seguro-king", "vere"].into_iter().chain(words.split(' '));
        match Cli::try_parse_from(words)?.command {
            Command::Vere(args) => Ok(args),
            other => panic!("not vere: {other:?}"),
        }
    }

    fn directory() -> (tempfile::TempDir, String) {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("bin").to_str().unwrap().to_owned();
        (directory, below)
    }

    fn names(directory: &str) -> Vec<String> {
        let entries = fs::read_dir(directory).into_iter().flatten();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_release_is_downloaded_once() {
        let program = [ELF, &[7; 100_000]].concat();
        let sent = program.clone();
        let server = Server::start(move |asked| match asked.path.as_str() {
            "/soon/v3.4/vere-v3.4-linux-pdp11" => Answer::Good(sent.clone()),
            _ => Answer::Status(404),
        });
        let (_kept, below) = directory();
        let args = args(&format!(
            "-a linux-pdp11 -p soon -v v3.4 --from {}/ {below}",
            server.url()
        ))
        .unwrap();
        let file = fetch(&args, &impatient()).unwrap();
        assert_eq!(file, Path::new(&below).join("vere-v3.4-linux-pdp11"));
        assert_eq!(fs::read(&file).unwrap(), program);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(fetch(&args, &impatient()).unwrap(), file);
        assert_eq!(server.asked().len(), 1);
    }

    #[test]
    fn one_for_this_machine_must_be_vere() {
        // Made so, the program is one that this system runs: a script would not pass for a program.
        let other = fs::read("/bin/true").unwrap();
        let server = Server::start(move |_| Answer::Good(other.clone()));
        let (_kept, below) = directory();
        let args = args(&format!("--from {} {below}", server.url())).unwrap();
        let error = format!("{:#}", fetch(&args, &impatient()).unwrap_err());
        assert!(error.contains("cannot be the serf"), "{error}");
        assert_eq!(names(&below), [""; 0]);
        let asked = &server.asked()[0].path;
        let arch = own_arch().unwrap();
        assert_eq!(asked, &format!("/live/v3.5/vere-v3.5-{arch}"));
    }

    #[test]
    fn what_is_no_program_is_not_kept() {
        let answers = [
            (Answer::Status(404), "HTTP 404"),
            (Answer::Good(b"<html>no such page".to_vec()), "no program"),
            (Answer::CutShort(ELF.to_vec(), 5000), "tried 3 times"),
            (Answer::HangUp, "tried 3 times"),
        ];
        for (answer, why) in answers {
            let answer = std::sync::Mutex::new(Some(answer));
            let server = Server::start(move |_| {
                let first = answer.lock().unwrap().take();
                first.unwrap_or(Answer::CutShort(ELF.to_vec(), 5000))
            });
            let (_kept, below) = directory();
            let args = args(&format!("-a linux-pdp11 --from {} {below}", server.url())).unwrap();
            let error = format!("{:#}", fetch(&args, &impatient()).unwrap_err());
            assert!(error.contains(why), "{error}");
            assert_eq!(names(&below), [""; 0]);
        }
    }

    #[test]
    fn a_release_whose_worker_is_no_serf_is_not_looked_for() {
        for (words, why) in [
            ("-v 4.3 bin", "cannot be the serf"),
            ("-v ../3.5 bin", "letters, digits"),
            ("-v latest bin", "like 3.5"),
            ("-p a/b bin", "letters, digits"),
            ("-a .. bin", "letters, digits"),
        ] {
            let error = args(words).unwrap_err().to_string();
            assert!(error.contains(why), "{words}: {error}");
        }
    }
}
