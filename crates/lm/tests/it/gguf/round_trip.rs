//! What the writer writes, read again.

use posthuman_lm::GgufFile;
use proptest::prelude::*;

use super::writer::{Owned, Stored, write};

fn value() -> impl Strategy<Value = Owned> {
    let plain = prop_oneof![
        any::<u64>().prop_map(Owned::Unsigned),
        any::<i64>().prop_map(Owned::Signed),
        (-1e30_f32..1e30).prop_map(Owned::Float),
        (-1e300_f64..1e300).prop_map(Owned::Double),
        any::<bool>().prop_map(Owned::Bool),
        ".{0,12}".prop_map(Owned::Text),
    ];
    // Lists hold one type: a value several times over, at up to three levels.
    plain.prop_recursive(3, 24, 4, |inner| {
        (inner, 0..4_usize).prop_map(|(value, count)| Owned::List(vec![value; count]))
    })
}

fn tensor() -> impl Strategy<Value = (Vec<u64>, u32, Vec<u8>)> {
    let sizes = [
        (0, 1, 4),
        (1, 1, 2),
        (2, 32, 18),
        (3, 32, 20),
        (8, 32, 34),
        (12, 256, 144),
        (14, 256, 210),
    ];
    (
        prop::sample::select(sizes.to_vec()),
        prop::collection::vec(1..4_u64, 1..=4),
        any::<u8>(),
    )
        .prop_map(|((kind, length, bytes), mut dimensions, fill)| {
            dimensions[0] *= length;
            let blocks: u64 = dimensions.iter().product::<u64>() / length;
            let data = (0..blocks * bytes)
                .map(|index| (index as u8).wrapping_mul(fill))
                .collect();
            (dimensions, kind, data)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(
        values in prop::collection::vec(value(), 0..8),
        tensors in prop::collection::vec(tensor(), 0..6),
        version in 2..=3_u32,
        power in 3..8_u32,
    ) {
        let alignment = 1 << power;
        let mut keys: Vec<(String, Owned)> =
            values.into_iter().enumerate().map(|(index, value)| (format!("key.{index}"), value)).collect();
        keys.push(("general.alignment".to_owned(), Owned::Unsigned(alignment as u64)));
        let tensors: Vec<Stored> = tensors
            .into_iter()
            .enumerate()
            .map(|(index, (dimensions, kind, data))| Stored { name: format!("tensor.{index}"), dimensions, kind, data })
            .collect();
        let bytes = write(version, alignment, &keys, &tensors);
        let file = GgufFile::read(&bytes).unwrap();
        prop_assert_eq!((file.version(), file.alignment()), (version, alignment));
        prop_assert_eq!(file.metadata().iter().count(), keys.len());
        for (key, value) in &keys {
            prop_assert_eq!(&Owned::of(file.metadata().get(key).unwrap()), value);
        }
        prop_assert_eq!(file.tensors().len(), tensors.len());
        for (tensor, stored) in file.tensors().iter().zip(&tensors) {
            prop_assert_eq!(tensor.name(), &stored.name);
            prop_assert_eq!(tensor.data(), &stored.data);
            let shape: Vec<u64> = tensor.shape().iter().rev().map(|&length| length as u64).collect();
            prop_assert_eq!(&shape, &stored.dimensions);
        }
    }
}
