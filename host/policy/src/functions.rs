//! Compiled functions of a module, kept from one configuration to the next. A configuration changes a module's memory and hardly any of
//! its code: the compiler finds nineteen of twenty functions here, and is done in a quarter of the time. A reload is no longer than that.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use wasmtime::CacheStore;

/// Bytes of functions kept of one module at most. One of 600 KiB has some 3 MiB of them.
const BYTES_MAX: usize = 64 * 1024 * 1024;

thread_local! {
    /// Those of the module that this thread compiles. wasmtime compiles on the thread that asks for it: its feature `parallel-compilation`
    /// is off, since modules are compiled side by side.
    static COMPILING: RefCell<Option<Functions>> = const { RefCell::new(None) };
}

/// Functions, by the compiler's own key of what they were made from.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Functions {
    known: HashMap<Vec<u8>, Function>,
    /// Bytes of all of them, with their keys.
    bytes: usize,
    /// Some were made that were not known before.
    changed: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Function {
    code: Vec<u8>,
    /// By what was compiled last.
    used: bool,
}

impl Functions {
    /// Runs a compilation on this thread that finds these functions; they are more afterwards.
    pub(crate) fn while_compiling<R>(&mut self, compile: impl FnOnce() -> R) -> R {
        let given = std::mem::take(self);
        COMPILING.set(Some(given));
        let compiled = compile();
        *self = COMPILING.take().unwrap_or_default();
        compiled
    }

    /// Whether there are any that the one who gave them does not know.
    pub(crate) fn changed(&self) -> bool {
        self.changed
    }

    /// Those that the last compilation used, as bytes: for each its key's length (4, little-endian), its key, its code's length, its code.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes);
        for (key, function) in self.known.iter().filter(|(_, function)| function.used) {
            for part in [key, &function.code] {
                // Under [`BYTES_MAX`] all together.
                bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
                bytes.extend_from_slice(part);
            }
        }
        bytes
    }

    /// From [`Self::encode`]'s bytes; `None` if they are none of it.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut functions = Self::default();
        while !bytes.is_empty() {
            let (key, rest) = part(bytes)?;
            let (code, rest) = part(rest)?;
            functions.add(key, code.to_vec(), false);
            bytes = rest;
        }
        Some(functions)
    }

    fn find(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let function = self.known.get_mut(key)?;
        function.used = true;
        Some(function.code.clone())
    }

    /// Whether it is kept.
    fn add(&mut self, key: &[u8], code: Vec<u8>, used: bool) -> bool {
        let bytes = 8 + key.len() + code.len();
        if self.bytes.saturating_add(bytes) > BYTES_MAX {
            return false;
        }
        if self.known.insert(key.to_vec(), Function { code, used }).is_none() {
            self.bytes += bytes;
        }
        true
    }
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

/// What an engine's compiler asks: the functions that its thread has, if it has any.
#[derive(Debug)]
pub(crate) struct OfThisThread;

impl CacheStore for OfThisThread {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        COMPILING.with_borrow_mut(|functions| functions.as_mut()?.find(key)).map(Cow::Owned)
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        COMPILING.with_borrow_mut(|functions| {
            let Some(functions) = functions else { return false };
            let kept = functions.add(key, value, true);
            functions.changed |= kept;
            kept
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn what_a_compilation_used_is_kept_and_what_it_did_not_is_forgotten() {
        let mut functions = Functions::default();
        functions.while_compiling(|| {
            assert_eq!(OfThisThread.get(b"a"), None);
            assert!(OfThisThread.insert(b"a", vec![1]));
            assert!(OfThisThread.insert(b"b", vec![2; 300]));
        });
        assert!(functions.changed());
        let mut again = Functions::decode(&functions.encode()).unwrap();
        again.while_compiling(|| assert_eq!(OfThisThread.get(b"b").as_deref(), Some(&[2; 300][..])));
        assert!(!again.changed());
        let third = Functions::decode(&again.encode()).unwrap();
        assert!(third.known.contains_key(&b"b"[..]) && third.known.len() == 1);
    }

    #[test]
    fn a_thread_that_compiles_without_them_keeps_nothing() {
        assert!(!OfThisThread.insert(b"a", vec![1]));
        assert_eq!(OfThisThread.get(b"a"), None);
        let mut functions = Functions::default();
        functions.while_compiling(|| {
            let other = std::thread::spawn(|| OfThisThread.insert(b"a", vec![1])).join();
            assert!(!other.unwrap());
        });
        assert_eq!(functions, Functions::default());
    }

    #[test]
    fn more_than_the_bound_is_not_kept() {
        let mut functions = Functions::default();
        functions.while_compiling(|| {
            assert!(OfThisThread.insert(b"a", vec![0; BYTES_MAX - 9]));
            assert!(!OfThisThread.insert(b"b", Vec::new()));
        });
        assert_eq!(functions.bytes, BYTES_MAX);
    }

    #[test]
    fn bytes_that_are_cut_are_no_functions() {
        let mut functions = Functions::default();
        functions.while_compiling(|| OfThisThread.insert(b"key", vec![7; 5]));
        let bytes = functions.encode();
        for cut in 1..bytes.len() {
            assert_eq!(Functions::decode(&bytes[..cut]), None, "cut at {cut}");
        }
    }
}
