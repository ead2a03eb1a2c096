//! `@p`, ships: a number as pronounceable syllables, with planets and moons scrambled so that a name does not tell
//! whose it is.

use super::TextError;
use crate::noun::murmur3;

const PREFIXES: &str = "\
    dozmarbinwansamlitsighidfidlissogdirwacsabwissibrigsoldopmodfoglidhopdardorlorhodfolrintogsilmir\
    holpaslacrovlivdalsatlibtabhanticpidtorbolfosdotlosdilforpilramtirwintadbicdifrocwidbisdasmidlop\
    rilnardapmolsanlocnovsitnidtipsicropwitnatpanminritpodmottamtolsavposnapnopsomfinfonbanmorworsip\
    ronnorbotwicsocwatdolmagpicdavbidbaltimtasmalligsivtagpadsaldivdactansidfabtarmonranniswolmispal\
    lasdismaprabtobrollatlonnodnavfignomnibpagsopralbilhaddocridmocpacravripfaltodtiltinhapmicfanpat\
    taclabmogsimsonpinlomrictapfirhasbosbatpochactidhavsaplindibhosdabbitbarracparloddosbortochilmac\
    tomdigfilfasmithobharmighinradmashalraglagfadtopmophabnilnosmilfopfamdatnoldinhatnacrisfotribhoc\
    nimlarfitwalrapsarnalmoslandondanladdovrivbacpollaptalpitnambonrostonfodponsovnocsorlavmatmipfip";

const SUFFIXES: &str = "\
    zodnecbudwessevpersutletfulpensytdurwepserwylsunrypsyxdyrnuphebpeglupdepdysputlughecryttyvsydnex\
    lunmeplutseppesdelsulpedtemledtulmetwenbynhexfebpyldulhetmevruttylwydtepbesdexsefwycburderneppur\
    rysrebdennutsubpetrulsynregtydsupsemwynrecmegnetsecmulnymtevwebsummutnyxrextebfushepbenmuswyxsym\
    selrucdecwexsyrwetdylmynmesdetbetbeltuxtugmyrpelsyptermebsetdutdegtexsurfeltudnuxruxrenwytnubmed\
    lytdusnebrumtynseglyxpunresredfunrevrefmectedrusbexlebduxrynnumpyxrygryxfeptyrtustyclegnemfermer\
    tenlusnussyltecmexpubrymtucfyllepdebbermughuttunbylsudpemdevlurdefbusbeprunmelpexdytbyttyplevmyl\
    wedducfurfexnulluclennerlexrupnedlecrydlydfenwelnydhusrelrudneshesfetdesretdunlernyrsebhulryllud\
    remlysfynwerrycsugnysnyllyndyndemluxfedsedbecmunlyrtesmudnytbyrsenwegfyrmurtelreptegpecnelnevfes";

/// The name of a ship: `~zod`, `~marzod`, `~sampel-palnet`, and comets in two halves with `--` between them.
#[must_use]
pub fn format(ship: u128) -> String {
    let scrambled = fein(ship);
    if let Ok(galaxy) = u8::try_from(scrambled) {
        return format!("~{}", syllable(SUFFIXES, galaxy));
    }
    let words = (128 - scrambled.leading_zeros()).div_ceil(16);
    let mut name = String::from("~");
    for word in (0..words).rev() {
        let [low, high] = ((scrambled >> (16 * word)) as u16).to_le_bytes();
        name.push_str(syllable(PREFIXES, high));
        name.push_str(syllable(SUFFIXES, low));
        if word > 0 {
            name.push_str(if word % 4 == 0 { "--" } else { "-" });
        }
    }
    name
}

/// The ship with this name.
///
/// # Errors
/// If no ship is called so.
pub fn parse(text: &str) -> Result<u128, TextError> {
    // A name that comes out different was not one: `~dozzod`, `~zod-zod`, or dashes in the wrong places.
    parsed(text)
        .filter(|ship| format(*ship) == text)
        .ok_or_else(|| TextError::new(text, "a ship's name (@p) like ~zod or ~sampel-palnet"))
}

fn parsed(text: &str) -> Option<u128> {
    let name = text.strip_prefix('~')?;
    if let Some(galaxy) = number(SUFFIXES, name) {
        return Some(galaxy);
    }
    let mut scrambled: u128 = 0;
    for word in name.split('-').filter(|word| !word.is_empty()) {
        let (high, low) = word.split_at_checked(3)?;
        if scrambled >> 112 != 0 {
            return None;
        }
        scrambled = scrambled << 16 | number(PREFIXES, high)? << 8 | number(SUFFIXES, low)?;
    }
    Some(fynd(scrambled))
}

fn syllable(table: &'static str, byte: u8) -> &'static str {
    let at = usize::from(byte) * 3;
    &table[at..at + 3]
}

fn number(table: &str, syllable: &str) -> Option<u128> {
    let found = table
        .as_bytes()
        .chunks(3)
        .position(|known| known == syllable.as_bytes())?;
    u128::try_from(found).ok()
}

/// The number that a ship's name spells: a planet's, and the lower half of a moon's, is scrambled, others are not.
#[must_use]
pub fn fein(ship: u128) -> u128 {
    permute(ship, scramble)
}

/// The ship whose name spells this number: the inverse of [`fein`].
#[must_use]
pub fn fynd(spelt: u128) -> u128 {
    permute(spelt, unscramble)
}

/// Applies a permutation of planets (counted from 0) to the low 32 bits of planets and moons.
fn permute(ship: u128, planets: fn(u32) -> u32) -> u128 {
    if ship < FIRST_PLANET.into() || ship > u64::MAX.into() {
        return ship;
    }
    let low = ship as u32;
    let permuted = low
        .checked_sub(FIRST_PLANET)
        .map_or(low, |planet| planets(planet) + FIRST_PLANET);
    ship >> 32 << 32 | u128::from(permuted)
}

const FIRST_PLANET: u32 = 0x1_0000;
/// A planet is a pair of numbers below `A` and below `B`.
const A: u32 = 0xffff;
const B: u32 = 0x1_0000;
const PLANETS: u32 = 0xffff_0000;
/// The seeds of the rounds.
const ROUNDS: [u32; 4] = [0xb76d_5eed, 0xee28_1300, 0x85bc_ae01, 0x4b38_7af7];

/// What a round adds, from the right number of the pair.
fn round(seed: u32, right: u32) -> u32 {
    murmur3(seed, &(right as u16).to_le_bytes())
}

/// A Feistel cipher of four rounds, walked until it ends among the planets.
fn scramble(mut planet: u32) -> u32 {
    loop {
        let (mut left, mut right) = (planet % A, planet / A);
        for (at, seed) in ROUNDS.into_iter().enumerate() {
            let modulus = if at % 2 == 0 { A } else { B };
            (left, right) = (right, (left + round(seed, right) % modulus) % modulus);
        }
        planet = if right == A {
            A * right + left
        } else {
            A * left + right
        };
        if planet < PLANETS {
            return planet;
        }
    }
}

/// The inverse of `scramble`, walked likewise.
fn unscramble(mut planet: u32) -> u32 {
    loop {
        let (quotient, rest) = (planet / A, planet % A);
        let (mut left, mut right) = if quotient == A {
            (rest, quotient)
        } else {
            (quotient, rest)
        };
        for (at, seed) in ROUNDS.into_iter().enumerate().rev() {
            let modulus = if at % 2 == 0 { A } else { B };
            (left, right) = ((right + modulus - round(seed, left) % modulus) % modulus, left);
        }
        planet = A * right + left;
        if planet < PLANETS {
            return planet;
        }
    }
}
