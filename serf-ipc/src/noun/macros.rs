//! Macros that write out the shapes of nouns.

/// A tuple nested to the right: `n!["live", "exit", 0u64]` is `[%live %exit 0]`.
///
/// ```
/// # use serf_ipc::{Noun, n};
/// assert_eq!(n![1u8, 2u8, 3u8], Noun::cell(Noun::atom(1), n![2u8, 3u8]));
/// assert_eq!(format!("{:?}", n!["live", "exit", 0u64]), "[%live %exit 0]");
/// ```
#[macro_export]
macro_rules! n {
    ($last:expr $(,)?) => { $crate::ToNoun::to_noun(&$last) };
    ($head:expr, $($rest:expr),+ $(,)?) => {
        $crate::Noun::cell($crate::ToNoun::to_noun(&$head), $crate::n![$($rest),+])
    };
}

/// A struct that is a tuple of its fields in their order, with [`ToNoun`](crate::ToNoun) and
/// [`FromNoun`](crate::FromNoun). Errors name the field.
///
/// ```
/// # use serf_ipc::{FromNoun, ToNoun, n, noun_struct};
/// noun_struct! {
///     /// A span of time.
///     #[derive(Debug, PartialEq)]
///     pub struct Span {
///         /// When it begins.
///         pub from: u128,
///         /// When it ends, if it does.
///         pub to: Option<u128>,
///     }
/// }
/// let span = Span { from: 4, to: Some(5) };
/// assert_eq!(span.to_noun(), n![4u8, 0u8, 5u8]);
/// assert_eq!(Span::from_noun(&n![4u8, 0u8, 5u8]), Ok(span));
/// let error = Span::from_noun(&n![4u8, 7u8]).unwrap_err();
/// assert_eq!(error.to_string(), "to: expected a unit (~ or [~ item]), found the atom 7");
/// ```
#[macro_export]
macro_rules! noun_struct {
    (
        $(#[$meta:meta])*
        $visible:vis struct $Name:ident {
            $($(#[$field_meta:meta])* $field_visible:vis $field:ident: $Type:ty),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        $visible struct $Name {
            $($(#[$field_meta])* $field_visible $field: $Type,)+
        }

        impl $crate::ToNoun for $Name {
            fn to_noun(&self) -> $crate::Noun {
                $crate::n![$(self.$field),+]
            }
        }

        impl $crate::FromNoun for $Name {
            fn from_noun(noun: &$crate::Noun) -> ::core::result::Result<Self, $crate::ShapeError> {
                $crate::noun_struct!(@fields noun, $($field)+);
                ::core::result::Result::Ok($Name { $($field),+ })
            }
        }
    };
    // Binds each field's name to its value, read from a tuple.
    (@fields $noun:ident, $last:ident) => {
        let $last = $crate::AtPath::at($crate::FromNoun::from_noun($noun), stringify!($last))?;
    };
    (@fields $noun:ident, $field:ident $($rest:ident)+) => {
        let (head, tail) = $crate::AtPath::at($noun.split(), stringify!($field))?;
        let $field = $crate::AtPath::at($crate::FromNoun::from_noun(head), stringify!($field))?;
        $crate::noun_struct!(@fields tail, $($rest)+);
    };
}

/// A tagged union, with [`ToNoun`](crate::ToNoun) and [`FromNoun`](crate::FromNoun). Before each variant stands its tag,
/// a term or a number. A variant without a value is the bare tag; `Variant(Value)` is `[tag value]`, so that
/// `Variant(())` is `[tag ~]`; `Variant { a: A, b: B }` is `[tag a b]`.
///
/// ```
/// # use serf_ipc::{FromNoun, ToNoun, n, noun_union};
/// noun_union! {
///     /// What became of it.
///     #[derive(Debug, PartialEq)]
///     pub enum Outcome {
///         /// All is well.
///         "done" => Done(()),
///         /// It failed there.
///         "bail" => Bail {
///             /// Which one.
///             event: u64,
///             /// Why.
///             why: String,
///         },
///     }
/// }
/// assert_eq!(Outcome::Done(()).to_noun(), n!["done", 0u8]);
/// let bail = Outcome::Bail { event: 7, why: "oops".to_owned() };
/// assert_eq!(Outcome::from_noun(&n!["bail", 7u8, "oops"]), Ok(bail));
/// let error = Outcome::from_noun(&n!["bail", n![1u8, 2u8], 0u8]).unwrap_err();
/// assert_eq!(error.to_string(), "%bail.event: expected an atom of at most 64 bits, found the cell [1 2]");
/// let error = Outcome::from_noun(&n!["fail", 0u8]).unwrap_err();
/// assert_eq!(error.to_string(), "expected %done or %bail, found the cell [%fail 0]");
/// ```
#[macro_export]
macro_rules! noun_union {
    (
        $(#[$meta:meta])*
        $visible:vis enum $Name:ident {
            $(
                $(#[$variant_meta:meta])*
                $tag:literal => $Variant:ident
                $(($Type:ty))?
                $({ $($(#[$field_meta:meta])* $field:ident: $Field:ty),+ $(,)? })?
            ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        $visible enum $Name {
            $(
                $(#[$variant_meta])*
                $Variant $(($Type))? $({ $($(#[$field_meta])* $field: $Field,)+ })?,
            )+
        }

        impl $crate::ToNoun for $Name {
            fn to_noun(&self) -> $crate::Noun {
                $($crate::noun_union!(@write self, $Name, $tag, $Variant $(($Type))? $({ $($field)+ })?);)+
                unreachable!("every variant has been tried")
            }
        }

        impl $crate::FromNoun for $Name {
            fn from_noun(noun: &$crate::Noun) -> ::core::result::Result<Self, $crate::ShapeError> {
                $($crate::noun_union!(@read noun, $Name, $tag, $Variant $(($Type))? $({ $($field)+ })?);)+
                ::core::result::Result::Err($crate::ShapeError::new(
                    $crate::noun_union!(@expected $($tag)+),
                    noun,
                ))
            }
        }
    };
    (@write $self:ident, $Name:ident, $tag:literal, $Variant:ident) => {
        if let $Name::$Variant = $self {
            return $crate::noun::Tag::noun(&$tag);
        }
    };
    (@write $self:ident, $Name:ident, $tag:literal, $Variant:ident ($Type:ty)) => {
        if let $Name::$Variant(value) = $self {
            return $crate::Noun::cell($crate::noun::Tag::noun(&$tag), $crate::ToNoun::to_noun(value));
        }
    };
    (@write $self:ident, $Name:ident, $tag:literal, $Variant:ident { $($field:ident)+ }) => {
        if let $Name::$Variant { $($field),+ } = $self {
            return $crate::Noun::cell($crate::noun::Tag::noun(&$tag), $crate::n![$($field),+]);
        }
    };
    (@read $noun:ident, $Name:ident, $tag:literal, $Variant:ident) => {
        if $crate::noun::Tag::is(&$tag, $noun) {
            return ::core::result::Result::Ok($Name::$Variant);
        }
    };
    (@read $noun:ident, $Name:ident, $tag:literal, $Variant:ident ($Type:ty)) => {
        if let ::core::option::Option::Some((head, tail)) = $noun.as_cell()
            && $crate::noun::Tag::is(&$tag, head)
        {
            let value = <$Type as $crate::FromNoun>::from_noun(tail);
            return $crate::AtPath::at(value, $crate::noun_union!(@path $tag)).map($Name::$Variant);
        }
    };
    (@read $noun:ident, $Name:ident, $tag:literal, $Variant:ident { $($field:ident)+ }) => {
        if let ::core::option::Option::Some((head, tail)) = $noun.as_cell()
            && $crate::noun::Tag::is(&$tag, head)
        {
            let read = || {
                $crate::noun_struct!(@fields tail, $($field)+);
                ::core::result::Result::Ok($Name::$Variant { $($field),+ })
            };
            return $crate::AtPath::at(read(), $crate::noun_union!(@path $tag));
        }
    };
    (@path $tag:literal) => { concat!("%", $tag) };
    (@expected $first:literal $($tag:literal)*) => {
        concat!("%", $first $(, " or %", $tag)*)
    };
}
