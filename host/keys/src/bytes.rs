//! Reads the fields of a file, never past its end.

/// What is left to read.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    /// The next `count` bytes.
    pub(crate) fn slice(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use crate::{index, keyring, sealed, vault::tests::passphrase};
    use proptest::prelude::*;
    use sigwarden_core::Scheme;

    /// Bytes after a sound beginning get further into a parser than bytes alone.
    fn begun(beginning: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..300).prop_map(move |rest| [beginning, &rest].concat())
    }

    proptest! {
        #[test]
        fn no_bytes_open_as_a_sealed_key(file in begun(b"SWSEALED\x00\x01"), alone in any::<Vec<u8>>()) {
            let label = sealed::Label {
                file_id: [0; 16],
                id: "a.b.v1".parse().unwrap(),
                scheme: Scheme::Ed25519,
                public_key: vec![0; 32],
                created_ms: 0,
            };
            let key = sealed::FileKey::derive(&[1; 32], &label.file_id).unwrap();
            for file in [file, alone] {
                prop_assert!(sealed::open(&key, &label, &file, &mut [0; 32]).is_err());
            }
        }

        /// With its code made to fit, so that the entries are parsed; a file that parses is the one that would be written.
        #[test]
        fn an_authentic_index_is_refused_or_canonical(mut file in begun(b"SWKEYIDX\x00\x01\x00\x00\x00")) {
            let mac = blake3::keyed_hash(&[1; 32], &file);
            file.extend(mac.as_bytes());
            if let Ok(entries) = index::decode(&[1; 32], &file) {
                prop_assert_eq!(index::encode(&[1; 32], &entries).unwrap(), file);
            }
        }

        #[test]
        fn no_bytes_open_as_a_keyring(file in begun(b"SWKEYRNG\x00\x01\x01\x01")) {
            // Of another length, or with a cost out of bounds: nothing is derived, so this is fast.
            prop_assume!(file.len() != keyring::SIZE || file.get(12) != Some(&0));
            prop_assert!(keyring::unwrap(&passphrase(), &file).is_err());
        }
    }
}
