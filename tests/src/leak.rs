//! Looks for weights where none may be: any 16 consecutive bytes of any tensor, in any encoding that a leak could take.
//!
//! The plaintext is turned into the set of its windows: 16 bytes from every element on, as f32, bf16 and f16, little
//! endian, and of quantised tensors also 16 bytes from every byte of their blocks on. What is searched is read byte by
//! byte; whatever in it is hexadecimal, base64 or a gzip or zlib stream is decoded and searched in turn, also where one
//! lies within another. So a leak of 19 bytes of a tensor is found at whatever offset it begins.
//!
//! Windows whose elements are all the same say nothing, since zeros and ones (biases and gains of layer norms at their
//! start) are everywhere: they are left out, see [`Windows::skipped`]. Weights written out as decimal numbers are not
//! looked for.

mod checkpoint;
mod collected;
mod decode;
mod models;

use flate2::read::{GzDecoder, ZlibDecoder};

pub use checkpoint::of_checkpoint;
use collected::Collected;
use decode::{begins_zlib, inflate, runs, sextet, unbase64, unhex};
pub use models::of_models;

/// Bytes of a window.
pub const WINDOW: usize = 16;
/// Bits of the filter in front of the exact set: 32 MiB, in which some ten million windows leave most bits clear.
const FILTER_BITS: u32 = 28;
/// Encodings within encodings that are followed.
const DEPTH: u8 = 3;
/// Shortest run of hexadecimal digits that holds a window.
const HEX_RUN: usize = 2 * WINDOW;
/// Shortest run of base64 that holds a window.
const BASE64_RUN: usize = 22;

/// The windows of all tensors that must not be found.
#[derive(Debug)]
pub struct Windows {
    sorted: Vec<u128>,
    filter: Vec<u64>,
    skipped: usize,
}

/// Where a window was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// How it was encoded, from the outside in, such as `base64, gzip`; empty for bytes as they are.
    pub encoding: String,
    /// Offset in what was decoded last.
    pub offset: usize,
}

impl Windows {
    /// The windows of these tensors.
    pub fn of<'a>(tensors: impl IntoIterator<Item = &'a [f32]>) -> Self {
        Self::of_both(tensors, [])
    }

    /// The windows of these tensors, and of these blocks as they are stored.
    pub fn of_both<'a>(
        tensors: impl IntoIterator<Item = &'a [f32]>,
        blocks: impl IntoIterator<Item = &'a [u8]>,
    ) -> Self {
        let mut collected = Collected::default();
        tensors
            .into_iter()
            .for_each(|values| collected.values(values, true));
        blocks.into_iter().for_each(|bytes| collected.bytes(bytes, 1));
        collected.sorted()
    }

    /// Those as f32 alone, for numbers too small for half the bytes: there they are zeros like any others.
    fn as_f32<'a>(tensors: impl IntoIterator<Item = &'a [f32]>) -> Self {
        let mut collected = Collected::default();
        tensors
            .into_iter()
            .for_each(|values| collected.values(values, false));
        collected.sorted()
    }

    /// How many different windows are looked for.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether nothing is looked for.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// How many windows were left out since all their elements are the same.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// The first window found in these bytes, decoded in every way that applies.
    pub fn find(&self, bytes: &[u8]) -> Option<Leak> {
        self.find_within(bytes, "", DEPTH)
    }

    fn find_within(&self, bytes: &[u8], encoding: &str, depth: u8) -> Option<Leak> {
        if let Some(offset) = self.find_raw(bytes) {
            return Some(Leak {
                encoding: encoding.to_owned(),
                offset,
            });
        }
        let depth = depth.checked_sub(1)?;
        let within = |name: &str, decoded: &[u8]| {
            let encoding = if encoding.is_empty() {
                name.to_owned()
            } else {
                format!("{encoding}, {name}")
            };
            self.find_within(decoded, &encoding, depth)
        };
        for run in runs(bytes, HEX_RUN, |byte| byte.is_ascii_hexdigit()) {
            for start in 0..2 {
                if let Some(leak) = within("hex", &unhex(&run[start..])) {
                    return Some(leak);
                }
            }
        }
        for run in runs(bytes, BASE64_RUN, |byte| sextet(byte).is_some()) {
            for start in 0..4 {
                if let Some(leak) = within("base64", &unbase64(&run[start..])) {
                    return Some(leak);
                }
            }
        }
        for start in 0..bytes.len().saturating_sub(WINDOW / 2) {
            let stream = &bytes[start..];
            if stream.starts_with(&[0x1f, 0x8b, 8])
                && let Some(leak) = within("gzip", &inflate(GzDecoder::new(stream)))
            {
                return Some(leak);
            }
            if begins_zlib(stream)
                && let Some(leak) = within("zlib", &inflate(ZlibDecoder::new(stream)))
            {
                return Some(leak);
            }
        }
        None
    }

    fn find_raw(&self, bytes: &[u8]) -> Option<usize> {
        (0..(bytes.len() + 1).saturating_sub(WINDOW)).find(|offset| {
            let window = window_at(bytes, *offset);
            let bit = filter_bit(window);
            self.filter[bit >> 6] >> (bit & 63) & 1 == 1 && self.sorted.binary_search(&window).is_ok()
        })
    }
}

/// The 16 bytes at an offset, which must be there.
fn window_at(bytes: &[u8], offset: usize) -> u128 {
    let mut window = [0; WINDOW];
    window.copy_from_slice(&bytes[offset..offset + WINDOW]);
    u128::from_le_bytes(window)
}

fn filter_bit(window: u128) -> usize {
    // Fibonacci hashing of both halves; the highest bits are the best mixed.
    let folded = (window as u64) ^ ((window >> 64) as u64).rotate_left(29);
    (folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - FILTER_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    /// Weights as they look: small, of both signs, none like another.
    fn tensor(length: usize) -> Vec<f32> {
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        (0..length)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 40) as f32 / 16_777_216.0 - 0.5
            })
            .collect()
    }

    fn bytes_of(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    /// A leak within text and noise.
    fn plant(leak: &[u8]) -> Vec<u8> {
        let mut bytes = b"{\"step\": 12, \"loss\": 3.25, \"data\": \"".to_vec();
        bytes.extend_from_slice(leak);
        bytes.extend_from_slice(b"\"}\nThe whale, the whale!\n");
        bytes
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn base64(bytes: &[u8], alphabet: &[u8; 64]) -> String {
        let mut text = String::new();
        for group in bytes.chunks(3) {
            let bits = group
                .iter()
                .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
                << (8 * (3 - group.len()));
            for place in 0..=group.len() {
                text.push(char::from(alphabet[(bits >> (18 - 6 * place) & 63) as usize]));
            }
        }
        text
    }

    const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const FOR_ADDRESSES: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    fn encoding_found(windows: &Windows, bytes: &[u8]) -> Option<String> {
        windows.find(bytes).map(|leak| leak.encoding)
    }

    #[test]
    fn sixteen_bytes_are_found_at_every_offset_and_fifteen_are_not() {
        let values = tensor(300);
        let windows = Windows::of([&values[..]]);
        assert_eq!(windows.len(), 297 + 293 + 293);
        let bytes = bytes_of(&values);
        for start in [0, 4, 400, 1184] {
            for before in 0..20 {
                let mut planted = vec![b'x'; before];
                planted.extend_from_slice(&bytes[start..start + 16]);
                assert_eq!(
                    windows.find(&planted),
                    Some(Leak {
                        encoding: String::new(),
                        offset: before
                    })
                );
                planted.pop();
                assert_eq!(windows.find(&planted), None);
            }
        }
    }

    #[test]
    fn every_precision_is_found() {
        let values = tensor(200);
        let windows = Windows::of([&values[..]]);
        let bf16: Vec<u8> = values[20..28]
            .iter()
            .flat_map(|value| half::bf16::from_f32(*value).to_le_bytes())
            .collect();
        let f16: Vec<u8> = values[20..28]
            .iter()
            .flat_map(|value| half::f16::from_f32(*value).to_le_bytes())
            .collect();
        for leak in [bf16, f16] {
            assert!(windows.find(&plant(&leak)).is_some());
            assert!(windows.find(&plant(hex(&leak).as_bytes())).is_some());
        }
    }

    #[test]
    fn blocks_are_found_from_every_byte_on() {
        let blocks: Vec<u8> = bytes_of(&tensor(40));
        let windows = Windows::of_both([], [&blocks[..]]);
        assert_eq!(windows.len(), 160 - 15);
        for start in [0, 1, 7, 144] {
            let leak = &blocks[start..start + 16];
            assert!(windows.find(&plant(leak)).is_some());
            assert!(windows.find(&plant(hex(leak).as_bytes())).is_some());
            assert_eq!(windows.find(&plant(&leak[..15])), None);
        }
    }

    #[test]
    fn every_encoding_is_found_at_every_alignment() {
        let values = tensor(200);
        let windows = Windows::of([&values[..]]);
        let leak = &bytes_of(&values)[80..112];
        for before in 0..4 {
            let mut bytes = vec![0xa7; before];
            bytes.extend_from_slice(leak);
            let found = |text: &str| encoding_found(&windows, &plant(text.as_bytes()));
            assert_eq!(found(&hex(&bytes)).as_deref(), Some("hex"));
            assert_eq!(found(&hex(&bytes).to_uppercase()).as_deref(), Some("hex"));
            assert_eq!(
                found(&hex(&bytes)[1..]).as_deref(),
                Some("hex"),
                "from half a byte on"
            );
            for alphabet in [STANDARD, FOR_ADDRESSES] {
                let text = base64(&bytes, alphabet);
                for cut in 0..4 {
                    assert_eq!(
                        found(&text[cut..]).as_deref(),
                        Some("base64"),
                        "{text} from {cut}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_shortest_leak_is_found_in_every_encoding() {
        let values = tensor(200);
        let windows = Windows::of([&values[..]]);
        let leak = &bytes_of(&values)[80..96];
        assert_eq!(
            encoding_found(&windows, &plant(hex(leak).as_bytes())).as_deref(),
            Some("hex")
        );
        assert_eq!(
            encoding_found(&windows, &plant(base64(leak, STANDARD).as_bytes())).as_deref(),
            Some("base64")
        );
    }

    #[test]
    fn compressed_streams_are_searched_inside() {
        let values = tensor(5_000);
        let windows = Windows::of([&values[..]]);
        let bytes = bytes_of(&values);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&bytes).unwrap();
        let gzip = gzip.finish().unwrap();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
        zlib.write_all(&bytes).unwrap();
        let zlib = zlib.finish().unwrap();
        assert_eq!(encoding_found(&windows, &plant(&gzip)).as_deref(), Some("gzip"));
        assert_eq!(encoding_found(&windows, &plant(&zlib)).as_deref(), Some("zlib"));
        assert_eq!(
            encoding_found(&windows, &plant(&gzip[..2_000])).as_deref(),
            Some("gzip"),
            "cut off"
        );
        let text = base64(&gzip, STANDARD);
        assert_eq!(
            encoding_found(&windows, &plant(text.as_bytes())).as_deref(),
            Some("base64, gzip")
        );
        let mut twice = GzEncoder::new(Vec::new(), Compression::fast());
        twice.write_all(&gzip).unwrap();
        assert_eq!(
            encoding_found(&windows, &twice.finish().unwrap()).as_deref(),
            Some("gzip, gzip")
        );
    }

    #[test]
    fn windows_that_say_nothing_are_skipped() {
        let mut values = vec![0.0_f32; 100];
        values.extend(vec![1.0; 100]);
        let windows = Windows::of([&values[..]]);
        // Only those across the step from 0 to 1 are left: three as f32, seven each as bf16 and f16. One is the same in
        // two precisions: as bf16, 1 is the upper half of itself as f32.
        assert_eq!(windows.len(), 3 + 7 + 7 - 1);
        assert_eq!(windows.skipped(), (197 - 3) + (193 - 7) + (193 - 7));
        assert_eq!(windows.find(&[0; 4096]), None);
        let zeros = [0.0, -0.0, 0.0, 0.0, -0.0, -0.0, 0.0, 0.0];
        assert!(Windows::of([&zeros[..]]).is_empty());
        // Bytes of blocks are no numbers.
        let bytes: Vec<u8> = [0, 0x80, 0, 0].repeat(4);
        assert_eq!(Windows::of_both([], [&bytes[..]]).len(), 1);
    }

    #[test]
    fn what_holds_no_weights_gives_no_alarm() {
        let windows = Windows::of([&tensor(20_000)[..]]);
        let text = "Call me Ishmael. Some years ago, never mind how long precisely. ".repeat(100);
        assert_eq!(windows.find(text.as_bytes()), None);
        assert_eq!(windows.find(hex(text.as_bytes()).as_bytes()), None);
        let other: Vec<u8> = bytes_of(&tensor(40_000)[20_100..]);
        assert_eq!(windows.find(&other), None);
        let mut deflated = DeflateEncoder::new(Vec::new(), Compression::fast());
        deflated.write_all(&other).unwrap();
        assert_eq!(windows.find(&deflated.finish().unwrap()), None);
    }
}
