//! META: whose ship a log is, in vere's encoding (`spec/eventlog.md` section 4).
//!
//! Values are little-endian numbers with their trailing zero bytes stripped, so that zero is no bytes at all. What
//! vere only warns of on reading is read here as vere reads it.

use super::super::lmdb::BytesTable;
use crate::types::ShipIdentity;
use heed::RwTxn;

/// The table's name.
pub(super) const TABLE: &str = "META";

/// The disk version that has epochs (`spec/eventlog.md` section 3).
pub(super) const VERSION: u8 = 3;

/// Why META does not say whose log this is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MetaError {
    /// There is no such table.
    #[error("there is no META table")]
    NoTable,
    /// A key that vere requires is not there.
    #[error("META has no `{0}`")]
    Missing(&'static str),
    /// A value that vere refuses.
    #[error("META has a `{key}` of {} bytes that is none: {value:02x?}", value.len())]
    Strange {
        /// Its key.
        key: &'static str,
        /// Its value.
        value: Vec<u8>,
    },
    /// LMDB cannot read it.
    #[error("META cannot be read: {0}")]
    Lmdb(#[from] heed::Error),
}

/// The contents of META.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    /// The disk version: 3 has epochs.
    pub(super) version: u8,
    /// Whose ship.
    pub(super) ship: ShipIdentity,
}

/// The number's bytes, little-endian, without trailing zeros.
fn strip(bytes: &[u8]) -> &[u8] {
    let length = bytes.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
    &bytes[..length]
}

/// The first `N` bytes of a stripped number, with its zeros again.
fn pad<const N: usize>(value: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    let length = value.len().min(N);
    bytes[..length].copy_from_slice(&value[..length]);
    bytes
}

/// Writes META as vere does for a ship with epochs.
pub(super) fn write(table: BytesTable, txn: &mut RwTxn<'_>, ship: &ShipIdentity) -> Result<(), heed::Error> {
    // vere's loobean: yes, it is fake, is 0.
    let fake = [u8::from(!ship.fake)];
    table.put(txn, b"version", strip(&[VERSION]))?;
    table.put(txn, b"who", strip(&ship.who.to_le_bytes()))?;
    table.put(txn, b"fake", strip(&fake))?;
    table.put(txn, b"life", strip(&ship.life.to_le_bytes()))
}

/// Reads META as vere does.
pub(super) fn read(table: BytesTable, txn: &heed::RoTxn<'_>) -> Result<Meta, MetaError> {
    let version = match table.get(txn, b"version")?.ok_or(MetaError::Missing("version"))? {
        [version] => *version,
        value => {
            return Err(MetaError::Strange {
                key: "version",
                value: value.to_vec(),
            });
        }
    };
    let who = table.get(txn, b"who")?.ok_or(MetaError::Missing("who"))?;
    let fake = match table.get(txn, b"fake")?.ok_or(MetaError::Missing("fake"))? {
        [] => true,
        [bits] | [bits @ (0 | 1), ..] => bits & 1 == 0,
        value => {
            return Err(MetaError::Strange {
                key: "fake",
                value: value.to_vec(),
            });
        }
    };
    let life = table.get(txn, b"life")?.ok_or(MetaError::Missing("life"))?;
    let ship = ShipIdentity {
        who: u128::from_le_bytes(pad(who)),
        fake,
        life: u32::from_le_bytes(pad(life)),
    };
    Ok(Meta { version, ship })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        limits::MIN_MAP_BYTES,
        store::{fault::NoFaults, lmdb::open_env},
    };

    fn check(ship: ShipIdentity, who: &[u8], fake: &[u8], life: &[u8]) {
        let dir = tempfile::tempdir().unwrap();
        let env = open_env(dir.path(), MIN_MAP_BYTES, &NoFaults).unwrap();
        let mut txn = env.write_txn().unwrap();
        let table: BytesTable = env.create_database(&mut txn, Some(TABLE)).unwrap();
        write(table, &mut txn, &ship).unwrap();
        let value = |key: &[u8]| table.get(&txn, key).unwrap().unwrap().to_vec();
        assert_eq!(value(b"version"), [3]);
        assert_eq!(value(b"who"), who);
        assert_eq!(value(b"fake"), fake);
        assert_eq!(value(b"life"), life);
        assert_eq!(read(table, &txn).unwrap(), Meta { version: 3, ship });
    }

    #[test]
    fn fake_zod() {
        check(
            ShipIdentity {
                who: 0,
                fake: true,
                life: 2,
            },
            &[],
            &[],
            &[2],
        );
    }

    #[test]
    fn real_planet() {
        check(
            ShipIdentity {
                who: 0x1_0000,
                fake: false,
                life: 0x0102,
            },
            &[0, 0, 1],
            &[1],
            &[2, 1],
        );
    }

    #[test]
    fn comet() {
        let who = u128::MAX - 0xff;
        let mut bytes = [0xff; 16];
        bytes[0] = 0;
        check(
            ShipIdentity {
                who,
                fake: false,
                life: 0,
            },
            &bytes,
            &[1],
            &[],
        );
    }

    #[test]
    fn what_vere_refuses_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let env = open_env(dir.path(), MIN_MAP_BYTES, &NoFaults).unwrap();
        let mut txn = env.write_txn().unwrap();
        let table: BytesTable = env.create_database(&mut txn, Some(TABLE)).unwrap();
        assert!(matches!(read(table, &txn), Err(MetaError::Missing("version"))));
        write(
            table,
            &mut txn,
            &ShipIdentity {
                who: 5,
                fake: true,
                life: 1,
            },
        )
        .unwrap();
        for (key, value) in [("version", &[3, 0][..]), ("fake", &[2, 1][..])] {
            let good = table.get(&txn, key.as_bytes()).unwrap().unwrap().to_vec();
            table.put(&mut txn, key.as_bytes(), value).unwrap();
            assert!(matches!(read(table, &txn), Err(MetaError::Strange { key: k, .. }) if k == key));
            table.put(&mut txn, key.as_bytes(), &good).unwrap();
        }
        // What vere reads with a warning: a `who` of 17 bytes, a `fake` whose first byte says it all.
        table.put(&mut txn, b"who", &[1; 17]).unwrap();
        table.put(&mut txn, b"fake", &[1, 9]).unwrap();
        let meta = read(table, &txn).unwrap();
        assert_eq!(meta.ship.who, u128::from_le_bytes([1; 16]));
        assert!(!meta.ship.fake);
    }
}
