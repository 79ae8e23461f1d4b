//! Bytes that an application hands to its validator to sign.

use crate::bindings::sigwarden::policy::types::Request;
use crate::facts::FactError;
use crate::vocabulary::Family;

/// Prefixed raw bytes of a CometBFT validator's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawBytes<'a> {
    /// What the host can read of them.
    pub layout: RawLayout<'a>,
    /// The application's bytes; of an opaque payload the whole, its prefix included.
    pub body: &'a [u8],
}

/// What the host can read of raw bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawLayout<'a> {
    /// Celestia's `SignRawBytes`.
    Celestia {
        /// The chain.
        chain_id: &'a str,
        /// What the application wants it for.
        unique_id: &'a str,
    },
    /// Nothing but that they begin with a prefix that the key may sign.
    Opaque,
}

impl RawBytes<'_> {
    /// The one format that they are.
    pub const FORMAT: &'static str = "cometbft/raw-bytes";
    /// The facts that `Request::raw_bytes` reads, for a manifest.
    pub const FACTS: &'static [&'static str] = &["raw-bytes.layout", "raw-bytes.body", "cometbft.chain-id", "raw-bytes.unique-id"];
}

impl Request {
    /// The raw bytes that would be signed.
    ///
    /// # Errors
    /// They are none, a fact is missing or of another type, or the layout is newer than this SDK.
    pub fn raw_bytes(&self) -> Result<RawBytes<'_>, FactError> {
        if self.family() != Family::PrefixedRaw {
            return Err(self.no("prefixed raw bytes"));
        }
        let layout = match self.text_fact("raw-bytes.layout")? {
            "celestia" => RawLayout::Celestia {
                chain_id: self.text_fact("cometbft.chain-id")?,
                unique_id: self.text_fact("raw-bytes.unique-id")?,
            },
            "opaque" => RawLayout::Opaque,
            _ => {
                return Err(FactError::Value {
                    name: "raw-bytes.layout".to_owned(),
                    wanted: "celestia or opaque",
                });
            }
        };
        Ok(RawBytes {
            layout,
            body: self.bytes_fact("raw-bytes.body")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn celestia_s_bytes_name_a_chain_and_opaque_ones_do_not() {
        let celestia = testing::raw_bytes("mocha-4", "fibre", b"body").build();
        let read = celestia.raw_bytes().unwrap();
        let layout = RawLayout::Celestia {
            chain_id: "mocha-4",
            unique_id: "fibre",
        };
        assert_eq!(read, RawBytes { layout, body: b"body" });
        let opaque = testing::opaque_raw_bytes(b"oracle: 1").build();
        assert_eq!(opaque.raw_bytes().unwrap().layout, RawLayout::Opaque);
        assert!(opaque.cometbft_position().is_err(), "no consensus message");
        assert!(testing::message(b"m").build().raw_bytes().is_err());
        let newer = testing::opaque_raw_bytes(b"oracle: 1").text("raw-bytes.layout", "other").build();
        assert!(matches!(newer.raw_bytes(), Err(FactError::Value { .. })));
        for fact in RawBytes::FACTS {
            let less = testing::raw_bytes("mocha-4", "fibre", b"body").without(fact).build();
            assert!(matches!(less.raw_bytes(), Err(FactError::Missing { .. })), "{fact}");
        }
    }
}
