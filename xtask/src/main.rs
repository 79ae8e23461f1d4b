//! Chores: `cargo xtask policies | demo | test | bench`.

mod policies;

fn main() -> anyhow::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("policies") => policies::build_all().map(|_| ()),
        _ => anyhow::bail!("usage: cargo xtask policies"),
    }
}
