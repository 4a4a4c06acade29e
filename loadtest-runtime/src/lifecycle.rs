//! The life of a load test: reset, setup, each virtual user's own beginning, iterations, teardown, with the
//! user's types checked and then erased.
//!
//! The main type is [`Scenario`], what the engine runs. [`builder`] makes one from the user's functions;
//! the values that `setup` and `vu_init` return fix the types that the others are called with, so that a
//! mistake is an error of the compiler at the user's own types. Nothing here decides when anything runs, or
//! that scenarios share a `setup`: [`id_of`] tells which could.

mod functions;

use std::any::{Any, TypeId};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::Error;
use crate::setup::Setup;
use crate::vu::{self, Vu};

pub use self::functions::{Outcome, Returned, ReturnedValue, init_vu, reset, set_up, tear_down};
pub use self::functions::{ResetFn, SetupFn, TeardownFn, VuInitFn};

/// A future that stays on its thread.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What `setup` returned.
pub type Shared = Arc<dyn Any + Send + Sync>;

/// A load test with its types erased.
pub trait Scenario: Send + Sync {
    /// Brings the target back to where it was: the function of the key `reset`, before `setup` of each run. Does
    /// nothing if there is none.
    fn reset<'a>(&'a self, setup: Setup) -> LocalFuture<'a, Result<(), Error>>;

    /// Runs `setup`; the value is for [`Scenario::virtual_user`] and [`Scenario::teardown`] of the same
    /// scenario, or of one whose `setup` has the same [`id_of`].
    fn setup<'a>(&'a self, setup: Setup) -> LocalFuture<'a, Result<Shared, Error>>;

    /// The whole life of one virtual user: `vu_init`, then iterations. It is one boxed future, so that an
    /// iteration needs no allocation.
    fn virtual_user(&self, vu: Vu, data: Shared) -> LocalFuture<'static, ()>;

    /// Runs `teardown`.
    fn teardown<'a>(&'a self, data: &'a Shared) -> LocalFuture<'a, Result<(), Error>>;
}

impl fmt::Debug for dyn Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scenario")
    }
}

/// Which function this is, so that scenarios that name the same one can share its call. `None` of what is not
/// known by its type alone, as a pointer to a function.
pub fn id_of<F: 'static>(_: &F) -> Option<TypeId> {
    (size_of::<F>() == 0).then(TypeId::of::<F>)
}

/// The first step of [`builder`].
#[derive(Debug)]
pub struct Builder<R> {
    reset: R,
}

/// Starts a scenario. The steps are apart so that each is checked with the types that those before it
/// fixed.
pub fn builder() -> Builder<NoReset> {
    Builder { reset: NoReset }
}

impl Builder<NoReset> {
    /// What brings the target back to where it was, before each run.
    pub fn reset<R: AsyncFn(Setup) -> Result<(), Error>>(self, reset: R) -> Builder<With<R>> {
        Builder { reset: With(reset) }
    }
}

/// A scenario without a function for `reset`.
#[derive(Debug)]
pub struct NoReset;

/// A scenario with a function for `reset`.
#[derive(Debug)]
pub struct With<R>(R);

/// The function for `reset`, if there is one.
pub trait Reset {
    /// Calls it.
    fn call(&self, setup: Setup) -> impl Future<Output = Result<(), Error>>;
}

impl Reset for NoReset {
    async fn call(&self, _: Setup) -> Result<(), Error> {
        Ok(())
    }
}

impl<R: AsyncFn(Setup) -> Result<(), Error>> Reset for With<R> {
    async fn call(&self, setup: Setup) -> Result<(), Error> {
        (self.0)(setup).await
    }
}

impl<R> Builder<R> {
    /// What comes before the load; `T` is shared with every virtual user.
    pub fn setup<T, S: AsyncFn(Setup) -> Result<T, Error>>(self, setup: S) -> WithSetup<T, R, S> {
        WithSetup { reset: self.reset, setup, data: PhantomData }
    }
}

/// The second step of [`builder`].
#[derive(Debug)]
pub struct WithSetup<T, R, S> {
    reset: R,
    setup: S,
    data: PhantomData<fn() -> T>,
}

impl<T, R, S> WithSetup<T, R, S> {
    /// What a virtual user does before its first iteration; `V` is its own, from then on.
    pub fn vu_init<V, I>(self, vu_init: I) -> WithVuInit<T, V, R, S, I>
    where
        I: AsyncFn(&mut Vu, &T) -> Result<V, Error>,
    {
        WithVuInit { reset: self.reset, setup: self.setup, vu_init, values: PhantomData }
    }
}

/// The third step of [`builder`].
#[derive(Debug)]
pub struct WithVuInit<T, V, R, S, I> {
    reset: R,
    setup: S,
    vu_init: I,
    values: PhantomData<fn() -> (T, V)>,
}

impl<T, V, R, S, I> WithVuInit<T, V, R, S, I> {
    /// What a virtual user does again and again.
    pub fn iterate<F>(self, iterate: F) -> WithIteration<T, V, R, S, I, F>
    where
        F: AsyncFn(&mut Vu, &T, &mut V) -> Result<(), Error>,
    {
        let Self { reset, setup, vu_init, values } = self;
        WithIteration { reset, setup, vu_init, iterate, values }
    }
}

/// The fourth step of [`builder`].
#[derive(Debug)]
pub struct WithIteration<T, V, R, S, I, F> {
    reset: R,
    setup: S,
    vu_init: I,
    iterate: F,
    values: PhantomData<fn() -> (T, V)>,
}

impl<T, V, R, S, I, F> WithIteration<T, V, R, S, I, F> {
    /// What comes after the load. What must hold for threads is asked for here alone, so that it is told
    /// once. The virtual user's own value never leaves its thread.
    pub fn teardown<D>(self, teardown: D) -> Box<dyn Scenario>
    where
        T: Any + Send + Sync,
        V: 'static,
        R: Reset + Send + Sync + 'static,
        S: AsyncFn(Setup) -> Result<T, Error> + Send + Sync + 'static,
        I: AsyncFn(&mut Vu, &T) -> Result<V, Error> + Copy + Send + Sync + 'static,
        F: AsyncFn(&mut Vu, &T, &mut V) -> Result<(), Error> + Copy + Send + Sync + 'static,
        D: AsyncFn(&T) -> Result<(), Error> + Send + Sync + 'static,
    {
        let Self { reset, setup, vu_init, iterate, values } = self;
        Box::new(Typed { reset, setup, vu_init, iterate, teardown, values })
    }
}

struct Typed<T, V, R, S, I, F, D> {
    reset: R,
    setup: S,
    vu_init: I,
    iterate: F,
    teardown: D,
    values: PhantomData<fn() -> (T, V)>,
}

impl<T, V, R, S, I, F, D> Scenario for Typed<T, V, R, S, I, F, D>
where
    T: Any + Send + Sync,
    V: 'static,
    R: Reset + Send + Sync + 'static,
    S: AsyncFn(Setup) -> Result<T, Error> + Send + Sync + 'static,
    I: AsyncFn(&mut Vu, &T) -> Result<V, Error> + Copy + Send + Sync + 'static,
    F: AsyncFn(&mut Vu, &T, &mut V) -> Result<(), Error> + Copy + Send + Sync + 'static,
    D: AsyncFn(&T) -> Result<(), Error> + Send + Sync + 'static,
{
    fn reset<'a>(&'a self, setup: Setup) -> LocalFuture<'a, Result<(), Error>> {
        Box::pin(self.reset.call(setup))
    }

    fn setup<'a>(&'a self, setup: Setup) -> LocalFuture<'a, Result<Shared, Error>> {
        Box::pin(async move {
            let data: Shared = Arc::new((self.setup)(setup).await?);
            Ok(data)
        })
    }

    fn virtual_user(&self, vu: Vu, data: Shared) -> LocalFuture<'static, ()> {
        let (vu_init, iterate) = (self.vu_init, self.iterate);
        Box::pin(async move {
            let data = typed::<T>(&data);
            let init = async |vu: &mut Vu| vu_init(vu, data).await;
            vu::run(vu, init, async |vu: &mut Vu, state: &mut V| iterate(vu, data, state).await).await;
        })
    }

    fn teardown<'a>(&'a self, data: &'a Shared) -> LocalFuture<'a, Result<(), Error>> {
        Box::pin(async move { (self.teardown)(typed::<T>(data)).await })
    }
}

fn typed<T: Any>(data: &Shared) -> &T {
    match data.downcast_ref() {
        Some(data) => data,
        None => unreachable!("a scenario is given what its own setup, or the same function, returned"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn start() -> u8 {
        3
    }

    async fn stop() -> u8 {
        4
    }

    #[test]
    fn functions_are_told_apart_and_pointers_are_not_known() {
        assert_eq!(id_of(&start), id_of(&start));
        assert_ne!(id_of(&start), id_of(&stop));
        assert_ne!(id_of(&Vec::<u8>::new), id_of(&Vec::<u16>::new));
        let pointer: fn() -> Vec<u8> = Vec::new;
        assert_eq!(id_of(&pointer), None);
        let number = 3;
        assert_eq!(id_of(&move || number), None);
    }

    /// The chain as the attribute writes it, for each form of `vu_init`: what matters is that it compiles, with
    /// a value that may stay on its thread alone.
    #[test]
    fn a_virtual_users_value_fixes_the_type_of_the_iterations_state() {
        use super::ReturnedValue as _;

        async fn log_in(_: &mut Vu) -> std::rc::Rc<u8> {
            std::rc::Rc::new(3)
        }
        async fn log_in_with(_: &mut Vu, _: &String) -> Result<Vec<u8>, fmt::Error> {
            Ok(vec![3])
        }
        let bare = builder()
            .setup(async |_| Ok(String::new()))
            .vu_init(async |vu, data| Returned(init_vu(log_in, vu, data).await).data())
            .iterate(async |_, data, state| {
                let _: (&String, &mut std::rc::Rc<u8>) = (data, state);
                Ok(())
            })
            .teardown(async |_| Ok(()));
        let fallible = builder()
            .reset(async |_| Err(Error::msg("no database")))
            .setup(async |_| Ok(String::new()))
            .vu_init(async |vu, data| Returned(init_vu(log_in_with, vu, data).await).data())
            .iterate(async |_, _, state| {
                state.push(4);
                Ok(())
            })
            .teardown(async |_| Ok(()));
        assert_eq!(format!("{bare:?}{fallible:?}"), "ScenarioScenario");
    }
}
