//! What the fuzz targets hold the program against: plain second implementations, slow and obviously right.

pub mod jam_model;
