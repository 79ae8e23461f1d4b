//! Compiles the protocol, with protox, so that no `protoc` is needed.

use prost::Message;
use std::error::Error;
use std::path::PathBuf;

const PROTO: &str = "proto/sigwarden/v1/sigwarden.proto";

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    println!("cargo:rerun-if-changed={PROTO}");
    let descriptors = protox::compile([PROTO], ["proto"])?;
    std::fs::write(out.join("sigwarden.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // A shared secret is in it.
        .skip_debug(["sigwarden.v1.DecapsulateResponse"])
        .compile_fds(descriptors)?;
    Ok(())
}
