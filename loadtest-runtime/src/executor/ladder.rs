//! A number of looping virtual users that goes up and down.
//!
//! The main type is [`Ladder`]. A level `v` means that seats `0..v` run, so whoever was started last stops
//! first. One that is to stop ends its iteration within a limit, and is taken again if the level goes up
//! meanwhile. When the level changes is the executor's business.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Order, Reins, Seats, wind_down};

#[derive(Debug, Default)]
pub(super) struct Ladder {
    level: u32,
    /// Seats that are to stop, with the offset at which their iteration is interrupted; the earliest first.
    finishing: VecDeque<(Duration, u32)>,
}

impl Ladder {
    /// Goes to a level. Iterations of those above it are interrupted at `limit`, an offset that never falls
    /// from call to call.
    pub(super) fn go_to(&mut self, seats: &Seats, level: u32, limit: Duration) {
        if level > self.level {
            // In one go: there may be a million of them.
            self.finishing.retain(|(_, seat)| *seat >= level);
        }
        for seat in self.level..level {
            seats.give(seat, Order::Run);
        }
        for seat in (level..self.level).rev() {
            seats.give(seat, Order::Finish);
            self.finishing.push_back((limit, seat));
        }
        self.level = level;
        seats.set_planned(level);
    }

    /// When the next iteration is to be interrupted.
    pub(super) fn next_limit(&self) -> Option<Duration> {
        self.finishing.front().map(|(limit, _)| *limit)
    }

    /// Interrupts the one whose limit is the next, unless it has ended.
    pub(super) fn interrupt_next(&mut self, seats: &Seats) {
        if let Some((_, seat)) = self.finishing.pop_front()
            && seats.order(seat) == Order::Finish
            && seats.is_occupied(seat)
        {
            seats.give(seat, Order::Interrupt);
        }
    }

    /// The end of the load: those that were to stop before keep their own limit, if it is earlier.
    pub(super) async fn wind_down(mut self, reins: &Reins, regular_end: Duration) {
        let seats = &reins.seats;
        seats.set_planned(0);
        seats.give_all(Order::Finish);
        let maximum = regular_end.saturating_add(reins.graceful_stop);
        while let Some(limit) = self.next_limit().filter(|limit| *limit < maximum) {
            if reins.timeline.timeout(limit, seats.idle()).await.is_some() {
                break;
            }
            self.interrupt_next(seats);
        }
        wind_down(reins, regular_end).await;
    }
}
