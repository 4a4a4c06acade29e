//! Test data: items that are read once, shared by all virtual users, and handed out in an order.
//!
//! The main type is [`Feed`]. What it hands out is decided by pure functions of where in the test the caller
//! is (see `pick`); the only state is one counter for the sequential order. A feed neither copies items nor
//! locks, and it is never changed while the load runs: data that virtual users hand on to each other is the
//! test's own business.
//!
//! ```
//! use loadtest_runtime::prelude::*;
//!
//! #[derive(serde::Deserialize)]
//! struct User {
//!     name: String,
//!     password: String,
//! }
//!
//! async fn users() -> Result<Feed<User>> {
//!     # let text = "name,password\nada,lovelace\n";
//!     # return Feed::csv_text(text);
//!     Ok(Feed::csv("data/users.csv")?.order(Order::UniquePerVu))
//! }
//!
//! #[load_test(vus = 10, duration = "30s", setup = users)]
//! async fn log_in(vu: &mut Vu, users: &Feed<User>) -> Result<()> {
//!     let user = users.next(vu).await;
//!     let form = [("name", &user.name), ("password", &user.password)];
//!     vu.http().post("http://127.0.0.1:8080/login").form(&form).send().await?;
//!     Ok(())
//! }
//! ```
//!
//! # Orders
//!
//! | order | the item of a call | exhausted |
//! |---|---|---|
//! | [`Sequential`](Order::Sequential) | the next one, over all virtual users | after as many calls as there are items |
//! | [`Random`](Order::Random) | any, the same with the same `--seed` | never |
//! | [`UniquePerVu`](Order::UniquePerVu) | that of the virtual user, in every iteration | with more virtual users than items |
//! | [`UniquePerIteration`](Order::UniquePerIteration) | that of the iteration | after as many iterations as there are items |
//!
//! [`Feed::on_exhausted`] says what happens then. Virtual users and iterations are numbered within their
//! scenario, so give each of several scenarios that must not share items a feed of its own.

#[cfg(feature = "csv")]
mod csv;
mod draws;
mod json;
mod pick;
#[cfg(feature = "csv")]
mod row;
mod source;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde::de::DeserializeOwned;

#[cfg(feature = "csv")]
pub use self::csv::Csv;
use self::pick::{Nothing, Pick};
#[cfg(feature = "csv")]
pub use self::row::Row;
use self::source::Source;
use crate::error::{Error, Result};
use crate::vu::{IterationTurn, Vu};

/// In which order a [`Feed`] hands out its items.
///
/// With shards (a load divided over several processes, N of them, this one number i from 0), the numbers of
/// virtual users and iterations are those over all shards, so what is unique is unique among all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Order {
    /// One cursor for all virtual users of this process: call number k (from 0) gets item k, with shards item
    /// i + k·N. Exhausted when that number is none of the feed's.
    #[default]
    Sequential,
    /// Any item, each with the same probability. It depends on the seed, the feed's name, scenario, virtual
    /// user, iteration and number of the draw in the iteration alone, so it is repeatable with `--seed`.
    /// Never exhausted.
    Random,
    /// Each virtual user has an item of its own for the whole run: the one with its number ([`Vu::id`] − 1).
    /// Every call gives the same. Exhausted for the virtual users beyond the number of items.
    UniquePerVu,
    /// Each iteration has an item of its own: the one with its number in the test. Several calls within one
    /// iteration give the same. Exhausted after as many iterations as there are items. `vu_init` is no
    /// iteration, so there is nothing for it in such a feed.
    UniquePerIteration,
}

/// What a [`Feed`] does when there is no item left for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Exhausted {
    /// Begin again with the first item: item number k is k modulo the number of items. With
    /// [`Order::UniquePerVu`] and [`Order::UniquePerIteration`], items are not unique any more then.
    #[default]
    StartOver,
    /// End the scenario, without its being a failure: iterations in flight may end, that of the call is
    /// interrupted.
    EndScenario,
}

/// Items for virtual users: from CSV, JSON or a vector, in memory once whatever the number of virtual users.
///
/// A clone shares the items and the cursor. A feed can be what a `setup` function returns, a part of that, or
/// a static [`LazyLock`](std::sync::LazyLock).
///
/// Paths are relative to the directory of the package, as in `cargo test`.
///
/// # Examples
/// ```
/// use loadtest_runtime::feed::{Exhausted, Feed, Order};
///
/// let cities = Feed::from_vec(vec!["Oslo", "Lima"])?.name("cities").order(Order::Random);
/// let codes: Feed<u32> = Feed::json_text("[200, 404]")?.on_exhausted(Exhausted::EndScenario);
/// assert_eq!((cities.items().len(), codes.items()), (2, &[200, 404][..]));
/// # Ok::<(), loadtest_runtime::Error>(())
/// ```
pub struct Feed<T> {
    items: Arc<Vec<T>>,
    cursor: Arc<AtomicU64>,
    name: Option<Arc<str>>,
    order: Order,
    exhausted: Exhausted,
}

impl<T> Feed<T> {
    /// A feed of these items. It has no name until [`Feed::name`] gives it one.
    ///
    /// # Errors
    /// If there are none.
    #[track_caller]
    pub fn from_vec(items: Vec<T>) -> Result<Self> {
        if items.is_empty() {
            return Err(Error::msg("a feed of no items\nhint: give Feed::from_vec at least one"));
        }
        Ok(Self::of(items, None))
    }

    /// The items in this order, from the first. The items are shared with the clones of this feed, the cursor
    /// is not: `users.clone().order(Order::Random)` is another feed over the same data.
    #[must_use]
    pub fn order(self, order: Order) -> Self {
        Self { order, cursor: Arc::default(), ..self }
    }

    /// What to do when there is no item left; without this it is [`Exhausted::StartOver`].
    #[must_use]
    pub fn on_exhausted(self, exhausted: Exhausted) -> Self {
        Self { exhausted, ..self }
    }

    /// The name that messages use; without this it is that of the file. Random draws depend on it.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// The item for this virtual user, now; see [`Order`] for which one that is. It is borrowed from the feed,
    /// not from the virtual user.
    ///
    /// With [`Exhausted::EndScenario`], the call that finds no item ends the scenario and never returns. In
    /// `vu_init` it gives up this virtual user alone.
    pub async fn next(&self, vu: &Vu) -> &T {
        match self.at(&vu.turn()) {
            Ok(item) => item,
            Err(nothing) => vu.end_scenario(self.why(nothing)).await,
        }
    }

    /// The item for this virtual user, now; `None` where [`Feed::next`] would end the scenario.
    pub fn try_next(&self, vu: &Vu) -> Option<&T> {
        self.at(&vu.turn()).ok()
    }

    /// All items, in the order of their source: to write them into a database in the setup, for example.
    pub fn items(&self) -> &[T] {
        &self.items
    }

    fn of(mut items: Vec<T>, name: Option<Arc<str>>) -> Self {
        items.shrink_to_fit();
        let (order, exhausted) = (Order::default(), Exhausted::default());
        Self { items: Arc::new(items), cursor: Arc::default(), name, order, exhausted }
    }

    /// What was read from a source, which is not empty if it could be read.
    #[track_caller]
    fn read(source: Source<'_>, read: impl FnOnce(&Source<'_>) -> Result<Vec<T>, String>) -> Result<Self> {
        match read(&source) {
            Ok(items) => Ok(Self::of(items, source.name())),
            Err(message) => Err(Error::msg(message)),
        }
    }

    fn at(&self, turn: &IterationTurn<'_>) -> Result<&T, Nothing> {
        let name = self.name.as_deref().unwrap_or_default();
        let pick = Pick { order: self.order, exhausted: self.exhausted, name, len: self.items.len() };
        let index = pick.index(turn, &self.cursor)?;
        self.items.get(index).ok_or(Nothing::Exhausted)
    }

    /// Why there is nothing, for people.
    fn why(&self, nothing: Nothing) -> String {
        let feed = match &self.name {
            Some(name) => format!("the feed `{name}`"),
            None => "the feed".to_owned(),
        };
        let len = grouped(self.items.len() as u64);
        match nothing {
            Nothing::Exhausted => format!("{feed} is exhausted after {len} items"),
            Nothing::VuWithout { id } => format!(
                "{feed} is exhausted: it has {len} items, one per virtual user, and none for virtual user {}",
                grouped(id)
            ),
            Nothing::NoIteration => format!(
                "{feed} has one item per iteration, and vu_init is none\n\
                 hint: take it in the iteration, or use Order::UniquePerVu"
            ),
        }
    }
}

impl<T: DeserializeOwned> Feed<T> {
    /// Reads a JSON file: an array, of which each element is an item, or one document per line (JSON Lines).
    /// A file whose first character is `[` is an array.
    ///
    /// # Errors
    /// If the file cannot be read, holds something else than JSON documents of this type, or no item.
    #[track_caller]
    pub fn json(path: impl AsRef<Path>) -> Result<Self> {
        Self::read(Source::File(path.as_ref()), json::read)
    }

    /// As [`Feed::json`], from text: `Feed::json_text(include_str!("users.json"))`.
    ///
    /// # Errors
    /// As [`Feed::json`].
    #[track_caller]
    pub fn json_text(text: &str) -> Result<Self> {
        Self::read(Source::Text(text), json::read)
    }

    /// Reads a CSV file with commas and a header: each row is an item. See [`Csv`] for other kinds of CSV.
    ///
    /// The item is a struct whose fields are named like columns, a map, or, by position, a tuple or
    /// `Vec<String>`. For rows as they are, [`Feed::rows`] needs the least memory.
    ///
    /// # Errors
    /// If the file cannot be read, a row is not of this type, or there is none.
    #[cfg(feature = "csv")]
    #[track_caller]
    pub fn csv(path: impl AsRef<Path>) -> Result<Self> {
        Csv::new().read(path)
    }

    /// As [`Feed::csv`], from text: `Feed::csv_text(include_str!("users.csv"))`.
    ///
    /// # Errors
    /// As [`Feed::csv`].
    #[cfg(feature = "csv")]
    #[track_caller]
    pub fn csv_text(text: &str) -> Result<Self> {
        Csv::new().parse(text)
    }
}

#[cfg(feature = "csv")]
impl Feed<Row> {
    /// Reads a CSV file with commas and a header into rows of text, without a type for them.
    ///
    /// # Errors
    /// If the file cannot be read, its rows are not equally long, or there is none.
    ///
    /// # Examples
    /// ```
    /// # use loadtest_runtime::feed::Feed;
    /// # let path = std::env::temp_dir().join(format!("people-{}.csv", std::process::id()));
    /// # std::fs::write(&path, "name,age\nAda,36\n")?;
    /// let people = Feed::rows(&path)?;
    /// assert_eq!(people.items()[0].get("name"), Some("Ada"));
    /// # std::fs::remove_file(path)?;
    /// # Ok::<(), loadtest_runtime::Error>(())
    /// ```
    #[track_caller]
    pub fn rows(path: impl AsRef<Path>) -> Result<Self> {
        Csv::new().rows(path)
    }

    /// As [`Feed::rows`], from text.
    ///
    /// # Errors
    /// As [`Feed::rows`].
    #[track_caller]
    pub fn rows_text(text: &str) -> Result<Self> {
        Csv::new().parse_rows(text)
    }
}

/// Items and cursor are shared; nothing is copied or allocated.
impl<T> Clone for Feed<T> {
    fn clone(&self) -> Self {
        Self {
            items: Arc::clone(&self.items),
            cursor: Arc::clone(&self.cursor),
            name: self.name.clone(),
            order: self.order,
            exhausted: self.exhausted,
        }
    }
}

/// Without the items: they are many, and may hold passwords.
impl<T> fmt::Debug for Feed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("name", &self.name)
            .field("items", &self.items.len())
            .field("order", &self.order)
            .field("exhausted", &self.exhausted)
            .finish_non_exhaustive()
    }
}

/// 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
