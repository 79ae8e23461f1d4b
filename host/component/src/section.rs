//! The custom section that [`crate::build`] puts at the end of a component: JSON with the module's manifest and the toolchain.
//!
//! It is for people and tools that look at a file. The host asks the module itself when it loads it, so a section that lies deceives
//! nobody but its reader.

use serde::{Deserialize, Serialize};

/// The section's name.
pub const NAME: &str = "sigwarden:policy";
/// The layout of its JSON; raised when a field changes its meaning.
const FORMAT: u32 = 1;
/// Bytes of the section at most: a schema of 256 KiB, which is the most the host takes, and as much again for all else.
pub(crate) const BYTES_MAX: usize = 512 * 1024;

/// What a policy says about itself: `manifest` in `wit/policy.wit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its name.
    pub name: String,
    /// Its version, semver.
    pub version: String,
    /// One sentence: what it is for.
    pub purpose: String,
    /// JSON Schema of its configuration, as text: parsed and written again, its fields could come in another order.
    pub config_schema: String,
    /// The formats it understands.
    pub formats: Vec<String>,
    /// The facts it reads.
    pub facts: Vec<String>,
    /// Every denial code that it can return.
    pub denial_codes: Vec<String>,
}

/// What made a component. With the source and the lock file, all that its bytes depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltWith {
    /// The compiler: `rustc 1.95.0 (59807616e 2026-04-14)`.
    pub rustc: String,
    /// What it compiled for.
    pub target: String,
    /// Where the standard library came from: `prebuilt`, or `source` and the linker that stood in for rustc's own.
    pub std: String,
    /// The version of `sigwarden-guest`; empty if the policy does without it.
    pub sdk: String,
    /// The version of this crate, which makes a component of the compiler's module.
    pub sigwarden: String,
}

/// The section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// What the policy says about itself.
    pub manifest: Manifest,
    /// What made it.
    pub built_with: BuiltWith,
}

#[derive(Serialize, Deserialize)]
struct Layout<D> {
    format: u32,
    #[serde(flatten)]
    description: D,
}

/// Why a section says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SectionError {
    /// It is too large.
    #[error("its section `{NAME}` has {0} bytes, {BYTES_MAX} are the most")]
    Size(usize),
    /// It is not JSON of this layout.
    #[error("its section `{NAME}` cannot be read: {0}")]
    Json(String),
    /// It is of another layout.
    #[error("its section `{NAME}` has layout {0}, this Sigwarden reads layout {FORMAT}; use the one that built it")]
    Format(u32),
}

impl Description {
    /// The component with this section at its end.
    ///
    /// # Errors
    /// The section would be too large to be read again.
    pub fn append_to(&self, component: &mut Vec<u8>) -> Result<(), SectionError> {
        let layout = Layout {
            format: FORMAT,
            description: self,
        };
        let json = serde_json::to_vec(&layout).map_err(|error| SectionError::Json(error.to_string()))?;
        if json.len() > BYTES_MAX {
            return Err(SectionError::Size(json.len()));
        }
        // A section: its id (0, custom), the bytes that follow, the name's length, the name, the content.
        component.push(0);
        leb128(component, 1 + NAME.len() + json.len());
        leb128(component, NAME.len());
        component.extend_from_slice(NAME.as_bytes());
        component.extend_from_slice(&json);
        Ok(())
    }

    /// Reads a section's content.
    ///
    /// # Errors
    /// It is too large, not JSON, or of another layout.
    pub fn read(content: &[u8]) -> Result<Self, SectionError> {
        if content.len() > BYTES_MAX {
            return Err(SectionError::Size(content.len()));
        }
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let json = |error: serde_json::Error| SectionError::Json(error.to_string());
        let Version { format } = serde_json::from_slice(content).map_err(json)?;
        if format != FORMAT {
            return Err(SectionError::Format(format));
        }
        let layout: Layout<Self> = serde_json::from_slice(content).map_err(json)?;
        Ok(layout.description)
    }
}

/// An unsigned LEB128 number, the binary format's own.
fn leb128(into: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            return into.push(low);
        }
        into.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    pub(super) fn example() -> Description {
        let text = str::to_owned;
        Description {
            manifest: Manifest {
                name: text("max-value"),
                version: text("1.0.0"),
                purpose: text("Bounds values."),
                config_schema: text("{\"b\":1,\"a\":2}"),
                formats: vec![text("*")],
                facts: vec![],
                denial_codes: vec![text("value")],
            },
            built_with: BuiltWith {
                rustc: text("rustc 1.95.0"),
                target: text("wasm32-unknown-unknown"),
                std: text("prebuilt"),
                sdk: text("0.1.0"),
                sigwarden: text("0.1.0"),
            },
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut component = Vec::new();
        example().append_to(&mut component).unwrap();
        assert_eq!(component.first(), Some(&0));
        let start = component.windows(NAME.len()).position(|window| window == NAME.as_bytes()).unwrap() + NAME.len();
        let content = component.split_off(start);
        assert_eq!(Description::read(&content), Ok(example()));
        // Id, two bytes of length, one of the name's length, the name.
        assert_eq!(component.len(), 4 + NAME.len());
    }

    #[test]
    fn lengths_are_leb128() {
        for (number, bytes) in [
            (0, vec![0]),
            (127, vec![127]),
            (128, vec![0x80, 1]),
            (624_485, vec![0xe5, 0x8e, 0x26]),
        ] {
            let mut written = Vec::new();
            leb128(&mut written, number);
            assert_eq!(written, bytes);
        }
    }

    #[test]
    fn other_layouts_and_sizes_are_refused() {
        assert!(matches!(Description::read(b"{}"), Err(SectionError::Json(_))));
        assert_eq!(Description::read(br#"{"format":2,"new":{}}"#), Err(SectionError::Format(2)));
        assert_eq!(
            Description::read(&vec![b' '; BYTES_MAX + 1]),
            Err(SectionError::Size(BYTES_MAX + 1))
        );
        let mut large = example();
        large.manifest.config_schema = "x".repeat(BYTES_MAX);
        assert!(matches!(large.append_to(&mut Vec::new()), Err(SectionError::Size(_))));
    }
}
