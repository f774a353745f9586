//! Properties of commitments and of their openings, in both schemes.

use posthuman_proofs::{
    CommitmentBuilder, CommitmentError, Header, LEAF_BYTES, LeafContent, LeafLocation, OpeningError, Salt,
    Scheme, commit, verify_opening,
};
use posthuman_types::{B256, Commitment};
use proptest::prelude::*;

use crate::models::{Tensor, header, model, quantised, root, salt, tensor, tree, tree_of_pieces};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_flipped_bit_changes_the_root(model in model(), place in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let total: usize = model.iter().map(|tensor| tensor.bytes.len()).sum();
        prop_assume!(total > 0);
        let mut other = model.clone();
        let mut place = place.index(total);
        for tensor in &mut other {
            if place < tensor.bytes.len() {
                tensor.bytes[place] ^= 1 << bit;
                break;
            }
            place -= tensor.bytes.len();
        }
        prop_assert_ne!(&model, &other);
        prop_assert_ne!(root(&model), root(&other));
    }

    #[test]
    fn order_names_and_shapes_are_bound(model in model(), which in any::<prop::sample::Index>()) {
        let which = which.index(model.len());
        let mut renamed = model.clone();
        renamed[which].name.push('x');
        prop_assert_ne!(root(&model), root(&renamed));
        let mut reshaped = model.clone();
        reshaped[which].shape.push(1);
        prop_assert_ne!(root(&model), root(&reshaped));
        let mut removed = model.clone();
        removed.remove(which);
        prop_assert_ne!(root(&model), root(&removed));
        let mut rotated = model.clone();
        rotated.rotate_left(which);
        prop_assert_eq!(root(&model) == root(&rotated), which == 0);
    }

    #[test]
    fn the_lengths_of_pieces_change_nothing(model in model(), length in 1_usize..40_000) {
        let (whole, pieces) = (tree(&salt(), &header(), &model), tree_of_pieces(&salt(), &header(), &model, length));
        prop_assert_eq!(whole.commitment(), pieces.commitment());
    }

    #[test]
    fn every_leaf_opens_and_no_other_content_does(model in model(), which in any::<prop::sample::Index>()) {
        let tree = tree(&salt(), &header(), &model);
        let index = which.index(tree.leaf_count() as usize) as u64;
        let bytes = match tree.locate(index).unwrap() {
            LeafLocation::Header => Vec::new(),
            LeafLocation::Tensor { name, offset, length } => {
                let tensor = model.iter().find(|tensor| tensor.name == name).unwrap();
                tensor.bytes[offset as usize..(offset + length) as usize].to_vec()
            }
        };
        let opening = tree.open(&salt(), index, &bytes).unwrap();
        prop_assert_eq!(verify_opening(&tree.commitment(), &opening), Ok(()));
        let text = serde_json::to_string(&opening).unwrap();
        prop_assert_eq!(&serde_json::from_str::<posthuman_proofs::Opening>(&text).unwrap(), &opening);

        let mut other = bytes.clone();
        other.push(0);
        if index > 0 {
            prop_assert_eq!(tree.open(&salt(), index, &other), Err(CommitmentError::OtherLeaf { index }));
        }
        let stranger = Salt::from_bytes([8; 32]);
        prop_assert_eq!(tree.open(&stranger, index, &bytes), Err(CommitmentError::OtherLeaf { index }));
        let mut moved = opening.clone();
        moved.index ^= 1;
        prop_assert!(verify_opening(&tree.commitment(), &moved).is_err());
        let mut longer = opening;
        longer.leaves += 1;
        prop_assert!(verify_opening(&tree.commitment(), &longer).is_err());
    }
}

#[test]
fn salt_configuration_and_tokenizer_are_bound() {
    let model = [tensor("wte", &[10, 4], 1)];
    let roots = [
        root(&model),
        tree(&Salt::from_bytes([8; 32]), &header(), &model).commitment(),
        tree(
            &salt(),
            &Header {
                config: B256::ZERO,
                ..header()
            },
            &model,
        )
        .commitment(),
        tree(
            &salt(),
            &Header {
                tokenizer: B256::ZERO,
                ..header()
            },
            &model,
        )
        .commitment(),
        tree(&salt(), &header(), &[]).commitment(),
    ];
    let distinct: std::collections::HashSet<_> = roots.iter().collect();
    assert_eq!(distinct.len(), roots.len());
}

#[test]
fn bytes_cannot_move_between_neighbours() {
    let whole = [tensor("a", &[8], 0), tensor("b", &[8], 32)];
    let moved = [
        Tensor {
            name: "a".into(),
            shape: vec![9],
            kind: None,
            bytes: [&whole[0].bytes[..], &whole[1].bytes[..4]].concat(),
        },
        Tensor {
            name: "b".into(),
            shape: vec![7],
            kind: None,
            bytes: whole[1].bytes[4..].to_vec(),
        },
    ];
    assert_ne!(root(&whole), root(&moved));
    // The name's length is bound, so that a name cannot swallow what follows it.
    assert_ne!(root(&[tensor("ab", &[1], 0)]), root(&[tensor("a", &[1], 0)]));
}

#[test]
fn values_and_their_bytes_are_the_same_tensor() {
    let values: Vec<f32> = (0..9000).map(|value| value as f32 * 0.37 - 1.0).collect();
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let shape: &[usize] = &[90, 100];
    let mut builder = CommitmentBuilder::new(Scheme::Values, &salt(), &header());
    builder.tensor("w", shape, &bytes).unwrap();
    let tree = builder.finish();
    assert_eq!(
        tree.leaf_count(),
        1 + (9000_usize * 4).div_ceil(LEAF_BYTES) as u64
    );
    let direct = commit(&salt(), &header(), [("w", shape, values.as_slice())]).unwrap();
    assert_eq!(tree.commitment(), direct);
}

#[test]
fn tensors_that_make_no_sense_are_named() {
    let mut builder = CommitmentBuilder::new(Scheme::Values, &salt(), &header());
    let error = builder.tensor("w", &[2, 2], &[0; 12]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tensor `w` of shape [2, 2] holds 12 bytes, which is not 4 for each element"
    );
    assert!(builder.tensor("w", &[usize::MAX, 3], &[0; 12]).is_err());
    builder.tensor("w", &[3], &[0; 12]).unwrap();
    assert_eq!(
        builder.tensor("w", &[3], &[0; 12]),
        Err(CommitmentError::Duplicate { name: "w".into() })
    );
    let tree = builder.finish();
    assert_eq!(tree.leaf_count(), 2);
    assert_eq!(
        tree.open(&salt(), 2, &[]),
        Err(CommitmentError::NoLeaf { index: 2, leaves: 2 })
    );
    assert_eq!(tree.locate(2), None);
}

#[test]
fn forged_openings_are_refused_without_panic() {
    let model = [tensor("a", &[5000], 1), tensor("b", &[3], 2)];
    let tree = tree(&salt(), &header(), &model);
    let commitment = tree.commitment();
    let opening = tree.open(&salt(), 1, &model[0].bytes[..LEAF_BYTES]).unwrap();

    let mut forged = opening.clone();
    (forged.index, forged.leaves) = (u64::MAX - 1, u64::MAX);
    assert!(matches!(
        verify_opening(&commitment, &forged),
        Err(OpeningError::Length { found: 2, .. })
    ));
    forged.index = u64::MAX;
    assert!(matches!(
        verify_opening(&commitment, &forged),
        Err(OpeningError::Place { .. })
    ));

    let mut forged = opening.clone();
    forged.siblings.pop();
    assert_eq!(
        verify_opening(&commitment, &forged),
        Err(OpeningError::Length {
            expected: 2,
            found: 1
        })
    );

    let mut forged = opening.clone();
    let LeafContent::Tensor { shape, .. } = &mut forged.content else {
        panic!("leaf 1 is of a tensor")
    };
    *shape = vec![u64::MAX, u64::MAX];
    assert!(matches!(
        verify_opening(&commitment, &forged),
        Err(OpeningError::Place { .. })
    ));

    let mut forged = opening.clone();
    forged.content = LeafContent::Header {
        config: B256::ZERO,
        tokenizer: B256::ZERO,
    };
    assert!(matches!(
        verify_opening(&commitment, &forged),
        Err(OpeningError::Place { index: 1, .. })
    ));

    let other = Commitment {
        scheme: "salted-merkle-keccak256/3".into(),
        ..commitment.clone()
    };
    assert_eq!(
        verify_opening(&other, &opening),
        Err(OpeningError::Scheme {
            found: "salted-merkle-keccak256/3".into()
        })
    );
    let other = Commitment {
        root: B256::ZERO,
        ..commitment
    };
    assert!(matches!(
        verify_opening(&other, &opening),
        Err(OpeningError::Root { .. })
    ));
}

/// Pinned: a change of a scheme's bytes needs a new version of its name. Computed with ethers' keccak256 by
/// `tests/vectors/commitment.mjs`.
#[test]
fn the_schemes_stand() {
    let model = [
        tensor("wte.weight", &[50, 100], 3),
        tensor("empty", &[0, 4], 0),
        tensor("ln_f.bias", &[6], 9),
    ];
    let commitment = root(&model);
    assert_eq!(commitment.scheme, "salted-merkle-keccak256/1");
    assert_eq!(
        commitment.root.to_string(),
        "0x2df3c7e78560ef8fbd604ed42a9a361c48e3441186811903c1e8c19a6059d917"
    );
    let stored = [
        quantised("wte.weight", &[50, 640], 3),
        Tensor {
            kind: Some("F16"),
            bytes: Vec::new(),
            ..tensor("empty", &[0, 4], 0)
        },
        tensor("ln_f.bias", &[6], 9),
    ];
    let commitment = root(&stored);
    assert_eq!(commitment.scheme, "salted-merkle-keccak256/2");
    assert_eq!(
        commitment.root.to_string(),
        "0x3115fb8b6d80595763f3257592173d0085397939c0bd0cba38fed307920ed90c"
    );
}
