//! [`Watchdog`]: a time limit that costs nothing until it is due.
//!
//! Setting a timer for each request and cancelling it again is a large part of what a request costs. So timers are
//! kept from one request to the next: one is set anew only when it has rung, then for the limit of the request
//! that runs, or when a limit is earlier than what it is set to.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::time::{Instant, Sleep, sleep_until};

/// The timers of one virtual user that are not in use.
#[derive(Debug, Clone, Default)]
pub(super) struct Timers(Rc<RefCell<Vec<Timer>>>);

impl Timers {
    /// Watches over a deadline.
    pub(super) fn watch(&self, deadline: Instant) -> Watchdog {
        let timer = self.0.borrow_mut().pop();
        Watchdog { deadline, timer, timers: self.clone() }
    }
}

/// A timer that was set before, and whom it wakes.
#[derive(Debug)]
struct Timer {
    sleep: Pin<Box<Sleep>>,
    waker: Waker,
}

/// Watches over one deadline, then gives its timer back.
#[derive(Debug)]
pub(super) struct Watchdog {
    deadline: Instant,
    /// Needed only by who waits.
    timer: Option<Timer>,
    timers: Timers,
}

impl Watchdog {
    /// Whether the deadline is over; wakes the task when it is.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline;
        let timer = self.timer.get_or_insert_with(|| Timer {
            sleep: Box::pin(sleep_until(deadline)),
            // Nobody yet: the first poll sets it.
            waker: Waker::noop().clone(),
        });
        let is_due = timer.sleep.is_elapsed();
        let is_early_enough = timer.sleep.deadline() <= deadline;
        if timer.waker.will_wake(cx.waker()) && is_early_enough && !is_due {
            return Poll::Pending;
        }
        timer.waker.clone_from(cx.waker());
        if is_due || !is_early_enough {
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            timer.sleep.as_mut().reset(deadline);
        }
        match timer.sleep.as_mut().poll(cx) {
            // It was set to an earlier limit, which is over by now.
            Poll::Ready(()) if Instant::now() < deadline => {
                timer.sleep.as_mut().reset(deadline);
                timer.sleep.as_mut().poll(cx)
            }
            other => other,
        }
    }

    /// The future's result, or `None` if the deadline is first.
    pub(super) async fn bound<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => self.poll(cx).map(|()| None),
        })
        .await
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.timers.0.borrow_mut().extend(self.timer.take());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_deadline_is_kept_whatever_the_timer_was_set_to() {
        let timers = Timers::default();
        let begin = Instant::now();
        let ms = Duration::from_millis;
        // Longer, shorter, and equal limits, some of which are over while the timer is set to another.
        for (limit, work) in
            [(100, 1_000), (300, 200), (50, 1_000), (500, 499), (10, 5), (400, 1_000), (20, 20_000)]
        {
            let began = Instant::now();
            let mut watchdog = timers.watch(began + ms(limit));
            let done = watchdog.bound(tokio::time::sleep(ms(work))).await.is_some();
            assert_eq!(done, work < limit, "{limit} {work}");
            assert_eq!(began.elapsed(), ms(work.min(limit)), "{limit} {work}");
        }
        assert_eq!(timers.0.borrow().len(), 1, "one timer was enough");
        assert!(begin.elapsed() < Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn another_task_is_woken_by_a_timer_that_was_used_before() {
        let timers = Timers::default();
        drop(timers.watch(Instant::now() + Duration::from_secs(60)).bound(std::future::ready(())).await);
        let local = tokio::task::LocalSet::new();
        let used = timers.clone();
        local
            .run_until(async move {
                let mut first = used.watch(Instant::now() + Duration::from_millis(5));
                assert!(first.bound(std::future::pending::<()>()).await.is_none());
                drop(first);
                let other = tokio::task::spawn_local(async move {
                    let mut second = used.watch(Instant::now() + Duration::from_millis(5));
                    second.bound(std::future::pending::<()>()).await.is_none()
                });
                assert!(other.await.expect("no panic"));
            })
            .await;
    }
}
