//! A harness that runs clusters of real processes.
