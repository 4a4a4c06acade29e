//! [`Pool`]: the idle connections of one virtual user. A user talks to few origins, so they are searched one by
//! one.

use std::cell::RefCell;
use std::sync::Arc;
use std::task::Context;

use super::super::target::Target;
use super::connection::Connection;

/// Idle connections kept per origin; more are closed. A user that sends more requests at once than this pays
/// with new connections.
const IDLE_PER_ORIGIN: usize = 64;

/// Idle connections.
pub(super) struct Pool {
    /// Whether connections are kept at all.
    reuse: bool,
    /// Those used last at the end.
    // In boxes: a connection stays where it is, whoever uses it.
    idle: RefCell<Vec<Box<Connection>>>,
}

impl Pool {
    pub(super) fn new(reuse: bool) -> Self {
        Self { reuse, idle: RefCell::default() }
    }

    /// The connection used last that is still alive.
    ///
    /// Whether it died in the meantime is looked at here. If it dies between this look and the first byte of the
    /// response, the request is repeated by the caller.
    pub(super) fn take(&self, target: &Target, cx: &mut Context<'_>) -> Option<Box<Connection>> {
        let mut idle = self.idle.borrow_mut();
        loop {
            let at = idle.iter().rposition(|connection| is_for(connection, target))?;
            let mut connection = idle.remove(at);
            if connection.is_alive(cx) {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for later, if it can be used again.
    pub(super) fn put(&self, connection: Box<Connection>) {
        if !self.reuse || !connection.is_reusable() {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        // The count is taken only when there may be too many.
        let is_full = idle.len() >= IDLE_PER_ORIGIN
            && idle.iter().filter(|other| other.origin().same_origin(connection.origin())).count()
                >= IDLE_PER_ORIGIN;
        if !is_full {
            idle.push(connection);
        }
    }

    /// Closes them all.
    pub(super) fn clear(&self) {
        self.idle.borrow_mut().clear();
    }
}

fn is_for(connection: &Connection, target: &Target) -> bool {
    std::ptr::eq(Arc::as_ptr(connection.origin()), target) || connection.origin().same_origin(target)
}
