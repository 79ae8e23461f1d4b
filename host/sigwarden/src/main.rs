//! The `sigwarden` binary. Everything is in the library, so that tests drive it too.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    sigwarden::cli::main()
}
