//! [`Http::batch`]: several requests side by side, as a browser loads what a page needs.
//!
//! No task is spawned: the requests belong to the iteration, and end with it. Each has a waker of its own, so that
//! a response costs one poll and not one per request of the batch; what becomes ready while others are being polled
//! waits for the next round, so that a batch leaves room for other virtual users.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::client::Http;
use super::error::Error;
use super::request::RequestBuilder;
use super::response::Response;

impl Http {
    /// Sends requests side by side and returns when all have their responses, which are in the order of the
    /// requests. As in k6, at most [`batch`](super::HttpOptions::batch) of them are under way at once (20 by
    /// default), and at most [`batch_per_host`](super::HttpOptions::batch_per_host) to one host and port (6 by
    /// default); 0 is no limit. Each request is recorded on its own, and those that wait here for others have not
    /// begun: their times don't hold the wait.
    ///
    /// A request that fails leaves the others alone. If the batch is dropped, requests under way are recorded as
    /// given up, and those that had not begun are not sent.
    ///
    /// ```
    /// # use loadtest_runtime::{Vu, Result};
    /// async fn seat_page(vu: &mut Vu) -> Result<()> {
    ///     let http = vu.http();
    ///     let base = "http://127.0.0.1:8080";
    ///     let responses = http.batch(["/seats", "/prices", "/map.svg"].map(|path| http.get(format!("{base}{path}"))));
    ///     for response in responses.await {
    ///         vu.check("part of the page is there", response?.status() == 200);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// Requests that depend on each other run side by side with `tokio::join!`, and beside the iteration with
    /// `tokio::task::spawn_local`, since the handle can be cloned; what such a task measures after its iteration has
    /// ended is discarded.
    ///
    /// ```
    /// # use loadtest_runtime::{Vu, Result};
    /// async fn buy(vu: &mut Vu) -> Result<()> {
    ///     let http = vu.http();
    ///     let warm = tokio::task::spawn_local(http.get("http://127.0.0.1:8080/map.svg").send());
    ///     let (seats, prices) = tokio::join!(
    ///         http.get("http://127.0.0.1:8080/seats").send(),
    ///         http.get("http://127.0.0.1:8080/prices").send(),
    ///     );
    ///     let (_seats, _prices, _map) = (seats?, prices?, warm.await);
    ///     Ok(())
    /// }
    /// ```
    pub async fn batch(
        &self,
        requests: impl IntoIterator<Item = RequestBuilder>,
    ) -> Vec<Result<Response, Error>> {
        let options = &self.client.options;
        let limits = Limits { all: options.batch, per_host: options.batch_per_host };
        let requests = requests.into_iter().map(|request| (request.origin(), request));
        Batch::new(requests.collect(), limits, RequestBuilder::send).await
    }
}

/// How many run at once; 0 is no limit.
#[derive(Debug, Clone, Copy)]
struct Limits {
    all: usize,
    per_host: usize,
}

/// Jobs under way, and those that wait for them. Its output are theirs, in their order.
struct Batch<J, F: Future, S> {
    start: S,
    per_host: usize,
    jobs: Vec<Option<J>>,
    /// The host of each job.
    hosts_of: Vec<usize>,
    outputs: Vec<Option<F::Output>>,
    hosts: Vec<Host>,
    /// Hosts that have jobs waiting and room for one, each by the first of its jobs.
    open: BinaryHeap<Reverse<(usize, usize)>>,
    slots: Vec<Slot<F>>,
    free: Vec<usize>,
    ready: Arc<Ready>,
    left: usize,
}

/// A host of the jobs.
#[derive(Default)]
struct Host {
    running: usize,
    waiting: VecDeque<usize>,
}

/// A place for one job under way.
struct Slot<F> {
    running: Option<(usize, Pin<Box<F>>)>,
    waker: Waker,
}

/// The slots that were woken.
#[derive(Default)]
struct Ready {
    woken: Mutex<Woken>,
}

#[derive(Default)]
struct Woken {
    slots: Vec<usize>,
    parent: Option<Waker>,
}

/// Wakes one slot.
struct SlotWaker {
    slot: usize,
    ready: Arc<Ready>,
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let parent = {
            let mut woken = self.ready.woken.lock().unwrap_or_else(PoisonError::into_inner);
            woken.slots.push(self.slot);
            woken.parent.take()
        };
        if let Some(parent) = parent {
            parent.wake();
        }
    }
}

impl<J, F: Future, S: FnMut(J) -> F> Batch<J, F, S> {
    fn new<K: Eq + Hash>(jobs: Vec<(K, J)>, limits: Limits, start: S) -> Self {
        let count = jobs.len();
        let limit = |limit: usize| if limit == 0 { usize::MAX } else { limit };
        let width = limit(limits.all).min(count);
        let mut indices = HashMap::new();
        let mut hosts: Vec<Host> = Vec::new();
        let mut hosts_of = Vec::with_capacity(count);
        let mut waiting = Vec::with_capacity(count);
        for (index, (key, job)) in jobs.into_iter().enumerate() {
            let host = *indices.entry(key).or_insert_with(|| {
                hosts.push(Host::default());
                hosts.len() - 1
            });
            hosts[host].waiting.push_back(index);
            hosts_of.push(host);
            waiting.push(Some(job));
        }
        let first = |(index, host): (usize, &Host)| Some(Reverse((*host.waiting.front()?, index)));
        let open = hosts.iter().enumerate().filter_map(first).collect();
        let ready = Arc::new(Ready::default());
        let slot = |slot| Slot {
            running: None,
            waker: Waker::from(Arc::new(SlotWaker { slot, ready: Arc::clone(&ready) })),
        };
        Self {
            start,
            per_host: limit(limits.per_host),
            jobs: waiting,
            hosts_of,
            outputs: std::iter::repeat_with(|| None).take(count).collect(),
            hosts,
            open,
            slots: (0..width).map(slot).collect(),
            free: (0..width).rev().collect(),
            ready,
            left: count,
        }
    }

    /// Starts what has room, and returns the slots where it did.
    fn fill(&mut self) -> Vec<usize> {
        let mut started = Vec::new();
        while let Some(&slot) = self.free.last()
            && let Some(Reverse((_, host_index))) = self.open.pop()
        {
            let host = &mut self.hosts[host_index];
            let Some(index) = host.waiting.pop_front() else { continue };
            host.running += 1;
            self.offer(host_index);
            let Some(job) = self.jobs[index].take() else { continue };
            self.free.pop();
            self.slots[slot].running = Some((index, Box::pin((self.start)(job))));
            started.push(slot);
        }
        started
    }

    /// Puts a host among those that can start a job, if it can. It must not be there already.
    fn offer(&mut self, host_index: usize) {
        let host = &self.hosts[host_index];
        if host.running < self.per_host
            && let Some(&first) = host.waiting.front()
        {
            self.open.push(Reverse((first, host_index)));
        }
    }

    /// Lets the job of a slot go on.
    fn advance(&mut self, slot: usize) {
        let Slot { running, waker } = &mut self.slots[slot];
        // A slot may be woken more than once, and for a job that has ended.
        let Some((index, future)) = running else { return };
        let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(waker)) else { return };
        let index = *index;
        *running = None;
        self.outputs[index] = Some(output);
        self.left -= 1;
        self.free.push(slot);
        let host_index = self.hosts_of[index];
        let host = &mut self.hosts[host_index];
        let was_full = host.running >= self.per_host;
        host.running -= 1;
        if was_full {
            self.offer(host_index);
        }
    }
}

// Jobs are pinned in boxes of their own; nothing else here is.
impl<J, F: Future, S> Unpin for Batch<J, F, S> {}

impl<J, F: Future, S: FnMut(J) -> F> Future for Batch<J, F, S> {
    type Output = Vec<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let batch = self.get_mut();
        let mut due = {
            let mut woken = batch.ready.woken.lock().unwrap_or_else(PoisonError::into_inner);
            woken.parent = Some(cx.waker().clone());
            std::mem::take(&mut woken.slots)
        };
        loop {
            for slot in due {
                batch.advance(slot);
            }
            // Jobs that have just begun are polled at once; those that wake themselves wait for the next round.
            due = batch.fill();
            if due.is_empty() {
                break;
            }
        }
        if batch.left > 0 {
            return Poll::Pending;
        }
        Poll::Ready(batch.outputs.iter_mut().filter_map(Option::take).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;
    use std::time::Duration;

    use super::*;

    /// Counts who is under way.
    #[derive(Default)]
    struct Counts {
        now: Cell<usize>,
        most: Cell<usize>,
        polls: Cell<usize>,
        begun: RefCell<Vec<usize>>,
    }

    async fn all(jobs: Vec<(&'static str, u64)>, limits: Limits) -> (Vec<usize>, Rc<Counts>) {
        let counts = Rc::new(Counts::default());
        let jobs = jobs.into_iter().enumerate().map(|(index, (host, ms))| (host, (index, ms)));
        let counting = Rc::clone(&counts);
        let outputs = Batch::new(jobs.collect(), limits, move |(index, ms)| {
            let counts = Rc::clone(&counting);
            async move {
                counts.begun.borrow_mut().push(index);
                counts.now.set(counts.now.get() + 1);
                counts.most.set(counts.most.get().max(counts.now.get()));
                let mut sleep = std::pin::pin!(tokio::time::sleep(Duration::from_millis(ms)));
                std::future::poll_fn(|cx| {
                    counts.polls.set(counts.polls.get() + 1);
                    sleep.as_mut().poll(cx)
                })
                .await;
                counts.now.set(counts.now.get() - 1);
                index
            }
        });
        (outputs.await, counts)
    }

    #[tokio::test(start_paused = true)]
    async fn outputs_are_in_order_and_limits_hold() {
        let jobs: Vec<_> = (0..40).map(|i| ("a", 100 - i)).collect();
        let (outputs, counts) = all(jobs, Limits { all: 7, per_host: 0 }).await;
        assert_eq!(outputs, (0..40).collect::<Vec<_>>());
        assert_eq!(counts.most.get(), 7);
        assert_eq!(*counts.begun.borrow(), outputs);
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_is_full_lets_others_pass() {
        let began = tokio::time::Instant::now();
        let jobs = vec![("a", 10), ("a", 10), ("a", 10), ("b", 10), ("b", 10), ("c", 10)];
        let (outputs, counts) = all(jobs, Limits { all: 4, per_host: 1 }).await;
        assert_eq!(outputs, [0, 1, 2, 3, 4, 5]);
        assert_eq!(*counts.begun.borrow(), [0, 3, 5, 1, 4, 2]);
        assert_eq!(counts.most.get(), 3);
        assert_eq!(began.elapsed().as_millis(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn each_is_polled_when_it_is_woken_and_not_else() {
        let jobs: Vec<_> = (1..=1000).map(|i| ("a", i)).collect();
        let (outputs, counts) = all(jobs, Limits { all: 0, per_host: 0 }).await;
        assert_eq!((outputs.len(), counts.most.get()), (1000, 1000));
        assert!(counts.polls.get() <= 3000, "{}", counts.polls.get());
    }

    #[tokio::test]
    async fn jobs_that_are_done_at_once_and_none_at_all() {
        let limits = Limits { all: 2, per_host: 1 };
        let (none, _) = all(Vec::new(), limits).await;
        assert!(none.is_empty());
        let jobs = (0..100).map(|i| (i % 3, i)).collect();
        let outputs = Batch::new(jobs, limits, std::future::ready).await;
        assert_eq!(outputs, (0..100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_job_that_wakes_itself_leaves_room_for_others() {
        let passed = Rc::new(Cell::new(0));
        let busy = Batch::new(vec![((), ()), ((), ())], Limits { all: 0, per_host: 0 }, |()| async {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        });
        let others = async {
            for _ in 0..5 {
                tokio::task::yield_now().await;
                passed.set(passed.get() + 1);
            }
        };
        tokio::select! {
            biased;
            _ = busy => {}
            () = others => return,
        }
        assert!(passed.get() > 0);
    }
}
