//! The seats of one schedule.
//!
//! [`Hall`] knows which seats are free, held or sold, and makes the two changes there are: reserve and
//! sell. It is a plain structure with the time as an argument; the lock around it is the service's, and
//! so is all knowledge of tokens and money.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

use crate::Concert;
use crate::error::{ApiError, Id};
use crate::payment::Receipt;
use crate::queue::Admitted;
use crate::schedule::Schedule;
use crate::sync::read;

/// Seats per schedule, numbered from 1.
pub const SEATS: u32 = ROWS * ROW;

const ROWS: u32 = 20;
const ROW: u32 = 30;

/// With so many seats sold, the sale of the next performance opens.
const SOLD_OUT: u32 = SEATS / 10 * 9;

/// The seats of one schedule.
#[derive(Debug)]
pub struct Hall {
    edition: u32,
    sold: u32,
    seats: Vec<Seat>,
}

#[derive(Debug, Default)]
struct Seat {
    state: SeatState,
    /// Of the last sale, kept for repeated payments until the next sale.
    receipt: Option<Arc<Receipt>>,
}

#[derive(Clone, Copy, Debug, Default)]
enum SeatState {
    #[default]
    Free,
    Held(Hold),
    Sold,
}

/// A seat that somebody reserved and has not paid for yet.
#[derive(Clone, Copy, Debug)]
struct Hold {
    reservation: u64,
    user: u32,
    until: Instant,
}

/// What a payment finds.
#[derive(Debug)]
pub(crate) enum Payable {
    /// The seat is held for this user.
    Due,
    /// This reservation has been paid for.
    Paid(Arc<Receipt>),
}

impl Hall {
    /// A hall with all seats free.
    #[must_use]
    pub fn new() -> Self {
        Self { edition: 1, sold: 0, seats: (0..SEATS).map(|_| Seat::default()).collect() }
    }

    /// A hall that is on its way to the next performance: `part` of `parts` of the seats that this takes
    /// are sold, spread over the rows. With halls at all stages, the share of lost seats is the same at any
    /// time, and so is the load that a visitor makes.
    #[must_use]
    pub fn partly_sold(part: u32, parts: u32) -> Self {
        let mut hall = Self::new();
        let sold = SOLD_OUT * part.min(parts.saturating_sub(1)) / parts.max(1);
        // A step that shares no factor with the number of seats visits each once.
        for step in 0..sold {
            hall.seats[(step * 7 % SEATS) as usize].state = SeatState::Sold;
        }
        hall.sold = sold;
        hall
    }

    /// Which performance is on sale, from 1.
    #[must_use]
    pub fn edition(&self) -> u32 {
        self.edition
    }

    /// How many seats can be reserved now.
    #[must_use]
    pub fn available(&self, now: Instant) -> usize {
        self.seats.iter().filter(|seat| seat.is_available(now)).count()
    }

    /// Holds a seat for a user.
    ///
    /// # Errors
    ///
    /// 404 for a seat that does not exist, 409 if it is held or sold.
    pub fn reserve(
        &mut self,
        seat: u32,
        user: u32,
        reservation: u64,
        now: Instant,
        hold: Duration,
    ) -> Result<(), ApiError> {
        let place = self.seat_mut(seat)?;
        if !place.is_available(now) {
            let hint = "choose a seat with `available: true` from GET /schedules/{id}/seats";
            return Err(ApiError::new(StatusCode::CONFLICT, format!("seat {seat} is taken"), hint));
        }
        place.state = SeatState::Held(Hold { reservation, user, until: now + hold });
        Ok(())
    }

    /// Whether this user can pay, or has paid, for this reservation.
    pub(crate) fn payable(
        &self,
        seat: u32,
        user: u32,
        reservation: u64,
        now: Instant,
    ) -> Result<Payable, ApiError> {
        let place = self.seat(seat)?;
        let not_yours = || {
            let hint = "pay with the token that reserved the seat";
            ApiError::new(StatusCode::FORBIDDEN, "the reservation belongs to another user", hint)
        };
        if let Some(receipt) = &place.receipt
            && receipt.number == reservation
        {
            return if receipt.user == user {
                Ok(Payable::Paid(Arc::clone(receipt)))
            } else {
                Err(not_yours())
            };
        }
        match place.state {
            SeatState::Held(hold) if hold.reservation == reservation && hold.user != user => Err(not_yours()),
            SeatState::Held(hold) if hold.reservation == reservation && hold.until > now => Ok(Payable::Due),
            _ => {
                let hint = "reserve a seat and pay before the reservation expires";
                Err(ApiError::new(StatusCode::GONE, "the seat is not held by this reservation", hint))
            }
        }
    }

    /// Turns a hold into a sale. The caller has found it [`Payable::Due`] under the same lock.
    pub(crate) fn sell(&mut self, seat: u32, receipt: Arc<Receipt>) -> Result<(), ApiError> {
        let place = self.seat_mut(seat)?;
        place.state = SeatState::Sold;
        place.receipt = Some(receipt);
        self.sold += 1;
        if self.sold >= SOLD_OUT {
            self.open_next_performance();
        }
        Ok(())
    }

    fn open_next_performance(&mut self) {
        for seat in &mut self.seats {
            if matches!(seat.state, SeatState::Sold) {
                seat.state = SeatState::Free;
            }
        }
        self.sold = 0;
        self.edition += 1;
    }

    fn seat(&self, seat: u32) -> Result<&Seat, ApiError> {
        let index = seat.checked_sub(1).ok_or_else(|| ApiError::no_seat(seat))?;
        self.seats.get(index as usize).ok_or_else(|| ApiError::no_seat(seat))
    }

    fn seat_mut(&mut self, seat: u32) -> Result<&mut Seat, ApiError> {
        let index = seat.checked_sub(1).ok_or_else(|| ApiError::no_seat(seat))?;
        self.seats.get_mut(index as usize).ok_or_else(|| ApiError::no_seat(seat))
    }
}

impl Default for Hall {
    fn default() -> Self {
        Self::new()
    }
}

impl Seat {
    fn is_available(&self, now: Instant) -> bool {
        match self.state {
            SeatState::Free => true,
            SeatState::Held(hold) => hold.until <= now,
            SeatState::Sold => false,
        }
    }
}

/// What a seat costs, in cents: the front rows are dearer.
#[must_use]
pub fn price(seat: u32) -> u64 {
    match seat.saturating_sub(1) / ROW {
        0..4 => 15_000,
        4..12 => 9_500,
        _ => 6_000,
    }
}

/// A hall as a client sees it, serialised seat by seat while the lock is held.
#[derive(Serialize)]
struct SeatMap<'a> {
    schedule: Schedule,
    edition: u32,
    available: usize,
    seats: Seats<'a>,
}

struct Seats<'a> {
    hall: &'a Hall,
    now: Instant,
}

#[derive(Serialize)]
struct SeatEntry {
    seat: u32,
    row: char,
    number: u32,
    price: u64,
    available: bool,
}

impl Serialize for Seats<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.hall.seats.len()))?;
        for (seat, place) in (1..).zip(&self.hall.seats) {
            let index = seat - 1;
            list.serialize_element(&SeatEntry {
                seat,
                row: char::from_u32(u32::from('A') + index / ROW).unwrap_or('?'),
                number: 1 + index % ROW,
                price: price(seat),
                available: place.is_available(self.now),
            })?;
        }
        list.end()
    }
}

/// `GET /schedules/{id}/seats`: the seat map.
pub(crate) async fn show(
    _: Admitted,
    State(concert): State<Arc<Concert>>,
    Id(id): Id<u32>,
) -> Result<Response, ApiError> {
    let hall = read(concert.hall(id)?);
    let now = Instant::now();
    let map = SeatMap {
        schedule: Schedule::new(id),
        edition: hall.edition(),
        available: hall.available(now),
        seats: Seats { hall: &hall, now },
    };
    match serde_json::to_vec(&map) {
        Ok(body) => Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response()),
        Err(error) => {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            Err(ApiError::new(status, format!("cannot write the seat map: {error}"), "ask again"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_secs(60);

    fn receipt(number: u64, user: u32) -> Arc<Receipt> {
        Arc::new(Receipt {
            number,
            user,
            reservation: String::new(),
            amount: 1,
            balance: 1,
            proof: String::new(),
        })
    }

    #[test]
    fn a_hall_can_start_partly_sold() {
        assert_eq!(Hall::partly_sold(0, 24).available(Instant::now()), SEATS as usize);
        assert_eq!(Hall::partly_sold(12, 24).available(Instant::now()), (SEATS - SOLD_OUT / 2) as usize);
    }

    #[test]
    fn a_hold_ends_by_itself() {
        let (mut hall, now) = (Hall::new(), Instant::now());
        hall.reserve(5, 1, 100, now, HOLD).unwrap();
        assert_eq!(hall.available(now), SEATS as usize - 1);
        assert_eq!(hall.reserve(5, 2, 101, now, HOLD).unwrap_err().status(), StatusCode::CONFLICT);
        let later = now + HOLD;
        assert_eq!(hall.payable(5, 1, 100, later).unwrap_err().status(), StatusCode::GONE);
        assert_eq!(hall.available(later), SEATS as usize);
        hall.reserve(5, 2, 101, later, HOLD).unwrap();
        assert!(matches!(hall.payable(5, 2, 101, later), Ok(Payable::Due)));
        assert_eq!(hall.payable(5, 1, 101, later).unwrap_err().status(), StatusCode::FORBIDDEN);
    }

    #[test]
    fn seats_outside_the_hall_do_not_exist() {
        let (mut hall, now) = (Hall::new(), Instant::now());
        for seat in [0, SEATS + 1, u32::MAX] {
            assert_eq!(hall.reserve(seat, 1, 1, now, HOLD).unwrap_err().status(), StatusCode::NOT_FOUND);
        }
        hall.reserve(SEATS, 1, 1, now, HOLD).unwrap();
    }

    #[test]
    fn a_sold_out_performance_opens_the_next_one_and_keeps_holds_and_receipts() {
        let (mut hall, now) = (Hall::new(), Instant::now());
        hall.reserve(SEATS, 9, 9_999, now, HOLD).unwrap();
        for seat in 1..=SOLD_OUT {
            assert_eq!(hall.edition(), 1);
            hall.reserve(seat, 1, u64::from(seat), now, HOLD).unwrap();
            hall.sell(seat, receipt(u64::from(seat), 1)).unwrap();
        }
        assert_eq!(hall.edition(), 2);
        assert_eq!(hall.available(now), SEATS as usize - 1);
        assert!(matches!(hall.payable(SEATS, 9, 9_999, now), Ok(Payable::Due)));
        assert!(matches!(hall.payable(1, 1, 1, now), Ok(Payable::Paid(_))));
        assert_eq!(hall.payable(1, 2, 1, now).unwrap_err().status(), StatusCode::FORBIDDEN);
        // Sold again, the seat has forgotten its first receipt, and takes no second payment for it.
        hall.reserve(1, 2, 20_000, now, HOLD).unwrap();
        hall.sell(1, receipt(20_000, 2)).unwrap();
        assert_eq!(hall.payable(1, 1, 1, now).unwrap_err().status(), StatusCode::GONE);
    }
}
