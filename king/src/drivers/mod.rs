//! The drivers: a file or folder each.
