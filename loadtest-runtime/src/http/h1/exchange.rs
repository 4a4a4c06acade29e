//! [`Exchange`]: one request on one connection, up to the head of its response.
//!
//! A future by hand: the layers of an async function would spread what each virtual user holds while it waits
//! over twice as many lines of the cache, and with thousands of them that is what a request costs.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::super::transport::{Attempt, ResponseBody, Trace, TransportRequest, TransportResponse};
use super::body::Http1Body;
use super::connection::{Arrived, Connection};
use super::outgoing::Outgoing;
use super::pool::Pool;

/// A request that is under way. Dropping it closes the connection.
pub(in super::super) struct Exchange<'a> {
    /// `None` when the head has come.
    connection: Option<Box<Connection>>,
    outgoing: Outgoing<'a>,
    trace: &'a Trace,
    pool: &'a Rc<Pool>,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(
        pool: &'a Rc<Pool>,
        mut connection: Box<Connection>,
        request: &'a TransportRequest<'a>,
        trace: &'a Trace,
    ) -> Self {
        connection.begin(trace);
        Self { connection: Some(connection), outgoing: Outgoing::new(request), trace, pool }
    }
}

impl Future for Exchange<'_> {
    type Output = Result<TransportResponse, Attempt>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { connection, outgoing, trace, pool } = &mut *self;
        let Some(running) = connection else { return Poll::Pending };
        let arrived = ready!(running.poll_exchange(cx, outgoing, trace));
        let Some(connection) = connection.take() else { return Poll::Pending };
        let Arrived { head, headers, whole, .. } = arrived.map_err(|failure| Attempt {
            failure,
            nothing_written: trace.nothing_written(),
            nothing_read: trace.nothing_read(),
        })?;
        let remote_addr = connection.remote_addr();
        let unsent = outgoing.take_unsent();
        let body = match whole {
            Some(body) => {
                trace.seal_at_last_read();
                // A server that did not want the whole request gets no other on this connection.
                if unsent.is_none() {
                    pool.put(connection);
                }
                ResponseBody::Whole(body)
            }
            None => {
                let body = Http1Body::new(head.framing, connection, unsent, Rc::clone(pool));
                ResponseBody::Source(Box::new(body))
            }
        };
        let (status, version) = (head.status, head.version);
        Poll::Ready(Ok(TransportResponse { status, version, headers, remote_addr, body }))
    }
}
