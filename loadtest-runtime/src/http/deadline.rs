//! [`Watchdog`]: a time limit that costs nothing until it is due.
//!
//! Setting a timer for each request and cancelling it again is a large part of what a request costs. So timers are
//! kept from one request to the next: one is set anew only when it has rung, then for the limit of the request
//! that runs, or when a limit is earlier than what it is set to.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::time::{Instant, Sleep, sleep_until};

/// The timers of one virtual user that are not in use. Most have one request at a time, and one timer.
#[derive(Clone, Default)]
pub(super) struct Timers(Rc<Idle>);

#[derive(Default)]
struct Idle {
    first: Cell<Option<Timer>>,
    others: RefCell<Vec<Timer>>,
}

impl Timers {
    /// Watches over a deadline of a request that begins now.
    pub(super) fn watch(&self, now: Instant, deadline: Instant) -> Watchdog {
        let timer = self.0.first.take().or_else(|| self.0.others.borrow_mut().pop());
        let is_running = timer.as_ref().is_some_and(|timer| timer.set_to > now);
        Watchdog { deadline, timer, is_running, timers: self.clone() }
    }
}

/// A timer that was set before, and whom it wakes.
struct Timer {
    sleep: Pin<Box<Sleep>>,
    set_to: Instant,
    waker: Waker,
}

/// Watches over one deadline, then gives its timer back.
pub(super) struct Watchdog {
    deadline: Instant,
    /// Needed only by who waits.
    timer: Option<Timer>,
    /// Whether the timer had not rung when the request began. It need not be looked at then: when it rings, the task
    /// is woken.
    is_running: bool,
    timers: Timers,
}

impl Watchdog {
    /// Whether the deadline is over; wakes the task when it is.
    ///
    /// A task is woken for many reasons. The first time, whether it was the timer is not even asked.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline;
        let timer = self.timer.get_or_insert_with(|| Timer {
            sleep: Box::pin(sleep_until(deadline)),
            set_to: deadline,
            // Nobody yet: the poll below says who.
            waker: Waker::noop().clone(),
        });
        let was_running = std::mem::replace(&mut self.is_running, false);
        if was_running && timer.set_to <= deadline && timer.waker.will_wake(cx.waker()) {
            return Poll::Pending;
        }
        if timer.set_to > deadline || timer.sleep.is_elapsed() {
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            timer.set_to = deadline;
            timer.sleep.as_mut().reset(deadline);
        }
        // Noted only where the timer is told of it: whoever believes to be woken and is not waits for ever.
        timer.waker.clone_from(cx.waker());
        match timer.sleep.as_mut().poll(cx) {
            // It was set to an earlier limit, which is over by now.
            Poll::Ready(()) if Instant::now() < deadline => {
                timer.set_to = deadline;
                timer.sleep.as_mut().reset(deadline);
                timer.sleep.as_mut().poll(cx)
            }
            other => other,
        }
    }

    /// The future's result, or `None` if the deadline is first.
    pub(super) async fn bound<T>(&mut self, mut future: impl Future<Output = T> + Unpin) -> Option<T> {
        poll_fn(|cx| match Pin::new(&mut future).poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => self.poll(cx).map(|()| None),
        })
        .await
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let Some(timer) = self.timer.take() else { return };
        if let Some(other) = self.timers.0.first.replace(Some(timer)) {
            self.timers.0.others.borrow_mut().push(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
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
            let mut watchdog = timers.watch(began, began + ms(limit));
            let done = watchdog.bound(pin!(tokio::time::sleep(ms(work)))).await.is_some();
            assert_eq!(done, work < limit, "{limit} {work}");
            assert_eq!(began.elapsed(), ms(work.min(limit)), "{limit} {work}");
        }
        assert!(timers.0.others.borrow().is_empty(), "one timer was enough");
        assert!(begin.elapsed() < Duration::from_secs(2));
    }

    fn watch(timers: &Timers, ms: u64) -> Watchdog {
        timers.watch(Instant::now(), Instant::now() + Duration::from_millis(ms))
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_was_late_leaves_no_timer_that_wakes_another() {
        let timers = Timers::default();
        let local = tokio::task::LocalSet::new();
        let theirs = timers.clone();
        // A timer of another task, set to what is far away.
        let other = local.run_until(async move {
            let first = tokio::task::spawn_local(async move {
                let mut watchdog = watch(&theirs, 60_000);
                let moment = tokio::time::sleep(Duration::from_millis(1));
                watchdog.bound(pin!(moment)).await.is_some()
            });
            first.await.expect("no panic")
        });
        assert!(other.await);
        // Here the limit is over at the first look, so the timer is not asked.
        let now = Instant::now();
        assert!(timers.watch(now, now).bound(std::future::pending::<()>()).await.is_none());
        // The next one here has to be woken all the same.
        let never = watch(&timers, 120_000).bound(std::future::pending::<()>()).await;
        assert!(never.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn another_task_is_woken_by_a_timer_that_was_used_before() {
        let timers = Timers::default();
        assert!(watch(&timers, 60_000).bound(std::future::ready(())).await.is_some());
        let local = tokio::task::LocalSet::new();
        let used = timers.clone();
        local
            .run_until(async move {
                let mut first = watch(&used, 5);
                assert!(first.bound(pin!(std::future::pending::<()>())).await.is_none());
                drop(first);
                let other = tokio::task::spawn_local(async move {
                    let mut second = watch(&used, 5);
                    second.bound(pin!(std::future::pending::<()>())).await.is_none()
                });
                assert!(other.await.expect("no panic"));
            })
            .await;
    }
}
