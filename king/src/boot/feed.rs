//! A ship's keys as its owner has them: the key file's text, and the noun in it, a `feed` (`spec/boot.md` section 5).
//!
//! Nothing of it goes into an error, a log or a debugger's view: a text that is refused is told of by its shape only.

use super::{
    keys::{Ring, RingError},
    rank::name,
};
use crate::{input, limits};
use serf_ipc::{
    Noun, cue, n,
    text::{Aura, slaw},
};
use std::{fmt, io, path::Path, path::PathBuf};

/// Which of its forms a feed has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedForm {
    /// `[who lyf key sig]`, one key.
    Seed,
    /// `[[1 ~] who kyz]`
    Keys,
    /// `[[2 ~] who ryf kyz]`: it tells the rift, how often the ship had breached when the file was made.
    Rift(u64),
}

/// A ship and its secret keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Feed {
    /// Whose they are.
    pub who: u128,
    /// The form that they came in.
    pub form: FeedForm,
    /// Each key's life, and the key.
    pub keys: Vec<(u64, Ring)>,
}

/// Why there are no keys in what was given as such.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The file cannot be read.
    #[error("keyfile {path} cannot be read: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Not a number in base 64.
    #[error(
        "dawn: invalid private keys: what was given{0} is no @uw, the text `0w...` that Bridge gives as a key file; \
         take that file whole and unchanged"
    )]
    Text(&'static str),
    /// A number that no noun was jammed into.
    #[error(
        "dawn: unable to cue keyfile: its number stands for no keys, so part of it is lost or changed; get the key file again"
    )]
    Damaged,
    /// A noun of another shape.
    #[error("dawn: the keyfile is of no form that is known: at {0}; get the key file again")]
    Shape(&'static str),
    /// A key that cannot be used.
    #[error("dawn: the keyfile cannot be used: {0}")]
    Ring(#[from] RingError),
    /// Another ship's.
    #[error(
        "dawn: mismatch between -w {named} and the keyfile, which is {found}'s; give that name, or its own key file"
    )]
    Mismatch {
        /// `-w`.
        named: String,
        /// The key's.
        found: String,
    },
}

impl Feed {
    /// Reads the keys in a file.
    ///
    /// # Errors
    /// When it cannot be read, or has none.
    pub fn load(path: &Path) -> Result<Feed, FeedError> {
        let unreadable = |error| FeedError::Unreadable {
            path: path.to_owned(),
            error,
        };
        let bytes = input::read_up_to(path, limits::KEYFILE_BYTES).map_err(unreadable)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Feed::parse(text),
            Err(_) => Err(FeedError::Text(" is not even text; it")),
        }
    }

    /// Reads the keys in a key file's text. White space is no part of it: editors and mail break lines, vere itself knows of
    /// one newline at the end.
    ///
    /// # Errors
    /// When it has none.
    pub fn parse(text: &str) -> Result<Feed, FeedError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let text: String = text.chars().filter(|char| !char.is_ascii_whitespace()).collect();
        let damage = if text.is_empty() {
            Some(" is empty; it")
        } else if !text.starts_with("0w") {
            Some(" does not begin with 0w; it")
        } else {
            None
        };
        if let Some(damage) = damage {
            return Err(FeedError::Text(damage));
        }
        let jam = slaw(Aura::Uw, &text).map_err(|_| FeedError::Text(""))?;
        let jam = jam.atom_bytes().ok_or(FeedError::Damaged)?;
        Feed::from_noun(&cue(&jam).map_err(|_| FeedError::Damaged)?)
    }

    /// Reads a feed.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_noun(noun: &Noun) -> Result<Feed, FeedError> {
        let (head, rest) = noun.as_cell().ok_or(FeedError::Shape("its top"))?;
        let at = |noun: &Noun, axis: u64, what| noun.slot(axis).cloned().ok_or(FeedError::Shape(what));
        let number = |noun: &Noun, what| noun.as_u64().ok_or(FeedError::Shape(what));
        let ship = |noun: &Noun| noun.as_u128().ok_or(FeedError::Shape("the ship"));
        let Some((version, none)) = head.as_cell() else {
            let life = number(&at(rest, 2, "the life")?, "the life")?;
            // `[who lyf key sig]`; the oath at its end says nothing today.
            let ring = Ring::from_noun(&at(rest, 6, "the key")?)?;
            return Ok(Feed {
                who: ship(head)?,
                form: FeedForm::Seed,
                keys: vec![(life, ring)],
            });
        };
        let with_rift = match (version.as_u64(), none) {
            (Some(1), none) if *none == Noun::ZERO => false,
            (Some(2), none) if *none == Noun::ZERO => true,
            _ => return Err(FeedError::Shape("the version, which should be 1 or 2")),
        };
        let who = ship(&at(rest, 2, "the ship")?)?;
        let (form, keys) = if with_rift {
            let rift = number(&at(rest, 6, "the rift")?, "the rift")?;
            (FeedForm::Rift(rift), at(rest, 7, "the keys")?)
        } else {
            (FeedForm::Keys, at(rest, 3, "the keys")?)
        };
        let key = |item: Result<&Noun, _>| {
            let item = item.map_err(|_| FeedError::Shape("the keys, which are no list"))?;
            let (life, ring) = item.as_cell().ok_or(FeedError::Shape("a key"))?;
            Ok((number(life, "a life")?, Ring::from_noun(ring)?))
        };
        let keys = keys.iter_list().map(key).collect::<Result<Vec<_>, FeedError>>()?;
        Ok(Feed { who, form, keys })
    }

    /// The rift that the file tells.
    #[must_use]
    pub fn rift(&self) -> Option<u64> {
        match self.form {
            FeedForm::Rift(rift) => Some(rift),
            FeedForm::Seed | FeedForm::Keys => None,
        }
    }

    /// As the kernel takes it, `[[2 ~] who rift [lyf key] ~]`.
    #[must_use]
    pub(super) fn noun(who: u128, rift: u64, life: u64, ring: &Ring) -> Noun {
        let keys = Noun::list([n![life, ring.to_noun()]]);
        n![n![2_u64, Noun::ZERO], Noun::from_u128(who), rift, keys]
    }

    /// Makes sure that it is the ship's that was named.
    ///
    /// # Errors
    /// When it is another's. (vere looks at this for the oldest form only, and boots the key's ship under the other's name.)
    pub fn belongs_to(&self, ship: u128) -> Result<(), FeedError> {
        if self.who == ship {
            return Ok(());
        }
        Err(FeedError::Mismatch {
            named: name(ship),
            found: name(self.who),
        })
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lives = self.keys.iter().map(|(life, _)| life).collect::<Vec<_>>();
        f.debug_struct("Feed")
            .field("who", &name(self.who))
            .field("form", &self.form)
            .field("lives", &lives)
            .finish_non_exhaustive()
    }
}

/// Any text as a key file: what is found in it is found again in its plainest form, and nothing of the text is told.
pub(crate) fn fuzz(text: &str) {
    match Feed::parse(text) {
        Ok(feed) => {
            let Some((life, ring)) = feed.keys.first() else {
                return;
            };
            let noun = Feed::noun(feed.who, feed.rift().unwrap_or(0), *life, ring);
            let jam = Noun::from_le_vec(serf_ipc::jam(&noun));
            #[expect(clippy::expect_used, reason = "for a fuzzer: the atom of a jam has a text")]
            let text = serf_ipc::text::scot(Aura::Uw, &jam).expect("an atom");
            let again = Feed::parse(&text);
            assert!(
                again.is_ok_and(|again| again.who == feed.who && again.keys.first() == feed.keys.first())
            );
        }
        // By their types errors hold nothing of the text.
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serf_ipc::{jam, text::p, text::scot};

    /// Made by Hoon in the C program's own kernel: the keys are `(pit:nu:crub:crypto 512 'seguro')`.
    const SEED: &str = "0w2EGrY.AVtS5.34Pw5.AQGjb.jtuGI.rhqWa.jNTfT.e3vid.wr9U1.c8Kh9.SjXdl.nZHI1.5g3UW.8Xd05.0kvk4.\
        R0yaU.0a4Dd.Pgwd0.0W71J.u9~Y1";
    const KEYS: &str = "0w2.wYsxq.aC~9e.ntxgN.cU1pd.aAOQT.nGH6Q.mKyAY.tPZPw.TQzo6.Ou0j2.bAitA.-Pll~.qX0hk.0-eye.Pg1g5.\
        7R1dg.8yK02.x9PsQ.83g0q.5Mrny.v~0r5";
    const RIFT: &str = "0w1kld.-isKX.2xypM.2Oql9.BFKLl.mdEJt.59UXD.XD1LF.6MdAY.0C4n8.AX9ZC.GH-RS.0yE1Y.t4tCw.2wafG.\
        2qwh5.s052j.CVEg6.w0Qbc.e3qYj.~U3i5";

    fn sampel() -> u128 {
        p::parse("~sampel-palnet").unwrap()
    }

    fn ring() -> Ring {
        let mut entropy = [0; 64];
        entropy[..6].copy_from_slice(b"seguro");
        Ring::from_entropy(&entropy)
    }

    fn text(noun: &Noun) -> String {
        scot(Aura::Uw, &Noun::from_le_vec(jam(noun))).unwrap()
    }

    #[test]
    fn each_form_is_read() {
        for (text, form, lives) in [
            (SEED, FeedForm::Seed, vec![3]),
            (KEYS, FeedForm::Keys, vec![3, 2]),
            (RIFT, FeedForm::Rift(4), vec![3]),
        ] {
            let feed = Feed::parse(text).unwrap();
            assert_eq!((feed.who, feed.form), (sampel(), form));
            let keys = lives.into_iter().map(|life| (life, ring())).collect::<Vec<_>>();
            assert_eq!(feed.keys, keys);
        }
        assert_eq!(Feed::parse(RIFT).unwrap().rift(), Some(4));
        assert_eq!(Feed::parse(KEYS).unwrap().rift(), None);
        assert_eq!(text(&Feed::noun(sampel(), 4, 3, &ring())), RIFT);
    }

    #[test]
    fn white_space_is_no_part_of_a_key() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("sampel-palnet.key");
        let (first, second) = RIFT.split_at(40);
        for text in [
            format!("{RIFT}\n"),
            format!("{RIFT}\r\n\r\n"),
            format!("\u{feff}  {first}\n\t{second} "),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(Feed::load(&file).unwrap(), Feed::parse(RIFT).unwrap());
        }
    }

    #[test]
    fn what_is_wrong_is_told_without_the_key() {
        let two = |rest: Noun| text(&Noun::cell(n![2_u64, Noun::ZERO], rest));
        let key = |ring: Noun| Noun::list([n![1_u64, ring]]);
        for (text, words) in [
            (String::new(), "is empty"),
            ("\n".to_owned(), "is empty"),
            ("hello".to_owned(), "does not begin with 0w"),
            (RIFT.replace('.', ""), "invalid private keys"),
            (RIFT.replacen("0w1", "0w", 1) + "!", "invalid private keys"),
            (RIFT[..RIFT.len() - 6].to_owned(), "the keyfile"),
            ("0w0".to_owned(), "unable to cue"),
            (text(&Noun::atom(7)), "at its top"),
            (text(&n![n![3_u64, Noun::ZERO], 5_u64]), "the version"),
            (text(&n![n![2_u64, 2_u64], 5_u64]), "the version"),
            (two(Noun::atom(5)), "the ship"),
            (two(n![5_u64, 0_u64]), "the rift"),
            (two(n![5_u64, 0_u64, 7_u64]), "of no form"),
            (
                two(n![5_u64, 0_u64, key(Noun::from_le_bytes(b"C1"))]),
                "another suite",
            ),
            (
                two(n![5_u64, 0_u64, key(Noun::from_le_bytes(&[b'B'; 70]))]),
                "too long",
            ),
            (text(&n![5_u64, 1_u64]), "the life"),
        ] {
            let told = Feed::parse(&text).unwrap_err().to_string();
            assert!(told.contains(words) || words == "the keyfile", "{words}: {told}");
            assert!(text.len() < 8 || !told.contains(&text[4..]), "{told}");
        }
        let debug = format!("{:?}", Feed::parse(KEYS).unwrap());
        assert_eq!(
            debug,
            "Feed { who: \"~sampel-palnet\", form: Keys, lives: [3, 2], .. }"
        );
    }

    #[test]
    fn a_file_that_is_none_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("none.key");
        assert!(
            Feed::load(&file)
                .unwrap_err()
                .to_string()
                .contains("none.key cannot be read")
        );
        std::fs::write(&file, [0xff, 0xfe, 0]).unwrap();
        assert!(
            Feed::load(&file)
                .unwrap_err()
                .to_string()
                .contains("not even text")
        );
        let large = usize::try_from(limits::KEYFILE_BYTES).unwrap() + 1;
        std::fs::write(&file, vec![b'0'; large]).unwrap();
        assert!(Feed::load(&file).unwrap_err().to_string().contains("larger than"));
    }

    #[test]
    fn another_ship_s_key_is_refused() {
        let feed = Feed::parse(SEED).unwrap();
        feed.belongs_to(sampel()).unwrap();
        let told = feed.belongs_to(0x100).unwrap_err().to_string();
        assert!(
            told.contains("-w ~marzod") && told.contains("~sampel-palnet's"),
            "{told}"
        );
    }

    #[test]
    fn any_text_may_be_given() {
        for text in [SEED, KEYS, RIFT, "", "0w0", "0w1", "~"] {
            fuzz(text);
        }
    }
}
