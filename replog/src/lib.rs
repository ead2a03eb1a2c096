//! The replicated event log of a ship: Raft over LMDB, in vere's own epochs and bytes.
