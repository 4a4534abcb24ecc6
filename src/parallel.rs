//! Work on all processors.
//!
//! This is a file of its own, below `host`: the pure [`crate::payload`] uses threads too, and threads
//! read nothing from the host.

use anyhow::Result;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// The most threads that work at once.
const MAX_THREADS: usize = 8;

/// The most threads whose jobs mostly wait.
const MAX_WAITING: usize = 16;

/// How many processors to use.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(2, |count| count.get().min(MAX_THREADS))
}

/// Runs `work` once on each processor, up to [`MAX_THREADS`]. On one processor, no thread is
/// started.
pub(crate) fn par_run(work: impl Fn() + Sync) {
    on_threads(processors(), work);
}

/// Runs `work` for every job, shared out among threads. Each thread creates a value with `start`,
/// passes it to its jobs, and returns it. There is one thread more than processors, because a job
/// may wait for the disk.
///
/// # Errors
/// That of the first job that fails. No further job is started then.
pub(crate) fn par_map<J: Sync, T: Send>(
    jobs: &[J],
    start: impl Fn() -> T + Sync,
    work: impl Fn(&J, &mut T) -> Result<()> + Sync,
) -> Result<Vec<T>> {
    let threads = match processors() {
        1 => 1,
        count => jobs.len().min(count + 1),
    };
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Ok(Vec::new()));
    on_threads(threads, || {
        let mut own = start();
        let mut result = Ok(());
        while result.is_ok()
            && let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed))
        {
            result = work(job, &mut own);
        }
        if result.is_err() {
            next.store(jobs.len(), Ordering::Relaxed);
        }
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        match (result, all.as_mut()) {
            (Ok(()), Ok(all)) => all.push(own),
            (Err(error), Ok(_)) => *all = Err(error),
            (_, Err(_)) => {}
        }
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` for every job, and returns the results in the order of the jobs. There are more threads
/// than processors, because these jobs mostly wait for other processes.
pub(crate) fn par_wait<J: Sync, R: Send>(jobs: &[J], work: impl Fn(&J) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Vec::new());
    on_threads(jobs.len().clamp(1, MAX_WAITING), || {
        while let Some((at, job)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            jobs.get(at).map(|job| (at, job))
        } {
            let result = work(job);
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            all.push((at, result));
        }
    });
    let mut all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    all.sort_unstable_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, result)| result).collect()
}

/// Runs `work` on `count` threads, of which this is one. Threads that cannot be started are left
/// out.
fn on_threads(count: usize, work: impl Fn() + Sync) {
    std::thread::scope(|scope| {
        for _ in 1..count {
            let _ = std::thread::Builder::new().spawn_scoped(scope, &work);
        }
        work();
    });
}

/// Runs two functions at once. They run one after the other on one processor, or if no thread can
/// be started.
pub(crate) fn join<A: Send, B>(one: impl Fn() -> A + Sync, other: impl FnOnce() -> B) -> (A, B) {
    if processors() == 1 {
        return (one(), other());
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, &one);
        let other = other();
        let one = match thread {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => one(),
        };
        (one, other)
    })
}

#[cfg(test)]
mod tests {
    use super::{par_map, par_wait};
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_job_runs_once() {
        for count in [0, 1, 2, 1000] {
            let jobs: Vec<u32> = (0..count).collect();
            let work = |job: &u32, own: &mut Vec<u32>| {
                own.push(*job);
                Ok(())
            };
            let mut done = par_map(&jobs, Vec::new, work).unwrap().concat();
            done.sort_unstable();
            assert_eq!(done, jobs);
        }
    }

    #[test]
    fn results_have_the_order_of_the_jobs() {
        for count in [0, 1, 2, 1000] {
            let jobs: Vec<u32> = (0..count).collect();
            assert_eq!(par_wait(&jobs, |job| *job), jobs);
        }
    }

    #[test]
    fn no_job_starts_after_a_failure() {
        // So many that the threads cannot run them all before one sees the failure.
        let jobs = vec![(); 50_000_000];
        let done = AtomicUsize::new(0);
        let work = |(): &(), (): &mut ()| match done.fetch_add(1, Ordering::Relaxed) {
            10 => anyhow::bail!("no"),
            _ => Ok(()),
        };
        let result = par_map(&jobs, || (), work);
        assert_eq!(result.unwrap_err().to_string(), "no");
        assert!(done.into_inner() < jobs.len());
    }
}
