//! Nouns, and the protocol between an Urbit king and its serf.
