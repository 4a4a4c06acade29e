//! [`Http1`]: HTTP/1.1 by a codec of our own, with the connections of one virtual user.
//!
//! A connection is driven by the request that uses it, inside the request's own future: no task is spawned, no
//! wake-up crosses tasks, and a request that is dropped takes its connection with it, so that a half-used one
//! never returns to the pool. Buffers belong to the thread, not to the connection: an idle connection holds no
//! memory but its socket, and a request that fits in one read and one write copies its bytes once.
//!
//! In the order of the data: [`codec`] (heads; [`heads`](self::heads) remembers them), [`outgoing`](self::outgoing) (a request on its way),
//! [`connection`](self::connection) (a response's head), [`body`](self::body), [`pool`](self::pool).

#[cfg(feature = "bench-internals")]
pub(crate) mod bench;
mod body;
mod chunked;
mod codec;
mod connection;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod heads;
mod outgoing;
mod pool;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;

use self::body::Http1Body;
pub(super) use self::codec::write_head;
use self::connection::{Arrived, Connection};
use self::outgoing::Outgoing;
use self::pool::Pool;
use super::connect::Established;
use super::error::Failure;
use super::target::Target;
use super::transport::{Attempt, ResponseBody, Trace, Transport, TransportRequest, TransportResponse};

/// The transport of one virtual user.
pub(super) struct Http1 {
    pool: Rc<Pool>,
}

impl Http1 {
    /// A transport without connections. With `reuse` off, each request needs one of its own.
    pub(super) fn new(reuse: bool) -> Self {
        Self { pool: Rc::new(Pool::new(reuse)) }
    }

    /// Closes the connections that nobody uses.
    pub(super) fn close_idle(&self) {
        self.pool.clear();
    }
}

impl Transport for Http1 {
    type Connection = Box<Connection>;

    fn idle(&self, target: &Target, cx: &mut Context<'_>) -> Option<Box<Connection>> {
        self.pool.take(target, cx)
    }

    async fn open(&self, target: &Arc<Target>, established: Established) -> Result<Box<Connection>, Failure> {
        Ok(Box::new(Connection::new(Arc::clone(target), established)))
    }

    async fn exchange(
        &self,
        mut connection: Box<Connection>,
        request: &TransportRequest<'_>,
        trace: &Trace,
    ) -> Result<TransportResponse, Attempt> {
        connection.begin(trace);
        let arrived = async {
            let mut outgoing = Outgoing::new(request).await?;
            let arrived = poll_fn(|cx| connection.poll_exchange(cx, &mut outgoing, trace)).await?;
            Ok((arrived, outgoing.unsent()))
        };
        let failed = |failure| Attempt {
            failure,
            nothing_written: trace.nothing_written(),
            nothing_read: trace.nothing_read(),
        };
        let (Arrived { head, headers, whole, .. }, unsent) = arrived.await.map_err(failed)?;
        let remote_addr = connection.remote_addr();
        let body = match whole {
            Some(body) => {
                trace.seal_at_last_read();
                // A server that did not want the whole request gets no other on this connection.
                if unsent.is_none() {
                    self.pool.put(connection);
                }
                ResponseBody::Whole(body)
            }
            None => {
                let body = Http1Body::new(head.framing, connection, unsent, Rc::clone(&self.pool));
                ResponseBody::Source(Box::new(body))
            }
        };
        Ok(TransportResponse { status: head.status, version: head.version, headers, remote_addr, body })
    }
}
