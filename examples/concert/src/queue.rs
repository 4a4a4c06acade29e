//! The waiting queue in front of the sale.
//!
//! [`WaitingQueue`] hands out numbers and admits them in order, at a limited rate, as virtual waiting
//! rooms do: a token is a number with its proof, and it is admitted once that number has been called. So
//! the queue is two counters, however many people wait. [`Admitted`] is the extractor that lets only
//! admitted tokens through. It refuses to remember who waits.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};

use crate::error::{ApiError, Body, Id};
use crate::signing::{self, Signer, TOKEN_ROUNDS};
use crate::sync::lock;
use crate::{Concert, USERS};

/// The request header that carries the token.
pub const TOKEN_HEADER: &str = "Token";

/// The number of tokens that were prepared ahead: it is always admitted.
const PREPARED: u64 = 0;

/// Numbers given, numbers called.
#[derive(Debug)]
pub struct WaitingQueue {
    per_second: f64,
    counters: Mutex<Counters>,
}

#[derive(Debug)]
struct Counters {
    /// The last number given.
    given: u64,
    /// The last number admitted, at most `given`.
    called: u64,
    /// How many may be admitted at once: refilled by time, at most what a fifth of a second brings.
    credit: f64,
    updated: Instant,
}

impl WaitingQueue {
    /// A queue that admits so many users per second (at least one), in order.
    #[must_use]
    pub fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second.max(1));
        let counters = Counters { given: 0, called: 0, credit: burst(per_second), updated: now };
        Self { per_second, counters: Mutex::new(counters) }
    }

    /// Takes the next number. Returns it with its position: 0 if admitted, 1 if next.
    pub fn take_number(&self, now: Instant) -> (u64, u64) {
        let mut counters = lock(&self.counters);
        counters.given += 1;
        counters.call(self.per_second, now);
        (counters.given, counters.given - counters.called)
    }

    /// How many are called before and including this number: 0 if admitted.
    pub fn position(&self, number: u64, now: Instant) -> u64 {
        let mut counters = lock(&self.counters);
        counters.call(self.per_second, now);
        number.saturating_sub(counters.called)
    }
}

impl Counters {
    /// Admits as many as a token bucket allows.
    fn call(&mut self, per_second: f64, now: Instant) {
        // Two threads may read the clock in one order and take the lock in the other.
        let passed = now.saturating_duration_since(self.updated).as_secs_f64();
        self.updated = self.updated.max(now);
        self.credit = (self.credit + passed * per_second).min(burst(per_second));
        while self.credit >= 1.0 && self.called < self.given {
            self.called += 1;
            self.credit -= 1.0;
        }
    }
}

/// The most that are admitted at one moment.
fn burst(per_second: f64) -> f64 {
    (per_second / 5.0).max(1.0)
}

/// What the service says about a token.
#[derive(Debug, Serialize)]
pub struct Ticket {
    /// The token, for the header [`TOKEN_HEADER`].
    pub token: String,
    /// Its owner.
    pub user: u32,
    /// How many are admitted before and including this one; 0 if admitted.
    pub position: u64,
    /// Whether the token opens the sale now.
    pub admitted: bool,
}

impl Ticket {
    fn new(token: String, user: u32, position: u64) -> Self {
        Self { token, user, position, admitted: position == 0 }
    }
}

/// `{"user": 7}`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    user: u32,
}

/// `POST /queue`: a place in the queue.
pub(crate) async fn join(
    State(concert): State<Arc<Concert>>,
    Body(request): Body<JoinRequest>,
) -> Result<(StatusCode, Json<Ticket>), ApiError> {
    check_user(request.user)?;
    let (number, position) = concert.queue.take_number(Instant::now());
    let token = issue(&concert.signer, number, request.user);
    Ok((StatusCode::CREATED, Json(Ticket::new(token, request.user, position))))
}

/// `GET /queue/{token}`: where this token stands.
pub(crate) async fn position(
    State(concert): State<Arc<Concert>>,
    Id(token): Id<String>,
) -> Result<Json<Ticket>, ApiError> {
    let (number, user) = verify(&concert.signer, &token)?;
    let position = concert.queue.position(number, Instant::now());
    Ok(Json(Ticket::new(token, user, position)))
}

/// `{"users": 1000}`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchRequest {
    users: u32,
}

/// Tokens for the users 1 to n, in order.
#[derive(Debug, Serialize)]
pub struct Batch {
    tokens: Vec<Ticket>,
}

/// `POST /tokens/batch`: admitted tokens for the users 1 to n, past the queue, for the setup of a load
/// test.
pub(crate) async fn prepare_tokens(
    State(concert): State<Arc<Concert>>,
    Body(request): Body<BatchRequest>,
) -> Result<(StatusCode, Json<Batch>), ApiError> {
    if request.users == 0 || request.users > USERS {
        let error = format!("cannot prepare tokens for {} users", request.users);
        let hint = format!("ask for 1 to {USERS}");
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, error, hint));
    }
    // A thousand signatures would keep a worker from its other connections.
    let signer = concert.signer.clone();
    let sign_all = move || (1..=request.users).map(|user| prepared(&signer, user)).collect();
    match tokio::task::spawn_blocking(sign_all).await {
        Ok(tokens) => Ok((StatusCode::CREATED, Json(Batch { tokens }))),
        Err(_) => {
            let (status, hint) = (StatusCode::SERVICE_UNAVAILABLE, "ask again once it runs");
            Err(ApiError::new(status, "the service is shutting down", hint))
        }
    }
}

fn prepared(signer: &Signer, user: u32) -> Ticket {
    Ticket::new(issue(signer, PREPARED, user), user, 0)
}

/// The user behind a token that the queue has admitted.
#[derive(Clone, Copy, Debug)]
pub struct Admitted {
    /// The owner of the token.
    pub user: u32,
}

impl FromRequestParts<Arc<Concert>> for Admitted {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, concert: &Arc<Concert>) -> Result<Self, ApiError> {
        let Some(token) = parts.headers.get(TOKEN_HEADER) else {
            let hint = "send the token from POST /queue in the header `Token`";
            return Err(ApiError::new(StatusCode::UNAUTHORIZED, "the request has no token", hint));
        };
        let (number, user) = verify(&concert.signer, token.to_str().unwrap_or_default())?;
        match concert.queue.position(number, Instant::now()) {
            0 => Ok(Self { user }),
            position => {
                let error = format!("the token is not admitted yet: it is number {position} in the queue");
                let hint = "ask GET /queue/{token} until `admitted` is true";
                Err(ApiError::new(StatusCode::FORBIDDEN, error, hint))
            }
        }
    }
}

fn check_user(user: u32) -> Result<(), ApiError> {
    if (1..=USERS).contains(&user) {
        return Ok(());
    }
    let hint = format!("users are numbered from 1 to {USERS}");
    Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, format!("there is no user {user}"), hint))
}

/// A token is `number-user-signature`.
fn issue(signer: &Signer, number: u64, user: u32) -> String {
    let claim = format!("{number}-{user}");
    let signature = signer.sign(&claim, TOKEN_ROUNDS);
    format!("{claim}-{signature}")
}

/// The number and the user of a token that was issued here.
fn verify(signer: &Signer, token: &str) -> Result<(u64, u32), ApiError> {
    let mut parts = token.splitn(3, '-');
    let number = parts.next().and_then(|part| part.parse().ok());
    let user = parts.next().and_then(|part| part.parse().ok());
    if let (Some(number), Some(user)) = (number, user)
        // Compared as a whole, so that `+1-7-...` is not another name of `1-7-...`.
        && signing::equal(token, &issue(signer, number, user))
    {
        return Ok((number, user));
    }
    let hint = "get a token from POST /queue; those of an earlier process are not valid";
    Err(ApiError::new(StatusCode::UNAUTHORIZED, "the token was not issued here", hint))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn admits_in_order_at_its_rate() {
        let start = Instant::now();
        let queue = WaitingQueue::new(10, start);
        // A burst of two, then one per 100 ms.
        let positions: Vec<u64> = (0..5).map(|_| queue.take_number(start).1).collect();
        assert_eq!(positions, [0, 0, 1, 2, 3]);
        assert_eq!(queue.position(3, start + Duration::from_millis(99)), 1);
        assert_eq!(queue.position(3, start + Duration::from_millis(101)), 0);
        assert_eq!(queue.position(5, start + Duration::from_millis(101)), 2);
        assert_eq!(queue.position(5, start + Duration::from_secs(1)), 0);
    }

    #[test]
    fn an_idle_hour_admits_no_more_than_one_burst() {
        let start = Instant::now();
        let queue = WaitingQueue::new(10, start);
        let later = start + Duration::from_secs(3_600);
        let admitted = (0..100).filter(|_| queue.take_number(later).1 == 0).count();
        assert_eq!(admitted, 2);
        // A clock that was read earlier by another thread gives nothing back.
        assert_eq!(queue.position(100, start), 98);
    }

    #[test]
    fn only_tokens_as_issued_are_accepted() {
        let signer = Signer::with_random_key();
        let token = issue(&signer, 12, 7);
        assert_eq!(verify(&signer, &token).unwrap(), (12, 7));
        let forged = token.replacen("12-7", "0-7", 1);
        for bad in [&forged, &format!("+{token}"), &format!("{token}0"), "", "--", "12-7", "12-7-é"] {
            assert_eq!(verify(&signer, bad).unwrap_err().status(), StatusCode::UNAUTHORIZED, "{bad}");
        }
        assert!(verify(&Signer::with_random_key(), &token).is_err());
    }
}
