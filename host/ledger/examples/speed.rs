#[path = "../../../benches/src/ledger_log.rs"]
#[allow(dead_code, missing_docs)]
mod ledger_log;
use std::time::Instant;
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let requests: u64 = std::env::args().nth(1).map_or(500_000, |n| n.parse().unwrap());
    let bytes = ledger_log::write(dir.path(), requests)?;
    println!("{} MB", bytes / 1_000_000);
    for _ in 0..2 {
        let begun = Instant::now();
        let verified = sigwarden_ledger::verify(dir.path(), &mut |_, _| {})?;
        let took = begun.elapsed().as_secs_f64();
        println!("verify {} records {took:.2} s {:.0} MB/s", verified.records, bytes as f64 / took / 1e6);
    }
    let begun = Instant::now();
    let ledger = sigwarden_ledger::EmbeddedLedger::open(dir.path(), ledger_log::settings())?;
    println!("catch-up {:?} {:.2} s", ledger.opening(), begun.elapsed().as_secs_f64());
    Ok(())
}
