//! Which of the machine's instruction sets the kernels use. It decides speed alone, never a bit.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::error::{Error, Result};

/// A family of vector instructions, the narrowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstructionSet {
    /// What every machine of the target has.
    Portable,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// x86-64 with AVX-512 F, BW, CD, DQ and VL.
    Avx512,
}

/// The sets, by the number that [`CHOSEN`] holds.
const SETS: [InstructionSet; 3] = [
    InstructionSet::Portable,
    InstructionSet::Avx2,
    InstructionSet::Avx512,
];
const NOT_YET: u8 = u8::MAX;

static CHOSEN: AtomicU8 = AtomicU8::new(NOT_YET);

impl InstructionSet {
    /// The widest that this machine has.
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            // Every processor with AVX2 has conversions of 16-bit numbers; an emulator may not.
            let halves = is_x86_feature_detected!("f16c");
            if halves && pulp::x86::V4::try_new().is_some() {
                return Self::Avx512;
            }
            if halves && pulp::x86::V3::try_new().is_some() {
                return Self::Avx2;
            }
        }
        Self::Portable
    }

    /// The one that the kernels of this process use: the best, unless [`choose`](Self::choose) said otherwise.
    pub fn current() -> Self {
        match SETS.get(usize::from(CHOSEN.load(Ordering::Relaxed))) {
            Some(&set) => set,
            None => {
                let best = Self::best();
                CHOSEN.store(best as u8, Ordering::Relaxed);
                best
            }
        }
    }

    /// Makes the kernels of this process use a set, from their next call on. For tests and measurements: no result
    /// depends on it.
    ///
    /// # Errors
    /// [`Error::Options`] where this machine lacks it.
    pub fn choose(self) -> Result<()> {
        let best = Self::best();
        if self > best {
            return Err(Error::options(
                "instructions",
                format!("are {self:?}: this machine has no more than {best:?}"),
            ));
        }
        CHOSEN.store(self as u8, Ordering::Relaxed);
        Ok(())
    }
}

/// Evaluates an expression compiled for the current instruction set. Only speed differs: the compiler vectorises the
/// loops inside without changing a bit.
///
/// A macro, because a closure is compiled for the instruction set only where it is inlined, and the compiler inlines a
/// long one only where it is told to: without that, the loops ran at a quarter of the width. The same holds for the
/// functions and closures that the expression calls.
macro_rules! vectorise {
    ($work:expr) => {
        $crate::kernels::instructions::vectorised(
            #[inline(always)]
            || $work,
        )
    };
}
pub(crate) use vectorise;

/// What [`vectorise`] calls.
#[inline(always)]
pub(crate) fn vectorised<Out>(work: impl FnOnce() -> Out) -> Out {
    with_simd(Closure(work))
}

/// Runs work whose every function is inlined: what is left outside of the code for the instruction set is not compiled
/// for it.
#[inline(always)]
pub(crate) fn with_simd<W: pulp::WithSimd>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    match InstructionSet::current() {
        InstructionSet::Avx512 => {
            if let Some(simd) = pulp::x86::V4::try_new() {
                return pulp::Simd::vectorize(simd, work);
            }
        }
        InstructionSet::Avx2 => {
            if let Some(simd) = pulp::x86::V3::try_new() {
                return pulp::Simd::vectorize(simd, work);
            }
        }
        InstructionSet::Portable => return work.with_simd(pulp::Scalar),
    }
    #[cfg(not(target_arch = "x86_64"))]
    return pulp::Arch::new().dispatch(work);
    #[cfg(target_arch = "x86_64")]
    work.with_simd(pulp::Scalar)
}

struct Closure<F>(F);

impl<Out, F: FnOnce() -> Out> pulp::WithSimd for Closure<F> {
    type Output = Out;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> Out {
        (self.0)()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One test at a time chooses: the choice is the process's.
    static CHOOSING: std::sync::Mutex<()> = std::sync::Mutex::new(());

    /// Runs `check` with every instruction set of this machine.
    pub(crate) fn with_each(check: impl Fn(InstructionSet)) {
        let _alone = CHOOSING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for set in SETS.into_iter().filter(|&set| set <= InstructionSet::best()) {
            set.choose().unwrap();
            check(set);
        }
        InstructionSet::best().choose().unwrap();
    }

    #[test]
    fn every_set_of_this_machine_can_be_chosen_and_no_other() {
        with_each(|set| assert_eq!(InstructionSet::current(), set));
        let best = InstructionSet::best();
        for set in SETS.into_iter().filter(|&set| set > best) {
            assert!(set.choose().unwrap_err().to_string().contains("instructions"));
        }
    }
}
