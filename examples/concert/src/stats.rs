//! How many requests the service has answered.
//!
//! [`RequestCounts`] has one counter per route template. A request is counted when its response has been
//! produced, before the first byte of it is sent: a client that has read all its responses finds exactly
//! as many requests here. It refuses to count `/health` and `/stats`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Json;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use serde::Serialize;

use crate::Concert;

pub(crate) const QUEUE: &str = "/queue";
pub(crate) const QUEUE_POSITION: &str = "/queue/{token}";
pub(crate) const TOKEN_BATCH: &str = "/tokens/batch";
pub(crate) const SCHEDULES: &str = "/schedules";
pub(crate) const SEATS: &str = "/schedules/{id}/seats";
pub(crate) const RESERVATIONS: &str = "/reservations";
pub(crate) const PAYMENTS: &str = "/payments";

/// The key for requests to paths that do not exist.
const UNMATCHED: &str = "unmatched";

const KEYS: [&str; 8] =
    [QUEUE, QUEUE_POSITION, TOKEN_BATCH, SCHEDULES, SEATS, RESERVATIONS, PAYMENTS, UNMATCHED];

/// Requests by route template.
#[derive(Debug, Default)]
pub struct RequestCounts {
    by_route: [AtomicU64; KEYS.len()],
}

impl RequestCounts {
    fn add(&self, template: Option<&str>) {
        let known = KEYS.iter().position(|key| Some(*key) == template);
        // The last key, for what has no template.
        self.by_route[known.unwrap_or(KEYS.len() - 1)].fetch_add(1, Ordering::Relaxed);
    }
}

/// What `/stats` shows.
#[derive(Debug, Serialize)]
pub struct Stats {
    /// All requests, the sum of `requests`.
    total: u64,
    /// How many of them were answered by an injected 500.
    injected_failures: u64,
    /// By route template.
    requests: BTreeMap<&'static str, u64>,
}

/// Counts a request once it has its response.
pub(crate) async fn count(State(concert): State<Arc<Concert>>, request: Request, next: Next) -> Response {
    let template = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    concert.stats.add(template.as_ref().map(MatchedPath::as_str));
    response
}

/// `GET /stats`
pub(crate) async fn show(State(concert): State<Arc<Concert>>) -> Json<Stats> {
    let counts = concert.stats.by_route.iter().map(|count| count.load(Ordering::Relaxed));
    let requests: BTreeMap<_, _> = KEYS.into_iter().zip(counts).collect();
    let injected_failures = concert.faults.injected();
    // Summed from what is shown, so that the two agree also while requests come in.
    Json(Stats { total: requests.values().sum(), injected_failures, requests })
}
