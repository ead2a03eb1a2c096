//! The program under test, built once a test run.

use anyhow::{Context, ensure};
use std::{
    path::PathBuf,
    process::Command,
    sync::{Mutex, PoisonError},
};

/// The `seguro-king` of this workspace, of the profile that the tests have, up to date; or the program that `SEGURO_KING` names.
///
/// # Errors
/// When it does not build.
pub fn king() -> anyhow::Result<PathBuf> {
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = built.as_ref() {
        return Ok(path.clone());
    }
    if let Some(path) = std::env::var_os("SEGURO_KING").filter(|value| !value.is_empty()) {
        return Ok(built.insert(path.into()).clone());
    }
    // Tests run from <target>/<profile>/deps, other programs from <target>/<profile>.
    let own = std::env::current_exe()?;
    let directory = own.parent().context("the target directory")?;
    let profile = if directory.ends_with("deps") {
        directory.parent().context("the target directory")?
    } else {
        directory
    };
    let target = profile.parent().context("the target directory")?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args([
            "build",
            "--quiet",
            "--locked",
            "-p",
            "seguro-king",
            "--bin",
            "seguro-king",
            "--target-dir",
        ])
        .arg(target);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .context("cargo cannot be run")?;
    ensure!(status.success(), "seguro-king does not build");
    let path = profile.join("seguro-king");
    *built = Some(path.clone());
    Ok(path)
}
