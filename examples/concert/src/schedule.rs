//! Which concerts there are, and when.
//!
//! [`Schedule`] is one concert on one date; the programme is fixed. It refuses to know about single
//! seats: those are the matter of [`crate::seats`].

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::Concert;
use crate::queue::Admitted;
use crate::seats::SEATS;
use crate::sync::read;

/// How many schedules there are, numbered from 1.
pub const SCHEDULES: u32 = 24;

const PROGRAMME: [(&str, &str); 6] = [
    ("Tin Lanterns", "Harbour Hall"),
    ("The Quiet Reactor", "Old Gasworks"),
    ("Mina & the Tides", "Harbour Hall"),
    ("String Quartet No. 404", "Chamber of Commerce"),
    ("Night Bus Choir", "Depot 9"),
    ("Anneliese Brandt", "Old Gasworks"),
];

/// A concert on one date.
#[derive(Debug, Serialize)]
pub struct Schedule {
    /// From 1.
    pub id: u32,
    /// Who plays.
    pub artist: &'static str,
    /// Where.
    pub venue: &'static str,
    /// When, as `YYYY-MM-DD`.
    pub date: String,
}

impl Schedule {
    /// The schedule with this number, from 1 to [`SCHEDULES`].
    pub(crate) fn new(id: u32) -> Self {
        let index = id.saturating_sub(1);
        let (artist, venue) = PROGRAMME[index as usize % PROGRAMME.len()];
        Self { id, artist, venue, date: format!("2031-05-{:02}", 1 + index) }
    }
}

/// A schedule and how much of it is left.
#[derive(Debug, Serialize)]
pub struct ScheduleEntry {
    #[serde(flatten)]
    schedule: Schedule,
    edition: u32,
    seats: u32,
    available: usize,
}

/// `GET /schedules`: all concerts and dates, with the seats left at this moment.
pub(crate) async fn list(_: Admitted, State(concert): State<Arc<Concert>>) -> Json<Vec<ScheduleEntry>> {
    let now = Instant::now();
    let entries = (1..=SCHEDULES).zip(&concert.halls).map(|(id, hall)| {
        let hall = read(hall);
        let (edition, available) = (hall.edition(), hall.available(now));
        ScheduleEntry { schedule: Schedule::new(id), edition, seats: SEATS, available }
    });
    Json(entries.collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_schedule_has_a_date_of_its_own() {
        let dates: HashSet<String> = (1..=SCHEDULES).map(|id| Schedule::new(id).date).collect();
        assert_eq!(dates.len(), SCHEDULES as usize);
        assert!(dates.contains("2031-05-01") && dates.contains("2031-05-24"));
    }
}
