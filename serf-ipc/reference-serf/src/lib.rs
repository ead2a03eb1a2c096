//! A small serf without jets, and a kernel for demonstrations and tests.
