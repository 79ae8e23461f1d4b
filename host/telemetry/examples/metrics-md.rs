//! Writes the tables of docs/metrics.md anew: `cargo run -p sigwarden-telemetry --example metrics-md`, from the top of the repository.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = "docs/metrics.md";
    let text = std::fs::read_to_string(path)?;
    let (before, rest) = text.split_once("<!-- catalogue -->\n").ok_or("no marker before the tables")?;
    let (_, after) = rest.split_once("<!-- end of catalogue -->").ok_or("no marker after the tables")?;
    let tables = sigwarden_telemetry::metrics::catalogue::tables();
    std::fs::write(
        path,
        format!("{before}<!-- catalogue -->\n{tables}\n<!-- end of catalogue -->{after}"),
    )?;
    Ok(())
}
