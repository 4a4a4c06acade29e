//! Reserving a seat against everybody else who wants it.
//!
//! [`ReservationId`] names a reservation by its seat and a number that is given once, so that a payment
//! finds the seat without any table of reservations. It refuses to take a seat twice: the hall's write
//! lock decides who comes first.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::Concert;
use crate::error::{ApiError, Body};
use crate::queue::Admitted;
use crate::seats;
use crate::sync::write;

/// Written `schedule-seat-number`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservationId {
    /// The schedule, from 1.
    pub schedule: u32,
    /// The seat, from 1.
    pub seat: u32,
    /// Given once.
    pub number: u64,
}

impl fmt::Display for ReservationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.schedule, self.seat, self.number)
    }
}

impl FromStr for ReservationId {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        let parse = || {
            let mut parts = text.splitn(3, '-');
            let schedule = parts.next()?.parse().ok()?;
            let seat = parts.next()?.parse().ok()?;
            let number = parts.next()?.parse().ok()?;
            Some(Self { schedule, seat, number })
        };
        parse().ok_or_else(|| {
            let hint = "send the `reservation` that POST /reservations returned";
            ApiError::new(StatusCode::NOT_FOUND, "there is no such reservation", hint)
        })
    }
}

/// `{"schedule": 3, "seat": 120}`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReservationRequest {
    schedule: u32,
    seat: u32,
}

/// A seat held for a user.
#[derive(Debug, Serialize)]
pub struct Reservation {
    reservation: String,
    schedule: u32,
    seat: u32,
    /// In cents.
    price: u64,
    /// Seconds until the seat is free again if nobody pays.
    expires_in: u64,
}

/// `POST /reservations`: 201 for one of those who want a seat, 409 for the others.
pub(crate) async fn reserve(
    Admitted { user }: Admitted,
    State(concert): State<Arc<Concert>>,
    Body(ReservationRequest { schedule, seat }): Body<ReservationRequest>,
) -> Result<(StatusCode, Json<Reservation>), ApiError> {
    let hall = concert.hall(schedule)?;
    let number = concert.next_reservation.fetch_add(1, Ordering::Relaxed);
    write(hall).reserve(seat, user, number, Instant::now(), concert.hold)?;
    let reservation = ReservationId { schedule, seat, number }.to_string();
    let (price, expires_in) = (seats::price(seat), concert.hold.as_secs());
    Ok((StatusCode::CREATED, Json(Reservation { reservation, schedule, seat, price, expires_in })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back() {
        let id = ReservationId { schedule: 24, seat: 600, number: u64::MAX };
        assert_eq!(id.to_string().parse::<ReservationId>().unwrap(), id);
        for bad in ["", "1-2", "1-2-3-4", "a-b-c", "1-2-18446744073709551616", "-1-2-3"] {
            assert_eq!(bad.parse::<ReservationId>().unwrap_err().status(), StatusCode::NOT_FOUND, "{bad}");
        }
    }
}
