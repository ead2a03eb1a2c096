//! The `seguro-king` program.
fn main() {}
