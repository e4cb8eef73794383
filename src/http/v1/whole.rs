//! Whole numbers in bodies: those that every client can tell from their neighbours, also when written as `7.0`, which is
//! whole in JSON.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AnyOfBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::{Number, PartialSchema, ToSchema};

/// The largest whole number that JavaScript can tell from its neighbours: 2^53 - 1.
pub(super) const WHOLE_MAX: u64 = (1 << 53) - 1;
/// The shortest life of a message, milliseconds.
const LIFETIME_MIN: u64 = 1000;

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Within<const MIN: i64, const MAX: u64>(i128);

/// A place in a conversation, a time, or a length of time, milliseconds.
pub(in crate::http) type Whole = Within<0, WHOLE_MAX>;

/// A time of a client's own clock, which may be anything, milliseconds.
pub(super) type Moment = Within<{ -(WHOLE_MAX as i64) }, WHOLE_MAX>;

impl<const MIN: i64, const MAX: u64> Within<MIN, MAX> {
    /// The number, where none below 0 is allowed.
    pub(in crate::http) fn get(self) -> u64 {
        u64::try_from(self.0).unwrap_or_default()
    }

    /// The number, where it may be below 0.
    pub(super) fn signed(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

impl<'de, const MIN: i64, const MAX: u64> Deserialize<'de> for Within<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visit<const MIN: i64, const MAX: u64>;

        impl<const MIN: i64, const MAX: u64> Visit<MIN, MAX> {
            fn check<E: Error>(&self, number: i128) -> Result<Within<MIN, MAX>, E> {
                if (i128::from(MIN)..=i128::from(MAX)).contains(&number) {
                    return Ok(Within(number));
                }
                Err(E::custom(format!(
                    "{number} is not a whole number from {MIN} to {MAX}"
                )))
            }
        }

        impl<const MIN: i64, const MAX: u64> Visitor<'_> for Visit<MIN, MAX> {
            type Value = Within<MIN, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from {MIN} to {MAX}")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                self.check(number.into())
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                self.check(number.into())
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
                if number.fract() != 0.0 {
                    return Err(E::invalid_value(Unexpected::Float(number), &self));
                }
                // What is too large for the type stays too large for the bounds.
                self.check(number as i128)
            }
        }

        from.deserialize_any(Visit)
    }
}

impl<const MIN: i64, const MAX: u64> ToSchema for Within<MIN, MAX> {}

impl<const MIN: i64, const MAX: u64> PartialSchema for Within<MIN, MAX> {
    fn schema() -> RefOr<Schema> {
        within(Number::Int(MIN as isize), MAX).into()
    }
}

/// How long messages live, milliseconds: for ever, or not too short.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetime(pub(super) u64);

impl<'de> Deserialize<'de> for Lifetime {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Lifetime, D::Error> {
        let ms = Whole::deserialize(from)?.get();
        if (1..LIFETIME_MIN).contains(&ms) {
            let msg = format!("{ms} ms is too short: 0, for ever, or at least {LIFETIME_MIN}");
            return Err(D::Error::custom(msg));
        }
        Ok(Lifetime(ms))
    }
}

impl ToSchema for Lifetime {}

impl PartialSchema for Lifetime {
    fn schema() -> RefOr<Schema> {
        let lifetimes = AnyOfBuilder::new()
            .item(within(Number::UInt(0), 0))
            .item(within(Number::UInt(LIFETIME_MIN as usize), WHOLE_MAX));
        Schema::AnyOf(lifetimes.build()).into()
    }
}

/// How a whole number from one bound to the other is described.
pub(super) fn within(least: Number, most: u64) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::Integer))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(least))
        .maximum(Some(Number::UInt(most as usize)))
}
