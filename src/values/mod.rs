//! What keys can hold: one file a type.
//!
//! Owns: for each type what it is, how it is packed, its RDB form, what it costs, how it is walked in slices, and how it is written as
//! commands.
//! Must not: know keys, clients, options or RESP; arguments are given as byte slices. Contract: docs/architecture.md, "Values".
//!
//! A type is a struct with a [`Face`] and a row in `types!`, below. What of it is large is made of parts of bounded size that are shared by
//! count: a clone is cheap, shows the value as it was, and is walked by [`Place`] a slice at a time; a write copies only the part that it
//! changes; and what nobody holds any more is freed in slices ([`Rubble`]).

mod chunk;
mod elements;
mod hash;
mod hasher;
pub mod lean;
pub mod linear;
mod listpack;
mod long;
mod rubble;
mod shared;
mod string;
mod table;
pub mod tag;

pub use elements::{Parts, Piece, Place, SLICE, WHOLE};
pub use hasher::{Hasher, KeyHash};
pub use long::Long;
pub use rubble::Rubble;
pub use shared::{Bytes, Shared};
pub use string::{LONG, Str, overwrite};

use crate::rdb::{Output, Reader, Stop};

/// What the values of one keyspace have in common.
#[derive(Clone, Debug)]
pub struct Rules {
    /// When which form is taken.
    pub thresholds: Thresholds,
    /// For the dictionaries within values.
    pub hasher: Hasher,
    /// Where what is large goes when nobody holds it any more.
    pub rubble: Rubble,
}

/// The key holds a value of another type.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
pub struct WrongType;

/// What every type of value has.
pub trait Face: Clone + Default {
    /// The name that TYPE answers and SCAN's TYPE option takes.
    const NAME: &'static str;
    /// The numbers of its forms in RDBs that are read.
    const RDB: &'static [u8];
    /// What the options say of its forms; `()` if they say nothing.
    type Thresholds: Copy + Eq + std::fmt::Debug + Default;
    /// Their defaults.
    const SHIPPED: Self::Thresholds;

    /// The name that OBJECT ENCODING answers.
    fn encoding(&self) -> &'static str;
    /// Whether nothing is in it. A key with such a value goes, unless it is a string.
    fn is_empty(&self) -> bool;
    /// Memory that it takes, in bytes; what it shares counts in full.
    fn cost(&self) -> usize;
    /// The number of the form in which it is written to an RDB.
    fn rdb_form(&self) -> u8;
    /// Tells its strings in order from this place on, about `budget` bytes of them, long ones in pieces; where to go on, none at the end.
    fn walk(&self, from: Place, parts: Parts, budget: usize, tell: &mut dyn FnMut(Piece<'_>)) -> Option<Place>;
    /// Writes its RDB form from this place on until `out` is full; where to go on, none at the end.
    fn save(&self, from: Place, out: &mut Output<'_>) -> Option<Place>;
    /// Reads a value in this form.
    fn load(form: u8, rules: &Rules) -> Box<dyn Load>;
    /// Tells a command that writes a part of it, without the key that is to be its first argument; where to go on, none at the end.
    fn command(&self, from: Place, tell: &mut dyn FnMut(&[&[u8]])) -> Option<Place>;
    /// Small and large ones in each of its forms, for the tests that every type has to pass.
    #[cfg(test)]
    fn samples(rules: &Rules) -> Vec<Self>;
}

/// A value on its way from an RDB.
pub trait Load {
    /// Reads the next part; the value, if that was the last.
    ///
    /// # Errors
    /// [`Stop::Incomplete`] if not all of the part is there: then nothing was done.
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<Option<Value>, Stop>;
}

/// A type among those of [`Value`].
pub trait Held: Face {
    /// The value, if it is of this type.
    fn of(value: &Value) -> Option<&Self>;
    /// The same, to change it.
    fn of_mut(value: &mut Value) -> Option<&mut Self>;
}

/// Makes [`Value`] and [`Thresholds`] from one row for each type: its variant, its struct, its file.
macro_rules! types {
    ($($(#[$doc:meta])* $name:ident($type:ident), in $file:ident;)*) => {
        $(pub use $file::$type;)*

        /// From which size on values are kept in other forms, each type's under the name of its file. Filled by the options.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct Thresholds {
            $(#[doc = concat!("Those of `values::", stringify!($file), "`.")] pub $file: <$type as Face>::Thresholds,)*
        }

        impl Thresholds {
            /// Redis' own.
            pub const SHIPPED: Self = Self { $($file: <$type as Face>::SHIPPED,)* };
        }

        /// What a key holds.
        #[derive(Clone, Debug)]
        pub enum Value {
            $($(#[$doc])* $name($type),)*
        }

        impl Value {
            /// The names that TYPE answers.
            pub const NAMES: &'static [&'static str] = &[$(<$type as Face>::NAME),*];
            /// The numbers of each type's forms in RDBs.
            const FORMS: &'static [&'static [u8]] = &[$(<$type as Face>::RDB),*];

            /// See [`Face::NAME`].
            pub fn type_name(&self) -> &'static str {
                match self { $(Self::$name(_) => <$type as Face>::NAME,)* }
            }

            /// See [`Face::encoding`].
            pub fn encoding(&self) -> &'static str {
                match self { $(Self::$name(value) => value.encoding(),)* }
            }

            /// See [`Face::cost`].
            pub fn cost(&self) -> usize {
                match self { $(Self::$name(value) => value.cost(),)* }
            }

            /// See [`Face::rdb_form`].
            pub fn rdb_form(&self) -> u8 {
                match self { $(Self::$name(value) => value.rdb_form(),)* }
            }

            /// See [`Face::walk`].
            pub fn walk(&self, from: Place, parts: Parts, budget: usize, tell: &mut dyn FnMut(Piece<'_>)) -> Option<Place> {
                match self { $(Self::$name(value) => value.walk(from, parts, budget, tell),)* }
            }

            /// See [`Face::save`].
            pub fn save(&self, from: Place, out: &mut Output<'_>) -> Option<Place> {
                match self { $(Self::$name(value) => value.save(from, out),)* }
            }

            /// See [`Face::command`].
            pub fn command(&self, from: Place, tell: &mut dyn FnMut(&[&[u8]])) -> Option<Place> {
                match self { $(Self::$name(value) => value.command(from, tell),)* }
            }

            /// See [`Face::samples`]: those of all types.
            #[cfg(test)]
            pub fn samples(rules: &Rules) -> Vec<Self> {
                [$(<$type as Face>::samples(rules).into_iter().map(Self::from).collect::<Vec<_>>()),*].concat()
            }

            /// Whether there is a type with this form in RDBs.
            pub fn has_form(form: u8) -> bool {
                Self::FORMS.iter().any(|forms| forms.contains(&form))
            }

            /// See [`Face::load`]; none if there is no type with this form.
            pub fn load(form: u8, rules: &Rules) -> Option<Box<dyn Load>> {
                $(if <$type as Face>::RDB.contains(&form) {
                    return Some(<$type as Face>::load(form, rules));
                })*
                None
            }
        }

        $(
            impl Held for $type {
                fn of(value: &Value) -> Option<&Self> {
                    if let Value::$name(value) = value { Some(value) } else { None }
                }

                fn of_mut(value: &mut Value) -> Option<&mut Self> {
                    if let Value::$name(value) = value { Some(value) } else { None }
                }
            }

            impl From<$type> for Value {
                fn from(value: $type) -> Self {
                    Self::$name(value)
                }
            }
        )*
    };
}

types! {
    /// Bytes.
    String(Text), in string;
    /// Fields, each with a value.
    Hash(Hash), in hash;
}

/// A value as it is read.
#[derive(Clone, Copy, Debug)]
pub enum View<'a> {
    /// A string that lies with its key.
    Bytes(&'a [u8]),
    /// Any other.
    Value(&'a Value),
}

impl<'a> View<'a> {
    /// It as a string.
    ///
    /// # Errors
    /// It is none.
    pub fn string(self) -> Result<Str<'a>, WrongType> {
        match self {
            Self::Bytes(bytes) => Ok(Str::Short(bytes)),
            Self::Value(value) => Text::of(value).map(Text::read).ok_or(WrongType),
        }
    }

    /// It, if it is of this type.
    ///
    /// # Errors
    /// It is of another.
    pub fn of<T: Held>(self) -> Result<&'a T, WrongType> {
        match self {
            Self::Bytes(_) => Err(WrongType),
            Self::Value(value) => T::of(value).ok_or(WrongType),
        }
    }

    /// See [`Face::NAME`].
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Bytes(_) => Text::NAME,
            Self::Value(value) => value.type_name(),
        }
    }

    /// See [`Face::encoding`].
    pub fn encoding(self) -> &'static str {
        match self {
            Self::Bytes(bytes) => string::encoding(bytes),
            Self::Value(value) => value.encoding(),
        }
    }

    /// Memory that it takes, in bytes.
    pub fn cost(self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Value(value) => value.cost(),
        }
    }

    /// The same as a value of its own.
    pub fn to_value(self, rules: &Rules) -> Value {
        match self {
            Self::Bytes(bytes) => Text::of_buffer(bytes.to_vec(), rules).into(),
            Self::Value(value) => value.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
