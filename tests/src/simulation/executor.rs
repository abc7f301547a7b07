//! Tasks on virtual time. Of those that could go on, a seeded choice goes first; when none can, time jumps to the next
//! timer.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// A task's number.
pub type TaskId = u64;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The tasks that were woken.
#[derive(Default)]
struct Woken(Mutex<Vec<TaskId>>);

struct TaskWaker {
    task: TaskId,
    woken: Arc<Woken>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.woken
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(self.task);
    }
}

#[derive(Default)]
struct Inner {
    now_ms: u64,
    next: u64,
    timers: BinaryHeap<Reverse<(u64, u64)>>,
    sleepers: BTreeMap<u64, Waker>,
    spawned: Vec<(TaskId, Task)>,
    ended: Vec<TaskId>,
    /// The tasks, and those of them that can go on, while nobody runs them.
    resting: Resting,
}

#[derive(Default)]
struct Resting {
    tasks: BTreeMap<TaskId, (Task, Waker)>,
    ready: Vec<TaskId>,
    woken: Arc<Woken>,
}

/// A handle on the executor, for those who run on it.
#[derive(Clone, Default)]
pub struct Executor {
    inner: Rc<RefCell<Inner>>,
}

impl Executor {
    /// The virtual time, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> u64 {
        self.inner.borrow().now_ms
    }

    /// Begins at this time.
    pub fn begin_at(&self, now_ms: u64) {
        self.inner.borrow_mut().now_ms = now_ms;
    }

    /// Starts a task.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) -> TaskId {
        let mut inner = self.inner.borrow_mut();
        inner.next += 1;
        let id = inner.next;
        inner.spawned.push((id, Box::pin(task)));
        id
    }

    /// Ends a task where it stands, as a kill does.
    pub fn kill(&self, task: TaskId) {
        self.inner.borrow_mut().ended.push(task);
    }

    /// Drops every task. Tasks hold what they run on, so that nothing of a world would ever be freed without it.
    pub fn end(&self) {
        let (spawned, resting) = {
            let mut inner = self.inner.borrow_mut();
            (std::mem::take(&mut inner.spawned), std::mem::take(&mut inner.resting))
        };
        // What tasks drop may ask for the executor again.
        drop((spawned, resting));
    }

    /// Waits.
    pub async fn sleep_ms(&self, ms: u64) {
        let until_ms = self.now_ms().saturating_add(ms);
        let mut number = None;
        poll_fn(|context| {
            let mut inner = self.inner.borrow_mut();
            if inner.now_ms >= until_ms {
                return Poll::Ready(());
            }
            let number = *number.get_or_insert_with(|| {
                inner.next += 1;
                let number = inner.next;
                inner.timers.push(Reverse((until_ms, number)));
                number
            });
            inner.sleepers.insert(number, context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Runs until `done` says so or nothing is left to do. What is not done then rests until the next call.
    pub fn run(&self, random: &mut fastrand::Rng, mut done: impl FnMut() -> bool) {
        let mut resting = std::mem::take(&mut self.inner.borrow_mut().resting);
        while !done() && self.step(&mut resting, random) {}
        self.inner.borrow_mut().resting = resting;
    }

    /// Polls one task, or lets time jump; false if there is nothing to do.
    fn step(&self, resting: &mut Resting, random: &mut fastrand::Rng) -> bool {
        let Resting { tasks, ready, woken } = resting;
        let (spawned, ended) = {
            let mut inner = self.inner.borrow_mut();
            (std::mem::take(&mut inner.spawned), std::mem::take(&mut inner.ended))
        };
        for (id, task) in spawned {
            let waker = Waker::from(Arc::new(TaskWaker {
                task: id,
                woken: woken.clone(),
            }));
            tasks.insert(id, (task, waker));
            ready.push(id);
        }
        for id in ended {
            tasks.remove(&id);
        }
        ready.append(&mut woken.0.lock().unwrap_or_else(PoisonError::into_inner));
        if ready.is_empty() {
            return self.advance();
        }
        let id = ready.swap_remove(random.usize(..ready.len()));
        if let Some((task, waker)) = tasks.get_mut(&id) {
            let waker = waker.clone();
            if task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                tasks.remove(&id);
            }
        }
        true
    }

    /// Lets time jump to the next timer; false if there is none.
    fn advance(&self) -> bool {
        let mut inner = self.inner.borrow_mut();
        let Some(Reverse((until_ms, number))) = inner.timers.pop() else {
            return false;
        };
        inner.now_ms = inner.now_ms.max(until_ms);
        if let Some(waker) = inner.sleepers.remove(&number) {
            waker.wake();
        }
        true
    }
}
