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
mod exchange;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod heads;
mod outgoing;
mod pool;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;

pub(super) use self::codec::write_head;
use self::connection::Connection;
pub(super) use self::exchange::Exchange;
use self::pool::Pool;
use super::connect::Established;
use super::error::Failure;
use super::target::Target;
use super::transport::{Attempt, Trace, Transport, TransportRequest, TransportResponse};

/// The transport of one virtual user.
pub(super) struct Http1 {
    pool: Rc<Pool>,
}

impl Http1 {
    /// A transport without connections. With `reuse` off, each request needs one of its own.
    pub(super) fn new(reuse: bool) -> Self {
        Self { pool: Rc::new(Pool::new(reuse)) }
    }

    /// Starts a request on a connection.
    pub(super) fn begin<'a>(
        &'a self,
        connection: Box<Connection>,
        request: &'a TransportRequest<'a>,
        trace: &'a Trace,
    ) -> Exchange<'a> {
        Exchange::new(&self.pool, connection, request, trace)
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

    fn exchange<'a>(
        &'a self,
        connection: Box<Connection>,
        request: &'a TransportRequest<'a>,
        trace: &'a Trace,
    ) -> impl Future<Output = Result<TransportResponse, Attempt>> + 'a {
        self.begin(connection, request, trace)
    }
}
