//! Rust's values as nouns, and back.

use seguro_event::{EventNumber, Mug};

use super::{AtPath, Noun, ShapeError};
use crate::limits::OCTS_BYTES;

/// A value that has a noun.
pub trait ToNoun {
    /// The noun of this value.
    fn to_noun(&self) -> Noun;
}

/// A value that can be read from a noun.
pub trait FromNoun: Sized {
    /// The value of this noun.
    ///
    /// # Errors
    /// If the noun has another shape; the error says where.
    fn from_noun(noun: &Noun) -> Result<Self, ShapeError>;
}

impl ToNoun for Noun {
    fn to_noun(&self) -> Noun {
        self.clone()
    }
}

impl FromNoun for Noun {
    fn from_noun(noun: &Noun) -> Result<Noun, ShapeError> {
        Ok(noun.clone())
    }
}

impl<T: ToNoun + ?Sized> ToNoun for &T {
    fn to_noun(&self) -> Noun {
        (**self).to_noun()
    }
}

macro_rules! unsigned {
    ($($type:ty, $expected:literal;)*) => {$(
        impl ToNoun for $type {
            fn to_noun(&self) -> Noun {
                Noun::from_u128(u128::from(*self))
            }
        }

        impl FromNoun for $type {
            fn from_noun(noun: &Noun) -> Result<$type, ShapeError> {
                let value = noun.as_u128().and_then(|value| <$type>::try_from(value).ok());
                value.ok_or_else(|| ShapeError::new($expected, noun))
            }
        }

        impl From<$type> for Noun {
            fn from(value: $type) -> Noun {
                value.to_noun()
            }
        }
    )*};
}

unsigned! {
    u8, "an atom of at most 8 bits";
    u16, "an atom of at most 16 bits";
    u32, "an atom of at most 32 bits";
    u64, "an atom of at most 64 bits";
    u128, "an atom of at most 128 bits";
}

impl ToNoun for Mug {
    fn to_noun(&self) -> Noun {
        self.0.to_noun()
    }
}

impl FromNoun for Mug {
    fn from_noun(noun: &Noun) -> Result<Mug, ShapeError> {
        u32::from_noun(noun).map(Mug)
    }
}

impl ToNoun for EventNumber {
    fn to_noun(&self) -> Noun {
        self.0.to_noun()
    }
}

impl FromNoun for EventNumber {
    fn from_noun(noun: &Noun) -> Result<EventNumber, ShapeError> {
        u64::from_noun(noun).map(EventNumber)
    }
}

/// A loobean: true is 0.
impl ToNoun for bool {
    fn to_noun(&self) -> Noun {
        Noun::loob(*self)
    }
}

impl FromNoun for bool {
    fn from_noun(noun: &Noun) -> Result<bool, ShapeError> {
        match noun.as_u64() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(ShapeError::new("a loobean (0 or 1)", noun)),
        }
    }
}

/// A loobean: true is 0.
impl From<bool> for Noun {
    fn from(truth: bool) -> Noun {
        Noun::loob(truth)
    }
}

/// `~`, the one value of a place that says nothing.
impl ToNoun for () {
    fn to_noun(&self) -> Noun {
        Noun::ZERO
    }
}

impl FromNoun for () {
    fn from_noun(noun: &Noun) -> Result<(), ShapeError> {
        if noun.as_u64() == Some(0) {
            Ok(())
        } else {
            Err(ShapeError::new("~", noun))
        }
    }
}

/// A cord.
impl ToNoun for str {
    fn to_noun(&self) -> Noun {
        Noun::cord(self)
    }
}

/// A cord.
impl ToNoun for String {
    fn to_noun(&self) -> Noun {
        Noun::cord(self)
    }
}

impl FromNoun for String {
    fn from_noun(noun: &Noun) -> Result<String, ShapeError> {
        noun.as_cord()
            .ok_or_else(|| ShapeError::new("a cord in UTF-8", noun))
    }
}

/// A cord.
impl From<&str> for Noun {
    fn from(text: &str) -> Noun {
        Noun::cord(text)
    }
}

/// A unit.
impl<T: ToNoun> ToNoun for Option<T> {
    fn to_noun(&self) -> Noun {
        Noun::unit(self.as_ref().map(T::to_noun))
    }
}

impl<T: FromNoun> FromNoun for Option<T> {
    fn from_noun(noun: &Noun) -> Result<Option<T>, ShapeError> {
        match noun.as_cell() {
            Some((head, item)) if head.as_u64() == Some(0) => T::from_noun(item).at("u").map(Some),
            None if noun.as_u64() == Some(0) => Ok(None),
            _ => Err(ShapeError::new("a unit (~ or [~ item])", noun)),
        }
    }
}

/// A list.
impl<T: ToNoun> ToNoun for [T] {
    fn to_noun(&self) -> Noun {
        self.iter()
            .rev()
            .fold(Noun::ZERO, |tail, item| Noun::cell(item.to_noun(), tail))
    }
}

/// A list.
impl<T: ToNoun> ToNoun for Vec<T> {
    fn to_noun(&self) -> Noun {
        self.as_slice().to_noun()
    }
}

impl<T: FromNoun> FromNoun for Vec<T> {
    fn from_noun(noun: &Noun) -> Result<Vec<T>, ShapeError> {
        noun.iter_list()
            .enumerate()
            .map(|(at, item)| T::from_noun(item?).at_item(at))
            .collect()
    }
}

macro_rules! tuple {
    ($($name:ident $index:tt),* ; $last:ident $last_index:tt) => {
        /// Nested to the right.
        impl<$($name: ToNoun,)* $last: ToNoun> ToNoun for ($($name,)* $last) {
            fn to_noun(&self) -> Noun {
                $crate::n![$(self.$index,)* self.$last_index]
            }
        }

        impl<$($name: FromNoun,)* $last: FromNoun> FromNoun for ($($name,)* $last) {
            fn from_noun(noun: &Noun) -> Result<($($name,)* $last), ShapeError> {
                let mut rest = noun;
                Ok((
                    $({
                        let (head, tail) = rest.split().at(stringify!($index))?;
                        rest = tail;
                        $name::from_noun(head).at(stringify!($index))?
                    },)*
                    $last::from_noun(rest).at(stringify!($last_index))?,
                ))
            }
        }
    };
}

tuple!(A 0; B 1);
tuple!(A 0, B 1; C 2);
tuple!(A 0, B 1, C 2; D 3);
tuple!(A 0, B 1, C 2, D 3; E 4);
tuple!(A 0, B 1, C 2, D 3, E 4; F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5; G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6; H 7);

/// `$octs`: bytes with their number, `[len data]`, so that zeros at the end are not lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Octs {
    /// The bytes, all of them.
    pub data: Vec<u8>,
}

impl From<&[u8]> for Octs {
    fn from(data: &[u8]) -> Octs {
        Octs { data: data.to_vec() }
    }
}

impl From<Vec<u8>> for Octs {
    fn from(data: Vec<u8>) -> Octs {
        Octs { data }
    }
}

impl ToNoun for Octs {
    fn to_noun(&self) -> Noun {
        Noun::cell(
            Noun::atom(self.data.len() as u64),
            Noun::from_le_bytes(&self.data),
        )
    }
}

/// As vere does, takes as many bytes as the number says: the atom is cut, or filled up with zeros.
impl FromNoun for Octs {
    fn from_noun(noun: &Noun) -> Result<Octs, ShapeError> {
        let (len, data): (u64, Noun) = FromNoun::from_noun(noun)?;
        let len = usize::try_from(len).ok().filter(|len| *len <= OCTS_BYTES);
        let len = len.ok_or_else(|| ShapeError::new("a length within the limit of octets", noun))?;
        let bytes = data
            .atom_bytes()
            .ok_or_else(|| ShapeError::new("an atom", &data).at("1"))?;
        let mut data = bytes.into_owned();
        data.resize(len, 0);
        Ok(Octs { data })
    }
}
