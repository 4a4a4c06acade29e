//! What samples of several metrics add up to over the open interval, in one place and with one count.
//!
//! The main types are [`ExchangeSums`] and [`IterationSums`]. The metrics of an exchange always come together,
//! so that each exchange is counted once for all of them, and only what differs is added. What comes out is the
//! same as if each value had been recorded by itself. They know no tags and no thresholds.

use loadtest_core::hist::Hist;
use loadtest_core::metric::{Totals, Unit};

use super::sample::Exchange;

/// Index of a series of the aggregator.
pub(super) type Place = usize;

/// The series of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ExchangePlaces {
    pub(super) reqs: Place,
    pub(super) failed: Place,
    pub(super) duration: Place,
    pub(super) blocked: Place,
    pub(super) looking_up: Place,
    pub(super) connecting: Place,
    pub(super) tls_handshaking: Place,
    pub(super) sending: Place,
    pub(super) waiting: Place,
    pub(super) receiving: Place,
    pub(super) data_sent: Place,
    pub(super) data_received: Place,
}

/// The series of an iteration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct IterationPlaces {
    pub(super) count: Place,
    pub(super) duration: Place,
    pub(super) scheduled: Place,
    pub(super) failed: Place,
}

impl ExchangePlaces {
    /// What an exchange means: each value with its series.
    pub(super) fn each_value(&self, exchange: &Exchange, mut record: impl FnMut(Place, f64)) {
        record(self.reqs, 1.0);
        record(self.failed, flag(exchange.failed));
        record(self.duration, exchange.duration_ms());
        record(self.blocked, exchange.blocked_ms.into());
        record(self.looking_up, exchange.looking_up_ms.into());
        record(self.connecting, exchange.connecting_ms.into());
        record(self.tls_handshaking, exchange.tls_handshaking_ms.into());
        record(self.sending, exchange.sending_ms.into());
        record(self.waiting, exchange.waiting_ms.into());
        record(self.receiving, exchange.receiving_ms.into());
        record(self.data_sent, exchange.bytes_sent as f64);
        record(self.data_received, exchange.bytes_received as f64);
    }
}

impl IterationPlaces {
    /// What an iteration means: each value with its series.
    pub(super) fn each_value(
        &self,
        duration_ms: f32,
        scheduled_ms: f32,
        failed: bool,
        mut record: impl FnMut(Place, f64),
    ) {
        record(self.count, 1.0);
        record(self.duration, duration_ms.into());
        record(self.scheduled, scheduled_ms.into());
        record(self.failed, flag(failed));
    }
}

/// A truth as a value of a rate.
pub(super) fn flag(set: bool) -> f64 {
    f64::from(u8::from(set))
}

/// A trend of milliseconds, without the number of its values.
#[derive(Debug)]
struct Times {
    sum: f64,
    min: f64,
    max: f64,
    hist: Hist,
}

impl Default for Times {
    fn default() -> Self {
        Self { sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY, hist: Hist::default() }
    }
}

/// [`Unit::scale`] of milliseconds; a constant, unlike a call of another crate.
const SCALE: f64 = 1_000.0;

impl Times {
    #[inline]
    fn record(&mut self, ms: f64) {
        self.sum += ms;
        if ms < self.min {
            self.min = ms;
        }
        if ms > self.max {
            self.max = ms;
        }
        self.hist.record(ms * SCALE);
    }

    /// Takes everything out, with so many values that were 0 and are not in it yet.
    fn take(&mut self, count: u64, zeros: u64) -> Totals {
        debug_assert_eq!(SCALE, Unit::Millis.scale());
        if zeros > 0 {
            self.hist.record_n(0.0, zeros);
            self.min = self.min.min(0.0);
            self.max = self.max.max(0.0);
        }
        let taken = Totals {
            count,
            sum: self.sum,
            min: self.min,
            max: self.max,
            hist: Some(self.hist.take()),
            ..Totals::default()
        };
        *self = Self { hist: std::mem::take(&mut self.hist), ..Self::default() };
        taken
    }
}

/// A counter of bytes, without the number of its values.
#[derive(Debug)]
struct Bytes {
    sum: u64,
    min: u64,
    max: u64,
}

impl Default for Bytes {
    fn default() -> Self {
        Self { sum: 0, min: u64::MAX, max: 0 }
    }
}

impl Bytes {
    #[inline]
    fn record(&mut self, bytes: u64) {
        self.sum = self.sum.saturating_add(bytes);
        self.min = self.min.min(bytes);
        self.max = self.max.max(bytes);
    }

    fn take(&mut self, count: u64) -> Totals {
        let Self { sum, min, max } = std::mem::take(self);
        Totals { count, sum: sum as f64, min: min as f64, max: max as f64, ..Totals::default() }
    }
}

/// So many values of 1.
fn ones(count: u64) -> Totals {
    Totals { count, sum: count as f64, min: 1.0, max: 1.0, ..Totals::default() }
}

/// A rate of which so many values were true.
fn share(count: u64, set: u64) -> Totals {
    Totals { count, sum: set as f64, min: flag(set == count), max: flag(set > 0), ..Totals::default() }
}

/// What exchanges add up to that belong to the same series.
#[derive(Debug)]
pub(super) struct ExchangeSums {
    pub(super) places: ExchangePlaces,
    count: u64,
    failed: u64,
    /// Those on a connection that was there: the four phases before sending took no time.
    reused: u64,
    sent: Bytes,
    received: Bytes,
    duration: Times,
    sending: Times,
    waiting: Times,
    receiving: Times,
    blocked: Times,
    looking_up: Times,
    connecting: Times,
    tls_handshaking: Times,
}

impl ExchangeSums {
    pub(super) fn new(places: ExchangePlaces) -> Self {
        Self {
            places,
            count: 0,
            failed: 0,
            reused: 0,
            sent: Bytes::default(),
            received: Bytes::default(),
            duration: Times::default(),
            sending: Times::default(),
            waiting: Times::default(),
            receiving: Times::default(),
            blocked: Times::default(),
            looking_up: Times::default(),
            connecting: Times::default(),
            tls_handshaking: Times::default(),
        }
    }

    #[inline]
    pub(super) fn record(&mut self, exchange: &Exchange) {
        self.count += 1;
        self.failed += u64::from(exchange.failed);
        self.sent.record(exchange.bytes_sent);
        self.received.record(exchange.bytes_received);
        self.duration.record(exchange.duration_ms());
        self.sending.record(exchange.sending_ms.into());
        self.waiting.record(exchange.waiting_ms.into());
        self.receiving.record(exchange.receiving_ms.into());
        let before = exchange.blocked_ms.to_bits()
            | exchange.looking_up_ms.to_bits()
            | exchange.connecting_ms.to_bits()
            | exchange.tls_handshaking_ms.to_bits();
        if before == 0 {
            self.reused += 1;
        } else {
            self.blocked.record(exchange.blocked_ms.into());
            self.looking_up.record(exchange.looking_up_ms.into());
            self.connecting.record(exchange.connecting_ms.into());
            self.tls_handshaking.record(exchange.tls_handshaking_ms.into());
        }
    }

    /// Takes everything out: each series with what came, in which there is nothing if nothing came.
    pub(super) fn take(&mut self, mut to: impl FnMut(Place, Totals)) {
        let [count, failed, reused] =
            [&mut self.count, &mut self.failed, &mut self.reused].map(std::mem::take);
        if count == 0 {
            return;
        }
        to(self.places.reqs, ones(count));
        to(self.places.failed, share(count, failed));
        to(self.places.duration, self.duration.take(count, 0));
        to(self.places.blocked, self.blocked.take(count, reused));
        to(self.places.looking_up, self.looking_up.take(count, reused));
        to(self.places.connecting, self.connecting.take(count, reused));
        to(self.places.tls_handshaking, self.tls_handshaking.take(count, reused));
        to(self.places.sending, self.sending.take(count, 0));
        to(self.places.waiting, self.waiting.take(count, 0));
        to(self.places.receiving, self.receiving.take(count, 0));
        to(self.places.data_sent, self.sent.take(count));
        to(self.places.data_received, self.received.take(count));
    }
}

/// What iterations add up to that belong to the same series.
#[derive(Debug)]
pub(super) struct IterationSums {
    pub(super) places: IterationPlaces,
    count: u64,
    failed: u64,
    duration: Times,
    scheduled: Times,
}

impl IterationSums {
    pub(super) fn new(places: IterationPlaces) -> Self {
        Self { places, count: 0, failed: 0, duration: Times::default(), scheduled: Times::default() }
    }

    #[inline]
    pub(super) fn record(&mut self, duration_ms: f32, scheduled_ms: f32, failed: bool) {
        self.count += 1;
        self.failed += u64::from(failed);
        self.duration.record(duration_ms.into());
        self.scheduled.record(scheduled_ms.into());
    }

    /// As [`ExchangeSums::take`].
    pub(super) fn take(&mut self, mut to: impl FnMut(Place, Totals)) {
        let [count, failed] = [&mut self.count, &mut self.failed].map(std::mem::take);
        if count == 0 {
            return;
        }
        to(self.places.count, ones(count));
        to(self.places.duration, self.duration.take(count, 0));
        to(self.places.scheduled, self.scheduled.take(count, 0));
        to(self.places.failed, share(count, failed));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use loadtest_core::metric::Builtin;
    use proptest::prelude::*;

    use super::*;

    const PLACES: ExchangePlaces = ExchangePlaces {
        reqs: Builtin::HttpReqs as Place,
        failed: Builtin::HttpReqFailed as Place,
        duration: Builtin::HttpReqDuration as Place,
        blocked: Builtin::HttpReqBlocked as Place,
        looking_up: Builtin::HttpReqLookingUp as Place,
        connecting: Builtin::HttpReqConnecting as Place,
        tls_handshaking: Builtin::HttpReqTlsHandshaking as Place,
        sending: Builtin::HttpReqSending as Place,
        waiting: Builtin::HttpReqWaiting as Place,
        receiving: Builtin::HttpReqReceiving as Place,
        data_sent: Builtin::DataSent as Place,
        data_received: Builtin::DataReceived as Place,
    };

    /// Often zero, or of any magnitude, in quarters so that sums are exact in any order.
    fn ms() -> impl Strategy<Value = f32> {
        let some = (0u32..400, 0u32..12).prop_map(|(quarters, bits)| (quarters << bits) as f32 / 4.0);
        prop_oneof![Just(0.0), some]
    }

    fn exchange() -> impl Strategy<Value = Exchange> {
        (prop::array::uniform7(ms()), any::<u32>(), any::<u32>(), any::<bool>()).prop_map(
            |(
                [
                    blocked_ms,
                    looking_up_ms,
                    connecting_ms,
                    tls_handshaking_ms,
                    sending_ms,
                    waiting_ms,
                    receiving_ms,
                ],
                sent,
                received,
                failed,
            )| {
                Exchange {
                    blocked_ms,
                    looking_up_ms,
                    connecting_ms,
                    tls_handshaking_ms,
                    sending_ms,
                    waiting_ms,
                    receiving_ms,
                    bytes_sent: sent.into(),
                    bytes_received: received.into(),
                    failed,
                }
            },
        )
    }

    proptest! {
        /// In two spans, so that what is taken out leaves nothing behind.
        #[test]
        fn exchanges_add_up_to_what_their_values_would(
            spans in prop::array::uniform2(prop::collection::vec(exchange(), 0..40)),
        ) {
            let mut sums = ExchangeSums::new(PLACES);
            for span in spans {
                let mut expected: BTreeMap<Place, Totals> = BTreeMap::new();
                for exchange in &span {
                    sums.record(exchange);
                    PLACES.each_value(exchange, |place, value| {
                        let (_, kind, unit) = Builtin::ALL[place].spec();
                        expected.entry(place).or_default().record(kind, unit.scale(), value);
                    });
                }
                let mut taken = BTreeMap::new();
                sums.take(|place, totals| assert!(taken.insert(place, totals).is_none()));
                prop_assert_eq!(taken, expected);
            }
        }
    }
}
