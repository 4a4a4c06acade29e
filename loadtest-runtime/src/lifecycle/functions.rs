//! The functions that the keys `reset`, `setup`, `vu_init` and `teardown` take, in each of their forms, and what
//! they and a load test may return.
//!
//! The main traits are [`SetupFn`], [`VuInitFn`], [`TeardownFn`] and [`ResetFn`]; a type parameter that only
//! inference fills in tells the forms of one apart. What does not fit is told in the words of the attribute.

use std::future::Future;

use crate::error::Error;
use crate::setup::Setup;
use crate::vu::Vu;

/// A function that the key `reset` takes; `Form` tells the two forms apart.
#[diagnostic::on_unimplemented(
    message = "`reset` takes an `async fn()` or an `async fn(Setup)`, not `{Self}`",
    label = "can't be used as `reset`",
    note = "it returns `()` or `Result<(), E>`; a shell command is written in quotes"
)]
pub trait ResetFn<Form> {
    /// Calls it.
    fn call(&self, setup: Setup) -> impl Future<Output = Result<(), Error>>;
}

impl<F: AsyncFn() -> R, R: Outcome> ResetFn<fn() -> R> for F {
    async fn call(&self, _: Setup) -> Result<(), Error> {
        self().await.into_result()
    }
}

impl<F: AsyncFn(Setup) -> R, R: Outcome> ResetFn<fn(Setup) -> R> for F {
    async fn call(&self, setup: Setup) -> Result<(), Error> {
        self(setup).await.into_result()
    }
}

/// Calls a `reset`.
///
/// # Errors
/// That of the function.
pub async fn reset<Form, F: ResetFn<Form>>(reset: F, context: Setup) -> Result<(), Error> {
    reset.call(context).await
}

/// A function that the key `setup` takes; `Form` tells the two forms apart.
#[diagnostic::on_unimplemented(
    message = "`setup` takes an `async fn()` or an `async fn(Setup)`, not `{Self}`",
    label = "can't be used as `setup`",
    note = "it may return any `T`, or `Result<T, E>` with an `E` that `?` turns into `loadtest_runtime::Error`"
)]
pub trait SetupFn<Form> {
    /// What it returns.
    type Output;

    /// Calls it.
    fn call(&self, setup: Setup) -> impl Future<Output = Self::Output>;
}

impl<F: AsyncFn() -> R, R> SetupFn<fn() -> R> for F {
    type Output = R;

    async fn call(&self, _: Setup) -> R {
        self().await
    }
}

impl<F: AsyncFn(Setup) -> R, R> SetupFn<fn(Setup) -> R> for F {
    type Output = R;

    async fn call(&self, setup: Setup) -> R {
        self(setup).await
    }
}

/// Calls a `setup`.
pub async fn set_up<Form, F: SetupFn<Form>>(setup: F, context: Setup) -> F::Output {
    setup.call(context).await
}

/// A function that the key `vu_init` takes; `Form` tells the two forms apart.
#[diagnostic::on_unimplemented(
    message = "`vu_init` takes an `async fn(&mut Vu)` or an `async fn(&mut Vu, &{T})`, not `{Self}`",
    label = "can't be used as `vu_init`",
    note = "`{T}` is what `setup` returns; `vu_init` may return any `S`, or `Result<S, E>` with an `E` that `?` turns into `loadtest_runtime::Error`"
)]
pub trait VuInitFn<T, Form> {
    /// What it returns.
    type Output;

    /// Calls it.
    fn call(&self, vu: &mut Vu, data: &T) -> impl Future<Output = Self::Output>;
}

impl<F: AsyncFn(&mut Vu) -> R, R, T> VuInitFn<T, fn(&mut Vu) -> R> for F {
    type Output = R;

    async fn call(&self, vu: &mut Vu, _: &T) -> R {
        self(vu).await
    }
}

impl<F: AsyncFn(&mut Vu, &T) -> R, R, T> VuInitFn<T, fn(&mut Vu, &T) -> R> for F {
    type Output = R;

    async fn call(&self, vu: &mut Vu, data: &T) -> R {
        self(vu, data).await
    }
}

/// Calls a `vu_init`.
pub async fn init_vu<T, Form, F: VuInitFn<T, Form>>(init: F, vu: &mut Vu, data: &T) -> F::Output {
    init.call(vu, data).await
}

/// What a `setup` or `vu_init` returned: a `Result` is taken apart, everything else is the value itself.
///
/// The method of the type goes before that of the trait, and the type has one for results only.
#[derive(Debug)]
pub struct Returned<R>(pub R);

impl<T, E> Returned<Result<T, E>> {
    /// The value, or the error as [`Error`].
    ///
    /// # Errors
    /// That of the result.
    pub fn data(self) -> Result<T, Error>
    where
        E: Into<Error>,
    {
        self.0.map_err(Into::into)
    }
}

/// [`Returned::data`] for what is no `Result`.
pub trait ReturnedValue {
    /// What was returned.
    type Value;

    /// The value.
    ///
    /// # Errors
    /// None.
    fn data(self) -> Result<Self::Value, Error>;
}

impl<T> ReturnedValue for Returned<T> {
    type Value = T;

    fn data(self) -> Result<T, Error> {
        Ok(self.0)
    }
}

/// A function that the key `teardown` takes; `Form` tells the two forms apart.
#[diagnostic::on_unimplemented(
    message = "`teardown` takes an `async fn()` or an `async fn(&{T})`, not `{Self}`",
    label = "can't be used as `teardown`",
    note = "`{T}` is what `setup` returns; `teardown` returns `()` or `Result<(), E>`"
)]
pub trait TeardownFn<T, Form> {
    /// Calls it.
    fn call(&self, data: &T) -> impl Future<Output = Result<(), Error>>;
}

impl<F: AsyncFn() -> R, R: Outcome, T> TeardownFn<T, fn() -> R> for F {
    async fn call(&self, _: &T) -> Result<(), Error> {
        self().await.into_result()
    }
}

impl<F: AsyncFn(&T) -> R, R: Outcome, T> TeardownFn<T, fn(&T) -> R> for F {
    async fn call(&self, data: &T) -> Result<(), Error> {
        self(data).await.into_result()
    }
}

/// Calls a `teardown`.
///
/// # Errors
/// That of the function.
pub async fn tear_down<T, Form, F: TeardownFn<T, Form>>(teardown: F, data: &T) -> Result<(), Error> {
    teardown.call(data).await
}

/// What a load test, a `reset` or a `teardown` may return.
#[diagnostic::on_unimplemented(
    message = "a load test returns `()` or `Result<(), E>`, not `{Self}`",
    label = "not `()` or `Result<(), E>`",
    note = "`E` is any error that `?` turns into `loadtest_runtime::Error`: standard errors, `anyhow::Error`, text"
)]
pub trait Outcome {
    /// As one type.
    ///
    /// # Errors
    /// That of the function.
    fn into_result(self) -> Result<(), Error>;
}

impl Outcome for () {
    fn into_result(self) -> Result<(), Error> {
        Ok(())
    }
}

impl<E: Into<Error>> Outcome for Result<(), E> {
    #[track_caller]
    fn into_result(self) -> Result<(), Error> {
        match self {
            Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[test]
    fn an_error_of_another_type_is_placed_where_it_is_handed_over() {
        let line = line!() + 1;
        let error = Err::<(), _>(fmt::Error).into_result().expect_err("fails");
        assert_eq!((error.location().file(), error.location().line()), (file!(), line));
        let error = Err::<(), _>(Error::msg("sold out")).into_result().expect_err("fails");
        assert_eq!(error.location().line(), line + 2);
    }

    #[test]
    fn setup_may_return_a_result_or_the_value_itself() {
        assert_eq!(Returned(3).data().expect("a value"), 3);
        assert_eq!(Returned(Ok::<_, fmt::Error>(3)).data().expect("a value"), 3);
        assert!(Returned(Err::<u8, _>(fmt::Error)).data().is_err());
    }
}
