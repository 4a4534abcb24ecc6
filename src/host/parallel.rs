//! Work on every processor.

use anyhow::Result;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// How many threads work at once.
pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(2, |count| count.get().min(8))
}

/// Runs `work` once on every processor, up to eight; with one, there is no other thread.
pub(crate) fn par_run(work: impl Fn() + Sync) {
    on_threads(processors(), work);
}

/// Does every job on one of some threads, and gives what each thread made of `start`. There is a
/// thread more than processors, for jobs that wait for a disk now and then. The first failure
/// ends all.
///
/// # Errors
/// That of a job.
pub(crate) fn par_map<J: Sync, T: Send>(
    jobs: &[J],
    start: impl Fn() -> T + Sync,
    work: impl Fn(&J, &mut T) -> Result<()> + Sync,
) -> Result<Vec<T>> {
    let count = match processors() {
        1 => 1,
        count => jobs.len().min(count + 1),
    };
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Ok(Vec::new()));
    on_threads(count, || {
        let mut own = start();
        let mut ended = Ok(());
        while ended.is_ok()
            && let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed))
        {
            ended = work(job, &mut own);
        }
        if ended.is_err() {
            next.store(jobs.len(), Ordering::Relaxed);
        }
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        match (ended, all.as_mut()) {
            (Ok(()), Ok(all)) => all.push(own),
            (Err(error), Ok(_)) => *all = Err(error),
            (_, Err(_)) => {}
        }
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// This thread is one of them, and alone where the system has no more.
fn on_threads(count: usize, work: impl Fn() + Sync) {
    std::thread::scope(|scope| {
        for _ in 1..count {
            let _ = std::thread::Builder::new().spawn_scoped(scope, &work);
        }
        work();
    });
}

/// Does two things at once; with one processor, or where the system has no thread more, one after
/// the other.
pub(crate) fn join<A: Send, B>(one: impl Fn() -> A + Sync, other: impl FnOnce() -> B) -> (A, B) {
    if processors() == 1 {
        return (one(), other());
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, &one);
        let other = other();
        let done = match thread {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => one(),
        };
        (done, other)
    })
}

#[cfg(test)]
mod tests {
    use super::par_map;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    fn every_job_is_done_once() {
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
    fn a_failure_ends_all() {
        let jobs = vec![(); 10_000];
        let done = AtomicUsize::new(0);
        let work = |(): &(), (): &mut ()| match done.fetch_add(1, Ordering::Relaxed) {
            10 => anyhow::bail!("no"),
            _ => {
                std::thread::sleep(Duration::from_millis(1));
                Ok(())
            }
        };
        let ended = par_map(&jobs, || (), work);
        assert_eq!(ended.unwrap_err().to_string(), "no");
        assert!(done.into_inner() < jobs.len());
    }
}
