//! Runs plain loops with the widest vectors that the machine has.

/// Runs `work` compiled for the best instruction set found at run time. Only speed differs: the compiler vectorises
/// the loops inside without changing a bit.
#[inline(always)]
pub(crate) fn vectorise<Out>(work: impl FnOnce() -> Out) -> Out {
    pulp::Arch::new().dispatch(work)
}
