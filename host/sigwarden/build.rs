//! Compiles the protocol (with protox, so that no `protoc` is needed) and embeds the reference policies.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const ADMIN: &str = "proto/sigwarden/admin/v1/admin.proto";
/// In the order in which `init` binds the first four.
const POLICIES: [&str; 9] = [
    "network-mode",
    "payload-rules",
    "monotonic",
    "rate-limit",
    "allow-callers",
    "expressions",
    "key-scope",
    "spend-limit",
    "time-window",
];
/// How many `init` binds.
const BOUND: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    administration()?;
    policies(&out)
}

/// Apart from the signing protocol, so that reflection on the signing socket does not speak of it.
fn administration() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={ADMIN}");
    let admin = protox::compile([ADMIN], ["proto"])?;
    tonic_prost_build::configure()
        // It carries the secret of an import.
        .skip_debug([
            "sigwarden.admin.v1.AddKeyRequest",
            "sigwarden.admin.v1.SecretRequest",
            "sigwarden.admin.v1.SecretResponse",
        ])
        .compile_fds(admin)?;
    Ok(())
}

/// Embeds what `cargo xtask policies` left under `target/policies` of the workspace, wherever cargo's own target directory is.
fn policies(out: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-env-changed=SIGWARDEN_POLICIES");
    let directory = match std::env::var_os("SIGWARDEN_POLICIES") {
        // For packagers, who build the components elsewhere.
        Some(directory) => PathBuf::from(directory),
        None => PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../target/policies"),
    };
    let mut code = String::from(
        "/// Name and component of each reference policy; first those that `init` binds, in its order.\npub const LIBRARY: &[(&str, &[u8])] = &[\n",
    );
    for name in POLICIES {
        let file = directory.join(format!("{name}.wasm"));
        println!("cargo:rerun-if-changed={}", file.display());
        let file = file.canonicalize().map_err(|error| {
            format!(
                "the reference policy {} is not built ({error}): run cargo xtask policies",
                file.display()
            )
        })?;
        writeln!(code, "    ({name:?}, include_bytes!({:?})),", file.display().to_string())?;
    }
    code.push_str("];\n");
    writeln!(
        code,
        "/// Those that `init` binds.\npub const POLICIES: &[(&str, &[u8])] = LIBRARY.split_at({BOUND}).0;"
    )?;
    std::fs::write(out.join("policies.rs"), code)?;
    Ok(())
}
