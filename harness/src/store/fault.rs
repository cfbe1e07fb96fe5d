//! The points at which a process can die, or its disk fail, while it changes files.
//!
//! In the program these are nothing. In tests, [`tests::Plan`] makes the n-th of them in this thread the last: a
//! killed process (no clean-up runs) or an error of the system. So a test can visit every one of them.

use std::fs::File;
use std::io::{self, Write};

/// A point before a change of the file system. `Err` only where a test asks for it.
#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "tests inject errors here")]
#[inline]
pub(crate) fn point(_what: &'static str) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(crate) use tests::point;

/// A file whose writes are points: one that is hit writes half of its bytes.
#[derive(Debug)]
pub(super) struct Guarded(pub(super) File);

#[cfg(not(test))]
impl Write for Guarded {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::RefCell;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    use super::{Guarded, Write, io};

    /// What happens at the chosen point.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Fault {
        /// The process is killed: nothing after the point runs, not even clean-up.
        Kill,
        /// The call fails with this error number, and so does every later one until the plan ends.
        Errno(i32),
    }

    /// Input/output error of the disk.
    pub(crate) const EIO: Fault = Fault::Errno(5);
    /// No space left.
    pub(crate) const ENOSPC: Fault = Fault::Errno(28);

    /// Unwound with by a killed process.
    struct Killed;

    #[derive(Debug)]
    struct Plan {
        fault: Fault,
        left: usize,
        hit: Option<&'static str>,
    }

    thread_local! {
        static PLAN: RefCell<Option<Plan>> = const { RefCell::new(None) };
    }

    /// How a piece of work ended.
    #[derive(Debug)]
    pub(crate) enum Ended<T> {
        /// By itself.
        Returned(T),
        /// By the kill.
        Killed,
    }

    /// Runs `work`; its point number `at`, from 0, meets `fault`. With the point that was hit, `None` when there
    /// were fewer.
    pub(crate) fn with_fault<T>(
        fault: Fault,
        at: usize,
        work: impl FnOnce() -> T,
    ) -> (Ended<T>, Option<&'static str>) {
        PLAN.set(Some(Plan { fault, left: at, hit: None }));
        let result = catch_unwind(AssertUnwindSafe(work));
        let hit = PLAN.take().and_then(|plan| plan.hit);
        match result {
            Ok(value) => (Ended::Returned(value), hit),
            Err(payload) if payload.is::<Killed>() => (Ended::Killed, hit),
            Err(payload) => resume_unwind(payload),
        }
    }

    /// The fault to meet here, if any.
    fn due(what: &'static str) -> Option<Fault> {
        PLAN.with_borrow_mut(|plan| {
            let plan = plan.as_mut()?;
            if plan.hit.is_some() {
                return Some(plan.fault);
            }
            if plan.left > 0 {
                plan.left -= 1;
                return None;
            }
            plan.hit = Some(what);
            Some(plan.fault)
        })
    }

    pub(crate) fn point(what: &'static str) -> io::Result<()> {
        match due(what) {
            None => Ok(()),
            Some(Fault::Errno(number)) => Err(io::Error::from_raw_os_error(number)),
            // No message and no backtrace: a process that is killed says nothing.
            Some(Fault::Kill) => resume_unwind(Box::new(Killed)),
        }
    }

    impl Write for Guarded {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match due("write") {
                None => self.0.write(bytes),
                Some(fault) => {
                    self.0.write_all(&bytes[..bytes.len() / 2])?;
                    match fault {
                        Fault::Errno(number) => Err(io::Error::from_raw_os_error(number)),
                        Fault::Kill => resume_unwind(Box::new(Killed)),
                    }
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            self.0.flush()
        }
    }

    #[test]
    fn the_chosen_point_and_no_other_is_hit() {
        let work = || point("a").and_then(|()| point("b"));
        assert!(matches!(with_fault(Fault::Kill, 1, work), (Ended::Killed, Some("b"))));
        assert!(matches!(with_fault(Fault::Kill, 2, work), (Ended::Returned(Ok(())), None)));
        let (ended, hit) = with_fault(ENOSPC, 0, work);
        let Ended::Returned(Err(error)) = ended else { panic!("the error did not surface") };
        assert_eq!((error.kind(), hit), (io::ErrorKind::StorageFull, Some("a")));
        point("after the plan").unwrap();
    }
}
