//! The king: one path for every event, from a driver through the serf and the replicated log to the world.
