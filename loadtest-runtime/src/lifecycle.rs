//! The life of a load test: setup, iterations, teardown, with the user's types checked and then erased.
//!
//! The main type is [`Scenario`], what the engine runs. [`builder`] makes one from the user's functions;
//! the value that `setup` returns fixes the type that the other two are called with, so that a mistake is
//! an error of the compiler at the user's own types. Nothing here decides when anything runs.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::Error;
use crate::setup::Setup;
use crate::vu::{self, Vu};

/// A future that stays on its thread.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What `setup` returned.
pub type Shared = Arc<dyn Any + Send + Sync>;

/// A load test with its types erased.
pub trait Scenario: Send + Sync {
    /// Runs `setup`; the value is for [`Scenario::virtual_user`] and [`Scenario::teardown`] of the same
    /// scenario.
    fn setup<'a>(&'a self, setup: Setup) -> LocalFuture<'a, Result<Shared, Error>>;

    /// The whole life of one virtual user. It is one boxed future, so that an iteration needs no
    /// allocation.
    fn virtual_user(&self, vu: Vu, data: Shared) -> LocalFuture<'static, ()>;

    /// Runs `teardown`.
    fn teardown<'a>(&'a self, data: &'a Shared) -> LocalFuture<'a, Result<(), Error>>;
}

impl fmt::Debug for dyn Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scenario")
    }
}

/// The first step of [`builder`].
#[derive(Debug)]
pub struct Builder;

/// Starts a scenario. The steps are apart so that each is checked with the types that those before it
/// fixed.
pub fn builder() -> Builder {
    Builder
}

impl Builder {
    /// What comes before the load; `T` is shared with every virtual user.
    pub fn setup<T, S: AsyncFn(Setup) -> Result<T, Error>>(self, setup: S) -> WithSetup<T, S> {
        WithSetup { setup, data: PhantomData }
    }
}

/// The second step of [`builder`].
#[derive(Debug)]
pub struct WithSetup<T, S> {
    setup: S,
    data: PhantomData<fn() -> T>,
}

impl<T, S> WithSetup<T, S> {
    /// What a virtual user does again and again.
    pub fn iterate<F>(self, iterate: F) -> WithIteration<T, S, F>
    where
        F: AsyncFn(&mut Vu, &T) -> Result<(), Error>,
    {
        WithIteration { setup: self.setup, iterate, data: PhantomData }
    }
}

/// The third step of [`builder`].
#[derive(Debug)]
pub struct WithIteration<T, S, F> {
    setup: S,
    iterate: F,
    data: PhantomData<fn() -> T>,
}

impl<T, S, F> WithIteration<T, S, F> {
    /// What comes after the load. What must hold for threads is asked for here alone, so that it is told
    /// once.
    pub fn teardown<D>(self, teardown: D) -> Box<dyn Scenario>
    where
        T: Any + Send + Sync,
        S: AsyncFn(Setup) -> Result<T, Error> + Send + Sync + 'static,
        F: AsyncFn(&mut Vu, &T) -> Result<(), Error> + Copy + Send + Sync + 'static,
        D: AsyncFn(&T) -> Result<(), Error> + Send + Sync + 'static,
    {
        Box::new(Typed { setup: self.setup, iterate: self.iterate, teardown, data: PhantomData })
    }
}

struct Typed<T, S, F, D> {
    setup: S,
    iterate: F,
    teardown: D,
    data: PhantomData<fn() -> T>,
}

impl<T, S, F, D> Scenario for Typed<T, S, F, D>
where
    T: Any + Send + Sync,
    S: AsyncFn(Setup) -> Result<T, Error> + Send + Sync + 'static,
    F: AsyncFn(&mut Vu, &T) -> Result<(), Error> + Copy + Send + Sync + 'static,
    D: AsyncFn(&T) -> Result<(), Error> + Send + Sync + 'static,
{
    fn setup<'a>(&'a self, setup: Setup) -> LocalFuture<'a, Result<Shared, Error>> {
        Box::pin(async move {
            let data: Shared = Arc::new((self.setup)(setup).await?);
            Ok(data)
        })
    }

    fn virtual_user(&self, vu: Vu, data: Shared) -> LocalFuture<'static, ()> {
        let iterate = self.iterate;
        Box::pin(async move {
            let data = typed::<T>(&data);
            vu::run(vu, async |vu: &mut Vu| iterate(vu, data).await).await;
        })
    }

    fn teardown<'a>(&'a self, data: &'a Shared) -> LocalFuture<'a, Result<(), Error>> {
        Box::pin(async move { (self.teardown)(typed::<T>(data)).await })
    }
}

fn typed<T: Any>(data: &Shared) -> &T {
    match data.downcast_ref() {
        Some(data) => data,
        None => unreachable!("a scenario is given what its own setup returned"),
    }
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

/// What a `setup` returned: a `Result` is taken apart, everything else is the value itself.
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

/// What a load test or a `teardown` may return.
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
