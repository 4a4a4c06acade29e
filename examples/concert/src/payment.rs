//! Paying for a reserved seat.
//!
//! [`Accounts`] holds what users have, [`Receipt`] is what a payment returns. A payment is idempotent: the
//! same reservation gives the same receipt and is charged once, also when two payments race. It refuses
//! to charge for a seat that it cannot hand over: charge and sale happen under the hall's lock.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::Concert;
use crate::error::{ApiError, Body};
use crate::queue::Admitted;
use crate::reservation::ReservationId;
use crate::seats::{self, Payable};
use crate::signing::RECEIPT_ROUNDS;
use crate::sync::{lock, read, write};

/// What every user has at the start, in cents.
pub const START_BALANCE: u64 = 100_000_000;

/// The balances of all users, in cents.
#[derive(Debug)]
pub struct Accounts {
    balances: Mutex<Vec<u64>>,
}

impl Accounts {
    /// Accounts for the users 1 to `users`, each with [`START_BALANCE`].
    #[must_use]
    pub fn new(users: u32) -> Self {
        Self { balances: Mutex::new((0..users).map(|_| START_BALANCE).collect()) }
    }

    /// Takes an amount from a user's balance and returns what is left.
    ///
    /// # Errors
    ///
    /// 402 if the user has less than that, or does not exist.
    pub fn charge(&self, user: u32, amount: u64) -> Result<u64, ApiError> {
        let mut balances = lock(&self.balances);
        let balance = (user as usize).checked_sub(1).and_then(|index| balances.get_mut(index));
        let left = balance.as_ref().and_then(|balance| balance.checked_sub(amount));
        match (balance, left) {
            (Some(balance), Some(left)) => {
                *balance = left;
                Ok(left)
            }
            _ => {
                let hint = "pay as another user, or start the service anew";
                let error = format!("user {user} has less than {amount} cents");
                Err(ApiError::new(StatusCode::PAYMENT_REQUIRED, error, hint))
            }
        }
    }
}

/// The proof of a payment.
#[derive(Debug, Serialize)]
pub struct Receipt {
    /// The reservation's number, by which a repeated payment is recognised.
    #[serde(skip)]
    pub number: u64,
    /// The reservation that was paid for.
    pub reservation: String,
    /// Who paid.
    pub user: u32,
    /// How much, in cents.
    pub amount: u64,
    /// What the user had left after this payment, in cents.
    pub balance: u64,
    /// The signature of the above, for the door.
    #[serde(rename = "ticket")]
    pub proof: String,
}

/// `{"reservation": "3-120-77"}`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentRequest {
    reservation: String,
}

/// `POST /payments`: charges the user once and sells the seat.
pub(crate) async fn pay(
    Admitted { user }: Admitted,
    State(concert): State<Arc<Concert>>,
    Body(request): Body<PaymentRequest>,
) -> Result<Response, ApiError> {
    let id: ReservationId = request.reservation.parse()?;
    let hall = concert.hall(id.schedule)?;
    if let Payable::Paid(receipt) = read(hall).payable(id.seat, user, id.number, Instant::now())? {
        return Ok(Json(&*receipt).into_response());
    }

    // Signed before the lock is taken: this is the long part. It depends on nothing that may change
    // meanwhile, and what may change is looked at again below.
    let amount = seats::price(id.seat);
    let proof = concert.signer.sign(&format!("{id} {user} {amount}"), RECEIPT_ROUNDS);

    let mut hall = write(hall);
    match hall.payable(id.seat, user, id.number, Instant::now())? {
        Payable::Paid(receipt) => Ok(Json(&*receipt).into_response()),
        Payable::Due => {
            let balance = concert.accounts.charge(user, amount)?;
            let reservation = id.to_string();
            let receipt = Arc::new(Receipt { number: id.number, reservation, user, amount, balance, proof });
            hall.sell(id.seat, Arc::clone(&receipt))?;
            Ok(Json(&*receipt).into_response())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_spends_more_than_they_have() {
        let accounts = Accounts::new(2);
        assert_eq!(accounts.charge(2, START_BALANCE - 1).unwrap(), 1);
        assert_eq!(accounts.charge(2, 2).unwrap_err().status(), StatusCode::PAYMENT_REQUIRED);
        assert_eq!(accounts.charge(2, 1).unwrap(), 0);
        assert_eq!(accounts.charge(1, 0).unwrap(), START_BALANCE);
        for nobody in [0, 3, u32::MAX] {
            assert!(accounts.charge(nobody, 0).is_err());
        }
    }
}
