//! From a body, which may go anywhere, to the virtual user's recorder, which stays on its thread: [`Handle`].
//!
//! On the recorder's thread, where nearly everything happens, a sample is recorded at once. Elsewhere it waits in the
//! handle for somebody to come by on that thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use loadtest_core::metric::Builtin;

use super::super::sample::{OwnTags, Protocol, RecordSamples};

/// The fewest recorders that are kept before it is looked whether all of them are still in use.
const FEW: usize = 64;

static NEXT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static RECORDERS: RefCell<Recorders> = RefCell::default();
}

/// The recorders of the handles that were made on this thread.
#[derive(Default)]
struct Recorders {
    known: HashMap<u64, (Arc<Shared>, Rc<dyn RecordSamples>)>,
    look_at: usize,
}

/// A way to one recorder.
pub(super) struct Handle(Arc<Shared>);

struct Shared {
    id: u64,
    /// What was recorded on other threads.
    waiting: Mutex<Vec<Record>>,
}

/// A sample that waits.
enum Record {
    Value(OwnTags, Builtin, f64),
    Measured(OwnTags, String, Duration, bool),
    Failed(Protocol, String),
}

impl Handle {
    /// A handle whose samples go to `samples`, on this thread.
    pub(super) fn new(samples: Rc<dyn RecordSamples>) -> Self {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::new(Shared { id, waiting: Mutex::default() });
        RECORDERS.with_borrow_mut(|recorders| {
            if recorders.known.len() >= recorders.look_at {
                // Those whose last handle was dropped on another thread.
                recorders.known.retain(|_, (shared, samples)| {
                    shared.drain(&**samples);
                    Arc::strong_count(shared) > 1
                });
                recorders.look_at = FEW.max(2 * recorders.known.len());
            }
            recorders.known.insert(id, (Arc::clone(&shared), samples));
        });
        Self(shared)
    }

    pub(super) fn value(&self, tags: &OwnTags, metric: Builtin, value: f64) {
        match self.samples() {
            Some(samples) => samples.value(tags, metric, value),
            None => self.0.wait(Record::Value(tags.clone(), metric, value)),
        }
    }

    pub(super) fn measured(&self, tags: &OwnTags, name: &str, took: Duration, failed: bool) {
        match self.samples() {
            Some(samples) => samples.measured(tags, name, took, failed),
            None => self.0.wait(Record::Measured(tags.clone(), name.to_owned(), took, failed)),
        }
    }

    pub(super) fn failed(&self, protocol: Protocol, text: String) {
        match self.samples() {
            Some(samples) => samples.failed(protocol, text),
            None => self.0.wait(Record::Failed(protocol, text)),
        }
    }

    /// Records what has waited, if this is the recorder's thread.
    pub(super) fn drain(&self) {
        if let Some(samples) = self.samples() {
            self.0.drain(&*samples);
        }
    }

    fn samples(&self) -> Option<Rc<dyn RecordSamples>> {
        // A thread that ends has no recorders any more.
        let known = RECORDERS.try_with(|recorders| {
            let recorders = recorders.try_borrow().ok()?;
            recorders.known.get(&self.0.id).map(|(_, samples)| Rc::clone(samples))
        });
        known.ok().flatten()
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.drain();
        // This one, and the one that is known.
        if Arc::strong_count(&self.0) <= 2 {
            let _ = RECORDERS.try_with(|recorders| {
                let removed = recorders.try_borrow_mut().ok()?.known.remove(&self.0.id);
                removed.map(drop)
            });
        }
    }
}

impl Shared {
    fn wait(&self, record: Record) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }

    fn drain(&self, samples: &dyn RecordSamples) {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        for record in waiting {
            match record {
                Record::Value(tags, metric, value) => samples.value(&tags, metric, value),
                Record::Measured(tags, name, took, failed) => samples.measured(&tags, &name, took, failed),
                Record::Failed(protocol, text) => samples.failed(protocol, text),
            }
        }
    }
}
