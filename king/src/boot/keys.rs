//! Keys of suite B (`+crub`): the ring that a ship signs and opens with, and the pass that others know it by
//! (`spec/boot.md` section 5).

use ring::signature::{Ed25519KeyPair, KeyPair};
use serf_ipc::Noun;
use sha2::{Digest, Sha256, Sha512};
use std::fmt;

/// The first byte of a suite-B ring, and of its pass.
const RING: u8 = b'B';
const PASS: u8 = b'b';

/// A secret key: the seeds of a pair that signs and of one that opens. It shows in no log and no error.
#[derive(Clone, PartialEq, Eq)]
pub struct Ring {
    sign: [u8; 32],
    crypt: [u8; 32],
}

/// A public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Of the pair that signs.
    pub sign: [u8; 32],
    /// Of the pair that opens.
    pub crypt: [u8; 32],
}

/// Why an atom is no ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// Another suite's.
    #[error("it holds a key of another suite than B, for a newer kernel than this runtime boots")]
    Suite,
    /// Not of a ring's length.
    #[error("it holds a key that is too long, or no number")]
    Length,
}

impl Ring {
    /// `(pit:nu:crub 512 entropy)`.
    #[must_use]
    pub fn from_entropy(entropy: &[u8; 64]) -> Ring {
        let bits: [u8; 64] = Sha512::digest(entropy).into();
        let mut ring = Ring {
            sign: [0; 32],
            crypt: [0; 32],
        };
        ring.sign.copy_from_slice(&bits[..32]);
        ring.crypt.copy_from_slice(&bits[32..]);
        ring
    }

    /// `(nol:nu:crub atom)`.
    ///
    /// # Errors
    /// When it is none; the kernel would crash over it.
    pub fn from_noun(noun: &Noun) -> Result<Ring, RingError> {
        let bytes = noun.atom_bytes().ok_or(RingError::Length)?;
        let (tag, seeds) = bytes.split_first().ok_or(RingError::Suite)?;
        if *tag != RING {
            return Err(RingError::Suite);
        }
        // Zeros at an atom's end are not there.
        let mut whole = [0; 64];
        whole
            .get_mut(..seeds.len())
            .ok_or(RingError::Length)?
            .copy_from_slice(seeds);
        let mut ring = Ring {
            sign: [0; 32],
            crypt: [0; 32],
        };
        ring.sign.copy_from_slice(&whole[..32]);
        ring.crypt.copy_from_slice(&whole[32..]);
        Ok(ring)
    }

    /// The atom.
    #[must_use]
    pub fn to_noun(&self) -> Noun {
        tagged(RING, &self.sign, &self.crypt)
    }

    /// The public key.
    #[must_use]
    pub fn pass(&self) -> Pass {
        Pass {
            sign: puck(&self.sign),
            crypt: puck(&self.crypt),
        }
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ring(..)")
    }
}

impl Pass {
    /// What the contract's keys make (`+pass-from-eth`): those of another suite than B make the empty pass.
    #[must_use]
    pub fn from_contract(crypt: [u8; 32], auth: [u8; 32], suite: u64) -> Pass {
        if suite == 1 {
            Pass { sign: auth, crypt }
        } else {
            Pass {
                sign: [0; 32],
                crypt: [0; 32],
            }
        }
    }

    /// The atom.
    #[must_use]
    pub fn to_noun(&self) -> Noun {
        tagged(PASS, &self.sign, &self.crypt)
    }

    /// The name of the comet that has this key (`+fig:ex`, `(shaf %bfig pass)`).
    #[must_use]
    pub fn fingerprint(&self) -> u128 {
        let mut jammed = [0; 65];
        jammed[0] = PASS;
        jammed[1..33].copy_from_slice(&self.sign);
        jammed[33..].copy_from_slice(&self.crypt);
        // `shax` hashes an atom's bytes, which end with the last that is not zero.
        let length = jammed
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        let mut salted: [u8; 32] = Sha256::digest(&jammed[..length]).into();
        for (byte, salt) in salted.iter_mut().zip(*b"bfig") {
            *byte ^= salt;
        }
        let hash: [u8; 32] = Sha256::digest(salted).into();
        let half = |from: usize| {
            let mut bytes = [0; 16];
            bytes.copy_from_slice(&hash[from..from + 16]);
            u128::from_le_bytes(bytes)
        };
        half(0) ^ half(16)
    }
}

/// Both keys behind the suite's byte.
fn tagged(tag: u8, sign: &[u8; 32], crypt: &[u8; 32]) -> Noun {
    let mut bytes = [0; 65];
    bytes[0] = tag;
    bytes[1..33].copy_from_slice(sign);
    bytes[33..].copy_from_slice(crypt);
    Noun::from_le_bytes(&bytes)
}

/// The public key of a seed (`+puck:ed`), Ed25519's: for the pair that opens too.
#[expect(clippy::expect_used, reason = "invariant: every 32 bytes are an Ed25519 seed")]
fn puck(seed: &[u8; 32]) -> [u8; 32] {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("32 bytes");
    let mut public = [0; 32];
    public.copy_from_slice(pair.public_key().as_ref());
    public
}

#[cfg(test)]
mod tests {
    use super::*;
    use serf_ipc::text::{Aura, p, slaw};

    /// What Hoon's `(pit:nu:crub:crypto 512 'seguro')` has, by the C program's own kernel.
    const SEC: &str = "0x28.a9bf.24e5.dd85.0c4c.e016.4d2a.4cb4.dd7a.ab1b.45ae.8a4f.1dcf.dce0.df48.d81b.2780.4c22.e449.\
        d93e.cd55.7f6b.b011.500f.8e88.ecd0.0501.47d4.1350.222b.800a.1273.7342";
    const PUB: &str = "0x58.dd76.51ca.7b97.daa2.77ea.7516.5889.17f9.2edd.51d4.b81d.4c58.13ef.0a0f.3414.9d87.3788.f29f.\
        6cfa.5e41.9c07.4705.7e3f.6b3e.3f78.bbbb.177d.77a1.73f5.ca1d.eeda.3262";
    const FIG: &str = "~hopfex-lagsub-dovtec-palryl--panmet-matrux-masrut-balnet";

    fn hex(text: &str) -> Noun {
        slaw(Aura::Ux, text).unwrap()
    }

    fn ring() -> Ring {
        let mut entropy = [0; 64];
        entropy[..6].copy_from_slice(b"seguro");
        Ring::from_entropy(&entropy)
    }

    #[test]
    fn keys_are_the_kernel_s() {
        assert_eq!(ring().to_noun(), hex(SEC));
        assert_eq!(ring().pass().to_noun(), hex(PUB));
        assert_eq!(p::format(ring().pass().fingerprint()), FIG);
        assert_eq!(Ring::from_noun(&hex(SEC)), Ok(ring()));
    }

    #[test]
    fn an_atom_that_ends_early_ends_with_zeros() {
        let short = Noun::from_le_bytes(b"B\x01\x02");
        let ring = Ring::from_noun(&short).unwrap();
        assert_eq!((ring.sign[..3].to_vec(), ring.crypt), (vec![1, 2, 0], [0; 32]));
        assert_eq!(ring.to_noun(), short);
    }

    #[test]
    fn what_is_no_ring_is_refused() {
        for (noun, error) in [
            (Noun::ZERO, RingError::Suite),
            (Noun::from_le_bytes(b"C12"), RingError::Suite),
            (Noun::from_le_bytes(b"b12"), RingError::Suite),
            (Noun::from_le_bytes(&[b'B'; 66]), RingError::Length),
            (Noun::cell(hex(SEC), Noun::ZERO), RingError::Length),
        ] {
            assert_eq!(Ring::from_noun(&noun), Err(error));
        }
    }

    #[test]
    fn a_ring_does_not_show() {
        assert_eq!(format!("{:?}", ring()), "Ring(..)");
    }

    #[test]
    fn the_contract_s_keys_of_another_suite_make_no_pass() {
        let pass = Pass::from_contract([1; 32], [2; 32], 1);
        assert_eq!((pass.crypt, pass.sign), ([1; 32], [2; 32]));
        assert_eq!(
            Pass::from_contract([1; 32], [2; 32], 2).to_noun(),
            Noun::atom(0x62)
        );
    }
}
