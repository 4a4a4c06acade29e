//! [`Driver`]: what moves the frames of a connection.
//!
//! On a worker that is a task of its own, so that pings are answered and a server that leaves is noticed while
//! nobody sends anything. Where no task of this thread can be had (outside of a `LocalSet`), it is the requests
//! themselves, whichever of them is polled; all of them then wait for the connection together.

use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use h2::client;

use super::watched::Watched;

type Connection = client::Connection<Watched, Bytes>;

/// What drives one connection.
pub(super) enum Driver {
    /// A task, which ends by itself when nobody needs the connection any more.
    Task,
    /// Whoever waits for it.
    Requests {
        /// `None` once it is over.
        connection: RefCell<Option<Box<Connection>>>,
        waiting: Arc<Waiting>,
    },
}

impl Driver {
    pub(super) fn new(connection: Connection) -> Self {
        if tasks_can_be_had() {
            tokio::task::spawn_local(async move {
                // What went wrong, the streams are told.
                let _ = connection.await;
            });
            return Driver::Task;
        }
        Self::by_requests(connection)
    }

    pub(super) fn by_requests(connection: Connection) -> Self {
        let connection = RefCell::new(Some(Box::new(connection)));
        Driver::Requests { connection, waiting: Arc::default() }
    }

    /// Moves what can be moved, if that is the caller's business, who is then woken when there is more.
    pub(super) fn drive(&self, cx: &mut Context<'_>) {
        let Driver::Requests { connection, waiting } = self else { return };
        let mut connection = connection.borrow_mut();
        if let Some(running) = connection.as_mut() {
            waiting.add(cx.waker());
            let waker = Waker::from(Arc::clone(waiting));
            if Pin::new(running).poll(&mut Context::from_waker(&waker)).is_ready() {
                *connection = None;
            }
        }
    }
}

/// Those who wait for the same thing.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Vec<Waker>>);

impl Waiting {
    pub(super) fn add(&self, waker: &Waker) {
        let mut wakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !wakers.iter().any(|other| other.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    pub(super) fn wake_all(&self) {
        let wakers = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }
}

/// Whether this thread runs a `LocalSet`. tokio says so only by a panic.
fn tasks_can_be_had() -> bool {
    // A program that can't unwind can't ask.
    !cfg!(panic = "abort")
        && crate::panics::watched(|| {
            catch_unwind(AssertUnwindSafe(|| drop(tokio::task::spawn_local(async {})))).is_ok()
        })
}

/// A turn that others can wait for.
pub(super) async fn until<T>(waiting: &Waiting, mut ready: impl FnMut(&mut Context<'_>) -> Option<T>) -> T {
    std::future::poll_fn(|cx| match ready(cx) {
        Some(value) => Poll::Ready(value),
        None => {
            waiting.add(cx.waker());
            Poll::Pending
        }
    })
    .await
}
