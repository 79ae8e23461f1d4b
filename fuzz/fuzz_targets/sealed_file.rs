#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sigwarden_fuzz::sealed_file(data));
