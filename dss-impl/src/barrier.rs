//! The two barriers of an asymmetric protocol; see `biased`.
//!
//! | mode       | the cheap side          | the expensive side                           | leaves to                          |
//! |------------|-------------------------|----------------------------------------------|------------------------------------|
//! | Unknown    | a fence                 | a fence                                      | Asymmetric or Symmetric, `prepare` |
//! | Asymmetric | for the compiler only   | `membarrier`; if that fails, `fall_back`     | Leaving                            |
//! | Leaving    | a fence                 | waits for the end of `fall_back`             | Symmetric                          |
//! | Symmetric  | a fence                 | a fence                                      | -                                  |
//!
//! A process may forbid itself `membarrier` at any time. At that moment, a thread on the cheap side may just have passed its barrier
//! without a fence, and its store may still be in its processor's store buffer. No processor keeps a store there for long: an interrupt
//! empties the buffer, and the system's timer interrupts each processor that runs a program many times a second. So the expensive side
//! changes the mode, which makes every later barrier of the cheap side a fence, and then sleeps once for longer than that. (Morrison
//! and Afek, "Temporally Bounding TSO for Fence-Free Asymmetric Synchronization", ASPLOS 2015, use and measure the same bound.)

use std::sync::atomic::{AtomicU8, Ordering, compiler_fence, fence};
use std::time::Duration;

use crate::cancellation;
use crate::sync::pause;

const UNKNOWN: u8 = 0;
const ASYMMETRIC: u8 = 1;
const LEAVING: u8 = 2;
const SYMMETRIC: u8 = 3;

static MODE: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Longer than any store stays in a buffer: several ticks of the slowest timer that systems use (100 Hz).
const GRACE: Duration = Duration::from_millis(50);

/// Decides which barriers are used. Must be called before the first barrier.
pub(crate) fn prepare() {
    if MODE.load(Ordering::Relaxed) == UNKNOWN {
        let mode = if system::register() { ASYMMETRIC } else { SYMMETRIC };
        // Another thread may have decided meanwhile.
        let _ = MODE.compare_exchange(UNKNOWN, mode, Ordering::SeqCst, Ordering::SeqCst);
    }
}

/// Called first in a forked child. The thread that was in [`fall_back`] does not exist here, and no other thread does either.
#[cfg(unix)]
pub(crate) fn forked() {
    let _ = MODE.compare_exchange(LEAVING, SYMMETRIC, Ordering::SeqCst, Ordering::SeqCst);
}

/// The barrier of the cheap side. Orders an earlier store before a later load, as seen by a thread that runs [`heavy`].
#[inline]
pub(crate) fn light() {
    if MODE.load(Ordering::Relaxed) == ASYMMETRIC {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// The barrier of the expensive side: a full barrier here and, if the cheap side uses no fences, on every running thread of the process.
pub(crate) fn heavy() {
    fence(Ordering::SeqCst);
    match MODE.load(Ordering::Relaxed) {
        ASYMMETRIC if system::everywhere() => {}
        ASYMMETRIC | LEAVING => fall_back(),
        _ => {}
    }
}

/// Continues without the system's barrier. When it returns, everything that the cheap side stored before is visible.
#[cold]
fn fall_back() {
    if MODE.compare_exchange(ASYMMETRIC, LEAVING, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
        fence(Ordering::SeqCst);
        cancellation::sleep(GRACE);
        MODE.store(SYMMETRIC, Ordering::SeqCst);
    }
    // A thread that arrives in the meantime waits for the first one.
    let mut rounds = 0;
    while MODE.load(Ordering::SeqCst) == LEAVING {
        pause(&mut rounds);
    }
    fence(Ordering::SeqCst);
}

#[cfg(all(any(target_os = "linux", target_os = "android"), not(miri)))]
mod system {
    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: the call takes two integers, and touches no memory of ours.
        let result = unsafe { libc::syscall(libc::SYS_membarrier, command, 0 as libc::c_int) };
        result == 0
    }

    /// Registers for the barrier; false if the system has none or forbids it.
    pub(super) fn register() -> bool {
        membarrier(REGISTER_PRIVATE_EXPEDITED) && membarrier(PRIVATE_EXPEDITED)
    }

    /// Runs the barrier; false if that is no longer possible. A forked process has to register again.
    pub(super) fn everywhere() -> bool {
        membarrier(PRIVATE_EXPEDITED) || register()
    }
}

/// Miri does not know the call either.
#[cfg(not(all(any(target_os = "linux", target_os = "android"), not(miri))))]
mod system {
    pub(super) fn register() -> bool {
        false
    }

    pub(super) fn everywhere() -> bool {
        false
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::{heavy, light, prepare};

    const ROUNDS: u32 = 20_000;

    /// Alone in its cache lines.
    #[derive(Default)]
    #[repr(align(128))]
    struct Line(AtomicU32);

    #[derive(Default)]
    struct Litmus {
        /// What the cheap side stores.
        owner: Line,
        /// What the expensive side stores.
        revoked: Line,
        /// The expensive side has it. A store of the cheap side takes long to get it, and a later store waits in the buffer behind it.
        slow: Line,
        arrived: Line,
    }

    impl Litmus {
        /// Both sides leave at about the same moment, in each round a little earlier or later.
        fn meet(&self, round: u32, delay: u32) {
            self.arrived.0.fetch_add(1, Ordering::AcqRel);
            let mut spins = 0_u32;
            while self.arrived.0.load(Ordering::Acquire) < round * 2 {
                spins += 1;
                if spins.is_multiple_of(10_000) {
                    thread::yield_now();
                } else {
                    std::hint::spin_loop();
                }
            }
            (0..delay).for_each(|_| std::hint::spin_loop());
        }

        /// For each round, whether the cheap side saw the other's store.
        fn cheap(&self) -> Vec<bool> {
            let round = |round| {
                self.meet(round, round % 16);
                self.slow.0.store(round, Ordering::Relaxed);
                self.owner.0.store(round, Ordering::Relaxed);
                light();
                self.revoked.0.load(Ordering::Relaxed) >= round
            };
            (1..=ROUNDS).map(round).collect()
        }

        /// For each round, whether the expensive side saw the other's store.
        fn expensive(&self) -> Vec<bool> {
            let round = |round| {
                self.slow.0.store(round, Ordering::Relaxed);
                self.meet(round, round / 16 % 16);
                self.revoked.0.store(round, Ordering::Relaxed);
                heavy();
                self.owner.0.load(Ordering::Relaxed) >= round
            };
            (1..=ROUNDS).map(round).collect()
        }
    }

    /// Each side stores, passes its barrier, and loads what the other stored, as in `biased`. With an [`system::everywhere`](super::system) that
    /// does nothing, both overlook each other in about one round of a hundred, also on a machine that is busy.
    #[test]
    fn one_of_the_two_sides_sees_the_other() {
        prepare();
        let litmus = Litmus::default();
        let (cheap, expensive) = thread::scope(|scope| {
            let cheap = scope.spawn(|| litmus.cheap());
            let expensive = litmus.expensive();
            (cheap.join().expect("nothing panics"), expensive)
        });
        let overlooked = cheap.iter().zip(&expensive).filter(|(cheap, expensive)| !**cheap && !**expensive);
        assert_eq!(overlooked.count(), 0, "of {ROUNDS} rounds");
    }
}
