//! Encodings taken off: hexadecimal, base64, gzip and zlib.

use std::io::Read;

/// What is read of one compressed stream.
const INFLATED: u64 = 64 << 20;

/// The longest stretches of bytes of one kind, of at least so many bytes.
pub(super) fn runs(bytes: &[u8], least: usize, kind: impl Fn(u8) -> bool) -> impl Iterator<Item = &[u8]> {
    bytes
        .split(move |byte| !kind(*byte))
        .filter(move |run| run.len() >= least)
}

pub(super) fn unhex(digits: &[u8]) -> Vec<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0) as u8;
    digits
        .chunks_exact(2)
        .map(|pair| value(pair[0]) << 4 | value(pair[1]))
        .collect()
}

/// Decodes whole groups of four, of the standard alphabet or the one for addresses.
pub(super) fn unbase64(digits: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3);
    // A window that ends in the last, incomplete group counts too.
    for group in digits.chunks(4) {
        let mut bits = 0_u32;
        for place in 0..4 {
            let digit = group.get(place).and_then(|digit| sextet(*digit)).unwrap_or(0);
            bits = bits << 6 | u32::from(digit);
        }
        bytes.extend_from_slice(&bits.to_be_bytes()[1..1 + group.len() * 3 / 4]);
    }
    bytes
}

pub(super) fn sextet(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

/// RFC 1950: method 8 (deflate), a window of at most 32 KiB, a header that 31 divides, no preset dictionary.
pub(super) fn begins_zlib(stream: &[u8]) -> bool {
    let [method, flags, ..] = stream else { return false };
    let header = u16::from(*method) << 8 | u16::from(*flags);
    method & 0x0f == 8 && method >> 4 <= 7 && header % 31 == 0 && flags & 0x20 == 0
}

/// What can be decompressed, also of a stream that is cut off or ends in something else.
pub(super) fn inflate(stream: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What was read before an error stays in the vector, and that is what counts.
    let _ = stream.take(INFLATED).read_to_end(&mut bytes);
    bytes
}
