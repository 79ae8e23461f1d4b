//! Policies that try what a policy must not be able to do; see README.md beside this.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod bombs;
mod compiling;
mod module;
mod sandbox;

use module::{Module, Must};
use sandbox::{Honest, code, job, load, name};
use sigwarden_core::policy::{Evaluator, Verdict};

/// How often a module that is held harmless is asked: what it kept of the first time would show.
const ROUNDS: usize = 3;

/// Kilobytes that this process may ever hold, all tests together: none of these modules costs the host much, whatever it tries. A
/// backstop: it takes some 140,000.
const PEAK_MAX: u64 = 1024 * 1024;

/// The most memory that was resident so far, in kilobytes; 0 where nobody tells.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok())
        .unwrap_or(0)
}

/// What came of a module, in the words of the files; nothing if it is what must come.
fn differs(module: &Module) -> Option<String> {
    let sandbox = match (load(&module.wasm, module.limits.clone()), &module.must) {
        (Err(fault), Must::Load { fault: wanted, part }) => {
            let as_wanted = name(&fault) == wanted.join(" ") && fault.to_string().contains(part);
            return (!as_wanted).then(|| format!("load {}: {fault}", name(&fault)));
        }
        (Err(fault), _) => return Some(format!("load {}: {fault}", name(&fault))),
        (Ok(_), Must::Load { .. }) => return Some("it loads".to_owned()),
        (Ok(sandbox), _) => sandbox,
    };
    (0..ROUNDS).find_map(|round| {
        let came = sandbox.evaluate(job());
        let as_wanted = match (&came, &module.must) {
            (Err(failure), Must::Refuse { code: wanted, part }) => code(failure.kind) == wanted && failure.message.contains(part),
            (Ok(report), Must::Allow { part }) => match (&report.verdict, part) {
                (Verdict::Allow(note), None) => note.is_none(),
                (Verdict::Allow(note), Some(part)) => note.as_ref().is_some_and(|note| note.contains(part) && note.len() <= 256),
                (Verdict::Deny(_), _) => false,
            },
            (Ok(report), Must::Deny { code, part, retry_at }) => match &report.verdict {
                Verdict::Deny(denials) => denials.iter().all(|denial| {
                    denial.code == *code && denial.message.contains(part) && denial.message.len() <= 512 && denial.retry_at_ms == *retry_at
                }),
                Verdict::Allow(_) => false,
            },
            (Ok(report), Must::Log { lines, part }) => {
                report.verdict == Verdict::Allow(None)
                    && report.log.len() == *lines
                    && report.log.last().is_some_and(|line| line.text.contains(part))
            }
            (Ok(_), Must::Load { .. } | Must::Refuse { .. }) | (Err(_), _) => false,
        };
        let said = match came {
            Ok(report) => format!("{:?}, {} lines of log, {:?}", report.verdict, report.log.len(), report.log.last()),
            Err(failure) => format!("refuse {}: {}", code(failure.kind), failure.message),
        };
        (!as_wanted).then(|| format!("round {round}: {said}"))
    })
}

#[test]
fn the_sandbox_holds() {
    let files = module::files();
    assert!(files.len() >= 40, "at least 40 hostile modules");
    let honest = Honest::new();
    let mut differing = Vec::new();
    for file in &files {
        let module = Module::read(file);
        if let Some(said) = differs(&module) {
            differing.push(format!("{}\n   must: {:?}\n   came: {said}", module.name, module.must));
        }
        honest.still_served(&module.name);
    }
    let peak = peak_memory();
    assert!(peak < PEAK_MAX, "{peak} KiB resident at the most");
    assert!(
        differing.is_empty(),
        "{} of {}:\n{}",
        differing.len(),
        files.len(),
        differing.join("\n")
    );
}

#[test]
fn hostile_modules_side_by_side_do_not_reach_an_honest_one() {
    let honest = Honest::new();
    let modules = ["loop-in-evaluate", "hoard-page-by-page", "recursion", "counter-in-memory"].map(|name| {
        let path = module::files().into_iter().find(|path| path.file_stem().unwrap() == name).unwrap();
        let module = Module::read(&path);
        load(&module.wasm, module.limits).unwrap()
    });
    std::thread::scope(|scope| {
        for sandbox in &modules {
            scope.spawn(move || {
                for _ in 0..20 {
                    let _ = sandbox.evaluate(job());
                }
            });
        }
        for round in 0..100 {
            honest.still_served(&format!("round {round}"));
        }
    });
}

#[test]
fn looking_at_a_hostile_module_is_safe_and_tells_what_the_host_would_refuse() {
    for file in module::files() {
        let module = Module::read(&file);
        let told = match sigwarden_component::inspect::inspect(&module.wasm) {
            Ok(inspection) => inspection.problems.join("\n"),
            Err(error) => error.to_string(),
        };
        let Must::Load { fault, .. } = &module.must else {
            assert_eq!(told, "", "{}", module.name);
            continue;
        };
        // Limits of the sandbox and what a module does are not seen from outside.
        let visible =
            ["imports", "version", "exports", "not-a-component"].contains(&fault[0].as_str()) || module.name.starts_with("feature-");
        assert!(!visible || !told.is_empty(), "{}: {fault:?}", module.name);
    }
}
