//! Commitments to tensors as they are stored.

use posthuman_proofs::{
    CommitmentBuilder, CommitmentError, LEAF_BYTES, LeafContent, OpeningError, Scheme, verify_opening,
};
use posthuman_types::Commitment;

use crate::models::{Tensor, header, quantised, root, salt, tensor, tree};

#[test]
fn types_and_lengths_of_stored_tensors_are_bound() {
    let model = [quantised("a", &[64], 1), tensor("b", &[8], 2)];
    assert_eq!(root(&model).scheme, "salted-merkle-keccak256/2");
    let mut other = model.clone();
    other[0].kind = Some("Q4_1");
    assert_ne!(root(&model), root(&other));
    // The same bytes, as blocks and as numbers.
    let as_blocks = [Tensor {
        shape: vec![9],
        ..quantised("a", &[64], 1)
    }];
    let as_numbers = [Tensor {
        kind: None,
        ..as_blocks[0].clone()
    }];
    assert_ne!(root(&as_numbers).root, root(&as_blocks).root);
    // A name cannot swallow a part of the type before it, nor the other way round.
    let moved = |name: &str, kind| Tensor {
        kind: Some(kind),
        ..quantised(name, &[32], 1)
    };
    assert_ne!(root(&[moved("0a", "Q4_")]), root(&[moved("a", "Q4_0")]));
}

#[test]
fn the_other_form_of_a_tensor_opens_nothing() {
    let values = [tensor("a", &[5000], 1)];
    let stored = [quantised("a", &[64], 1), tensor("b", &[5000], 1)];
    let trees = [&values[..], &stored[..]].map(|model| tree(&salt(), &header(), model));
    let [of_values, of_stored] = &trees;
    let one = of_values
        .open(&salt(), 1, &values[0].bytes[..LEAF_BYTES])
        .unwrap();
    let two = of_stored
        .open(&salt(), 2, &stored[1].bytes[..LEAF_BYTES])
        .unwrap();
    for (tree, opening, index, scheme) in [
        (of_stored, &one, 1, Scheme::Stored),
        (of_values, &two, 2, Scheme::Values),
    ] {
        assert_eq!(
            verify_opening(&tree.commitment(), opening),
            Err(OpeningError::Form { index, scheme })
        );
    }
    // A commitment that names the other scheme is another one, even with the same root.
    let renamed = Commitment {
        scheme: Scheme::Values.name().to_owned(),
        ..of_stored.commitment()
    };
    let error = verify_opening(&renamed, &two).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("in another form than commitments of `salted-merkle-keccak256/1`")
    );
    // Nor does it open where the tensor is told in the form that the scheme has.
    let LeafContent::Stored {
        name,
        shape,
        offset,
        bytes,
        ..
    } = two.content.clone()
    else {
        panic!("leaf 2 is of a stored tensor")
    };
    let mut told = two;
    told.content = LeafContent::Tensor {
        name,
        shape,
        offset,
        bytes,
    };
    assert!(matches!(
        verify_opening(&renamed, &told),
        Err(OpeningError::Root { .. })
    ));
}

#[test]
fn forged_openings_of_stored_tensors_are_refused() {
    let model = [quantised("a", &[64_000], 1), tensor("b", &[3], 2)];
    let tree = tree(&salt(), &header(), &model);
    let opening = tree
        .open(&salt(), 2, &model[0].bytes[LEAF_BYTES..2 * LEAF_BYTES])
        .unwrap();
    type Change = fn(&mut LeafContent);
    fn parts(content: &mut LeafContent) -> (&mut String, &mut u64, &mut u64, &mut posthuman_types::Bytes) {
        let LeafContent::Stored {
            kind,
            length,
            offset,
            bytes,
            ..
        } = content
        else {
            panic!("leaf 2 is of a stored tensor")
        };
        (kind, length, offset, bytes)
    }
    let other_roots: [Change; 4] = [
        |content| parts(content).0.push('K'),
        |content| *parts(content).1 += 1,
        |content| *parts(content).2 = 0,
        |content| {
            let bytes = parts(content).3;
            let mut changed = bytes.to_vec();
            changed[7] ^= 1;
            *bytes = changed.into();
        },
    ];
    for change in other_roots {
        let mut forged = opening.clone();
        change(&mut forged.content);
        assert!(matches!(
            verify_opening(&tree.commitment(), &forged),
            Err(OpeningError::Root { .. })
        ));
    }
    let wrong_cuts: [Change; 5] = [
        |content| *parts(content).1 = LEAF_BYTES as u64,
        |content| *parts(content).1 = 2 * LEAF_BYTES as u64 - 1,
        |content| *parts(content).2 += 1,
        |content| *parts(content).2 = u64::MAX - (LEAF_BYTES as u64 - 1),
        |content| {
            let bytes = parts(content).3;
            *bytes = bytes.slice(1..);
        },
    ];
    for change in wrong_cuts {
        let mut forged = opening.clone();
        change(&mut forged.content);
        assert_eq!(
            verify_opening(&tree.commitment(), &forged),
            Err(OpeningError::Place {
                index: 2,
                leaves: tree.leaf_count()
            })
        );
    }
}

#[test]
fn a_tensor_that_does_not_come_whole_is_no_part_of_a_commitment() {
    let model = [quantised("a", &[64_000], 1), tensor("b", &[3], 2)];
    let mut builder = CommitmentBuilder::new(Scheme::Stored, &salt(), &header());
    for length in [0, LEAF_BYTES, model[0].bytes.len() - 1] {
        let mut writer = builder.begin(&model[0].facts()).unwrap();
        writer.push(&model[0].bytes[..length]);
        assert_eq!(
            writer.finish(),
            Err(CommitmentError::Length {
                name: "a".into(),
                expected: 36_000,
                found: length as u64,
            })
        );
    }
    let mut writer = builder.begin(&model[0].facts()).unwrap();
    writer.push(&model[0].bytes);
    writer.push(&[0]);
    let error = writer.finish().unwrap_err();
    assert_eq!(
        error.to_string(),
        "tensor `a` has 36001 bytes, and 36000 were announced"
    );
    for tensor in &model {
        let mut writer = builder.begin(&tensor.facts()).unwrap();
        writer.push(&tensor.bytes);
        writer.finish().unwrap();
    }
    assert_eq!(
        builder.finish().commitment(),
        root(&model),
        "nothing is left of those before"
    );
    let mut builder = CommitmentBuilder::new(Scheme::Values, &salt(), &header());
    let error = builder.begin(&model[0].facts()).unwrap_err();
    assert_eq!(
        error,
        CommitmentError::Kind {
            name: "a".into(),
            kind: "Q4_0".into()
        }
    );
    assert!(error.to_string().contains("is to values in F32"), "{error}");
}
