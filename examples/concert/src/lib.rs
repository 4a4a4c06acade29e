//! A ticket service for concerts, complete in one process: a waiting queue, schedules, seat maps,
//! reservations under contention, payments.
//!
//! [`Concert`] is all of the service's state and [`router`] is the service itself; the binary `concert`
//! only adds a socket and flags. The latency of a request comes from work that a real service does
//! too: verifying a token, waiting for a lock, counting free seats, serialising a big seat map, signing
//! a receipt. It refuses to persist anything and to talk to any other server.
//!
//! # Why a load never runs out of seats or money
//!
//! - A reservation holds its seat for [`Settings::hold`]; unpaid, the seat is free again after that,
//!   without any sweeper: a hold in the past counts as free.
//! - A schedule is a series of performances. Once nine tenths of a performance are sold, the sale of
//!   the next one opens: its sold seats become free, holds stay, and `edition` goes up by one. The
//!   schedules start at different stages of that, so that a long load does not swing with them.
//! - So seats run out only while more than [`schedule::SCHEDULES`] × [`seats::SEATS`] (14,400) seats
//!   are held and *unpaid*: 120 new reservations per second that nobody pays for, at the default hold
//!   of two minutes.
//! - Every user starts with a balance for about 10,000 tickets.
//!
//! Memory does not grow with the number of requests: tokens carry their own proof, and a receipt
//! lives in its seat until that seat is sold again.

pub mod body;
pub mod error;
pub mod faults;
pub mod payment;
pub mod percent;
pub mod queue;
pub mod reservation;
pub mod schedule;
pub mod seats;
pub mod signing;
pub mod stats;

mod sync;

#[cfg(test)]
mod load;

use std::sync::Arc;
use std::sync::RwLock;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};

pub use percent::Percent;

/// Users are numbered from 1 to this, and exist from the start.
pub const USERS: u32 = 1_000;

/// What the binary's flags set; the defaults are the binary's.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How much longer every request takes; see [`faults`].
    pub slow_by: Percent,
    /// How many requests are answered by an injected status 500; see [`faults`].
    pub fail_rate: Percent,
    /// Decides which requests fail: equal seeds fail the same ones, counted by their order of arrival.
    pub seed: u64,
    /// How long a reservation keeps its seat unpaid.
    pub hold: Duration,
    /// How many users per second the waiting queue admits.
    pub admit_per_second: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            slow_by: Percent::ZERO,
            fail_rate: Percent::ZERO,
            seed: 1,
            hold: Duration::from_secs(120),
            admit_per_second: 500,
        }
    }
}

/// The state of the service.
#[derive(Debug)]
pub struct Concert {
    hold: Duration,
    signer: signing::Signer,
    queue: queue::WaitingQueue,
    halls: Vec<RwLock<seats::Hall>>,
    /// Numbers the reservations; each number is given once.
    next_reservation: AtomicU64,
    accounts: payment::Accounts,
    stats: stats::RequestCounts,
    faults: faults::Faults,
}

impl Concert {
    /// A service in which nothing has been sold and nobody waits.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            hold: settings.hold,
            signer: signing::Signer::with_random_key(),
            queue: queue::WaitingQueue::new(settings.admit_per_second, Instant::now()),
            halls: (0..schedule::SCHEDULES)
                .map(|hall| RwLock::new(seats::Hall::partly_sold(hall, schedule::SCHEDULES)))
                .collect(),
            next_reservation: AtomicU64::new(1),
            accounts: payment::Accounts::new(USERS),
            stats: stats::RequestCounts::default(),
            faults: faults::Faults::new(settings.slow_by, settings.fail_rate, settings.seed),
        }
    }

    /// The hall of a schedule, by its number from 1.
    fn hall(&self, schedule: u32) -> Result<&RwLock<seats::Hall>, error::ApiError> {
        usize::try_from(schedule)
            .ok()
            .and_then(|number| self.halls.get(number.checked_sub(1)?))
            .ok_or_else(|| error::ApiError::no_schedule(schedule))
    }
}

/// The whole service.
///
/// Every request is counted except those to `/health` and `/stats`, which also never fail and are never
/// slowed: they are how a load test watches the service, not part of what it measures.
pub fn router(concert: Arc<Concert>) -> Router {
    let measured = Router::new()
        .route(stats::QUEUE, post(queue::join))
        .route(stats::QUEUE_POSITION, get(queue::position))
        .route(stats::TOKEN_BATCH, post(queue::prepare_tokens))
        .route(stats::SCHEDULES, get(schedule::list))
        .route(stats::SEATS, get(seats::show))
        .route(stats::RESERVATIONS, post(reservation::reserve))
        .route(stats::PAYMENTS, post(payment::pay))
        .fallback(error::no_route)
        .method_not_allowed_fallback(error::no_method)
        // The last layer is the outermost: an injected failure is counted, and spends no time.
        .layer(from_fn_with_state(Arc::clone(&concert), faults::slow))
        .layer(from_fn_with_state(Arc::clone(&concert), faults::fail))
        .layer(from_fn(body::receive))
        .layer(from_fn_with_state(Arc::clone(&concert), stats::count));
    let watched = Router::new().route("/health", get(health)).route("/stats", get(stats::show));
    measured.merge(watched).with_state(concert)
}

async fn health() -> &'static str {
    "ok"
}

#[cfg(test)]
mod tests;
