//! [`Pool`]: the idle connections of one virtual user. A user talks to few origins, so they are searched one by
//! one.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::task::Context;

use super::super::target::Target;
use super::connection::Connection;

/// Idle connections kept, over all origins; of more, the one used longest ago is closed. A user that sends more
/// requests at once than this pays with new connections, and one that asks a new host each time keeps no socket
/// per host.
const IDLE: usize = 64;

/// Idle connections, in boxes: a connection stays where it is, whoever uses it.
pub(super) struct Pool {
    /// Whether connections are kept at all.
    reuse: bool,
    /// The one that was used last, which mostly is the only one.
    last: Cell<Option<Box<Connection>>>,
    /// The others, those used later at the end.
    #[expect(clippy::vec_box, reason = "a connection stays where it is, whoever uses it")]
    others: RefCell<Vec<Box<Connection>>>,
}

impl Pool {
    pub(super) fn new(reuse: bool) -> Self {
        Self { reuse, last: Cell::default(), others: RefCell::default() }
    }

    /// The connection used last that is still alive.
    ///
    /// Whether it died in the meantime is looked at here. If it dies between this look and the first byte of the
    /// response, the request is repeated by the caller.
    pub(super) fn take(&self, target: &Target, cx: &mut Context<'_>) -> Option<Box<Connection>> {
        if let Some(mut connection) = self.last.take() {
            match is_for(&connection, target) {
                true if connection.is_alive(cx) => return Some(connection),
                true => {}
                false => self.last.set(Some(connection)),
            }
        }
        let mut others = self.others.borrow_mut();
        loop {
            let at = others.iter().rposition(|connection| is_for(connection, target))?;
            let mut connection = others.remove(at);
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
        let Some(other) = self.last.replace(Some(connection)) else { return };
        let mut others = self.others.borrow_mut();
        others.push(other);
        // The one used last is counted too.
        if others.len() >= IDLE {
            others.remove(0);
        }
    }

    /// Closes them all.
    pub(super) fn clear(&self) {
        self.last.take();
        self.others.borrow_mut().clear();
    }
}

fn is_for(connection: &Connection, target: &Target) -> bool {
    std::ptr::eq(Arc::as_ptr(connection.origin()), target) || connection.origin().same_origin(target)
}
