//! The same bits for every instruction set of the machine.

use posthuman_lm::InstructionSet;

use crate::bits::{score, train, write};
use crate::trained_bundle;

/// The choice is the whole process's. Tests beside this one change paths in the middle of their work, and may: no
/// result depends on it.
#[test]
fn training_generation_and_evaluation_do_not_depend_on_the_instruction_set() {
    let bundle = trained_bundle();
    let (reports, bytes) = train(2);
    let (written, scored) = (write(&bundle, 2), score(&bundle, 2));
    for set in [InstructionSet::Portable, InstructionSet::Avx2, InstructionSet::Avx512] {
        if set > InstructionSet::best() {
            assert!(set.choose().is_err(), "{set:?} is more than this machine has");
            continue;
        }
        set.choose().unwrap();
        let (again, others) = train(2);
        assert_eq!(reports, again, "{set:?}");
        assert!(bytes == others, "weights differ with {set:?}");
        assert_eq!(written, write(&bundle, 2), "{set:?}");
        assert_eq!(scored, score(&bundle, 2), "{set:?}");
    }
    InstructionSet::best().choose().unwrap();
}
