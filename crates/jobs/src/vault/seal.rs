//! How an object is sealed: XChaCha20-Poly1305 over chunks of one mebibyte.
//!
//! A sealed chunk is nonce (24 bytes) ‖ ciphertext ‖ tag (16 bytes). Its associated data are the object's id, the
//! chunk's index and whether it is the last one, so that a chunk moved, repeated, dropped or taken from another object
//! does not open (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015, with random nonces).
//! The worker seals and opens with the same code as the vault.

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305, XNonce};
use posthuman_types::{ObjectId, keccak256};
use rand::Rng;
use zeroize::{Zeroize, Zeroizing};

use super::secret::Secret;

/// Bytes of plaintext in every chunk but the last, which holds the rest (none, for an empty object).
pub const CHUNK_BYTES: usize = 1 << 20;
/// What sealing adds to a chunk: nonce and tag.
pub const SEAL_OVERHEAD: usize = NONCE_BYTES + 16;

const NONCE_BYTES: usize = 24;

/// Where a chunk stands: the associated data of its seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The object.
    pub object: ObjectId,
    /// Index of the chunk, from 0.
    pub index: u64,
    /// Whether it is the object's last one.
    pub last: bool,
}

impl Place {
    fn associated_data(&self) -> [u8; 25] {
        let mut data = [0; 25];
        data[..16].copy_from_slice(&self.object.0);
        data[16..24].copy_from_slice(&self.index.to_be_bytes());
        data[24] = u8::from(self.last);
        data
    }
}

/// A chunk that does not open at its place with this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed chunk does not open: it was altered, moved or sealed with another key")]
pub struct DoesNotOpen;

/// Seals and opens the chunks of one object.
pub struct ChunkCipher(XChaCha20Poly1305);

impl ChunkCipher {
    /// With the object's data key.
    pub fn new(key: &Secret) -> Self {
        Self(XChaCha20Poly1305::new(key.expose().into()))
    }

    /// Seals a chunk. The plaintext buffer is the caller's to wipe.
    pub fn seal(&self, place: Place, plaintext: &[u8]) -> Vec<u8> {
        seal(&self.0, &place.associated_data(), plaintext)
    }

    /// Opens a chunk.
    ///
    /// # Errors
    /// Where one bit of the chunk, its place or the key is another.
    pub fn open(&self, place: Place, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
        open(&self.0, &place.associated_data(), sealed)
    }
}

/// Seals a short secret under a key, bound to `purpose`.
pub(super) fn wrap(key: &Secret, purpose: &[u8], secret: &Secret) -> Vec<u8> {
    seal(
        &XChaCha20Poly1305::new(key.expose().into()),
        purpose,
        secret.expose(),
    )
}

/// Opens what [`wrap`] sealed.
pub(super) fn unwrap(key: &Secret, purpose: &[u8], wrapped: &[u8]) -> Result<Secret, DoesNotOpen> {
    let plaintext = open(&XChaCha20Poly1305::new(key.expose().into()), purpose, wrapped)?;
    let bytes: [u8; 32] = plaintext.as_slice().try_into().map_err(|_| DoesNotOpen)?;
    Ok(Secret::from_bytes(bytes))
}

fn seal(cipher: &XChaCha20Poly1305, associated_data: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut nonce = [0; NONCE_BYTES];
    rand::rng().fill_bytes(&mut nonce);
    let mut sealed = Vec::with_capacity(plaintext.len() + SEAL_OVERHEAD);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plaintext);
    let (nonce_part, body) = sealed.split_at_mut(NONCE_BYTES);
    let nonce = XNonce::try_from(&*nonce_part).expect("the nonce has its length");
    let tag = cipher
        .encrypt_inout_detached(&nonce, associated_data, body.into())
        .expect("a chunk is far below the cipher's limit of 256 GiB");
    sealed.extend_from_slice(&tag);
    sealed
}

fn open(
    cipher: &XChaCha20Poly1305,
    associated_data: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
    if sealed.len() < SEAL_OVERHEAD {
        return Err(DoesNotOpen);
    }
    let (nonce, body) = sealed.split_at(NONCE_BYTES);
    let nonce = XNonce::try_from(nonce).map_err(|_| DoesNotOpen)?;
    let mut plaintext = Zeroizing::new(body.to_vec());
    cipher
        .decrypt_in_place(&nonce, associated_data, &mut *plaintext)
        .map_err(|_| DoesNotOpen)?;
    Ok(plaintext)
}

/// Keys and ids of the objects that one run of a worker writes: its result and its checkpoints.
///
/// How many checkpoints a run will write is not known when it starts, so each slot's key is derived: Keccak-256 over a
/// fresh secret of this run and the slot's number. Nothing else ever uses that secret.
pub struct Slots {
    secret: Secret,
}

impl Slots {
    /// For one run, from its fresh secret.
    pub fn new(secret: Secret) -> Self {
        Self { secret }
    }

    /// The data key of a slot: 0 is the result, `n` the n-th checkpoint.
    pub fn key(&self, slot: u32) -> Secret {
        let mut input = Zeroizing::new(b"posthuman/slot-key/1".to_vec());
        input.reserve_exact(36);
        input.extend_from_slice(self.secret.expose());
        input.extend_from_slice(&slot.to_be_bytes());
        Secret::from_bytes(keccak256(input.as_slice()).0)
    }

    /// The id of a slot's object. It does not tell anything about the key.
    pub fn object(&self, slot: u32) -> ObjectId {
        let mut key = *self.key(slot).expose();
        let mut input = Zeroizing::new(b"posthuman/slot-object/1".to_vec());
        input.reserve_exact(32);
        input.extend_from_slice(&key);
        key.zeroize();
        let mut id = [0; 16];
        id.copy_from_slice(&keccak256(input.as_slice())[..16]);
        ObjectId(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place {
        object: ObjectId([7; 16]),
        index: 3,
        last: false,
    };

    #[test]
    fn a_chunk_opens_only_whole_at_its_place_and_with_its_key() {
        let cipher = ChunkCipher::new(&Secret::from_bytes([1; 32]));
        let sealed = cipher.seal(PLACE, b"weights");
        assert_eq!(cipher.open(PLACE, &sealed).unwrap().as_slice(), b"weights");
        let elsewhere = [
            Place {
                object: ObjectId([8; 16]),
                ..PLACE
            },
            Place { index: 4, ..PLACE },
            Place { last: true, ..PLACE },
        ];
        for place in elsewhere {
            assert!(cipher.open(place, &sealed).is_err(), "{place:?}");
        }
        assert!(
            ChunkCipher::new(&Secret::from_bytes([2; 32]))
                .open(PLACE, &sealed)
                .is_err()
        );
        for position in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[position] ^= 1;
            assert!(cipher.open(PLACE, &altered).is_err(), "byte {position}");
            assert!(
                cipher.open(PLACE, &sealed[..position]).is_err(),
                "{position} bytes"
            );
        }
    }

    #[test]
    fn slots_have_keys_and_ids_of_their_own() {
        let slots = Slots::new(Secret::from_bytes([9; 32]));
        assert_ne!(slots.key(0).expose(), slots.key(1).expose());
        assert_ne!(slots.object(0), slots.object(1));
        assert_eq!(slots.object(2), Slots::new(Secret::from_bytes([9; 32])).object(2));
        assert_ne!(slots.object(0).0, slots.key(0).expose()[..16]);
    }

    #[test]
    fn a_wrapped_secret_is_bound_to_its_purpose() {
        let (master, secret) = (Secret::from_bytes([1; 32]), Secret::from_bytes([2; 32]));
        let wrapped = wrap(&master, b"key of a", &secret);
        assert_eq!(
            unwrap(&master, b"key of a", &wrapped).unwrap().expose(),
            secret.expose()
        );
        assert!(unwrap(&master, b"key of b", &wrapped).is_err());
        assert!(unwrap(&secret, b"key of a", &wrapped).is_err());
    }
}
