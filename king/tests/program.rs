//! The program as a whole: that it is one. What it does is tested with real ships, in `tests`.

use std::process::Command;

#[test]
fn it_says_its_name_and_version() {
    let said = Command::new(env!("CARGO_BIN_EXE_seguro-king"))
        .arg("--version")
        .output()
        .expect("the program runs");
    assert!(said.status.success(), "{said:?}");
    let version = format!("seguro-king {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&said.stdout), version);
}
