//! Work on every processor.

/// How many threads work at once.
pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(2, |count| count.get().min(8))
}

/// Runs `work` once on every processor, up to eight; with one, there is no other thread.
pub(crate) fn on_every_processor(work: impl Fn() + Sync) {
    on_threads(processors(), work);
}

/// As [`on_every_processor`], with a thread more, for work that waits for a disk now and then.
pub(crate) fn on_every_processor_and_one(work: impl Fn() + Sync) {
    match processors() {
        1 => work(),
        count => on_threads(count + 1, work),
    }
}

fn on_threads(count: usize, work: impl Fn() + Sync) {
    if count == 1 {
        return work();
    }
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(&work);
        }
    });
}

/// Does two things at once; with one processor, one after the other.
pub(crate) fn both<A: Send, B>(
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B,
) -> (A, B) {
    if processors() == 1 {
        return (one(), other());
    }
    std::thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        match one.join() {
            Ok(one) => (one, other),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
