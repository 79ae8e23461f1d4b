//! `policy bench` measures every step, suggests limits that hold, and compares with a saved run.

use crate::rig::{HEAD, library, prepared, top, written};
use sigwarden_workbench::bench::{Measured, compare, load, measure, save};
use sigwarden_workbench::cli::{BenchArgs, Outcome, Presentation, bench};

const STEPS: &str = "[[step]]\nname = \"a\"\ntimes = 2\nexpect = \"allow\"\n[[step]]\nname = \"b\"\nexpect = \"exceeded\"\n[[step]]\nfault.hsm = \"busy\"\nat = \"1h\"\nexpect = \"backend/unavailable\"\n";

fn measured() -> Measured {
    let (_dir, prepared) = prepared(&format!("{HEAD}{STEPS}"));
    measure(&[prepared], library(), 5).unwrap()
}

#[test]
fn every_step_without_a_fault_has_its_cost() {
    let measured = measured();
    let steps: Vec<&str> = measured.steps.iter().map(|step| step.step.as_str()).collect();
    assert_eq!(steps, ["a", "b"]);
    for step in &measured.steps {
        assert_eq!(
            (step.policy.as_str(), step.instance.as_str(), step.fixture.as_str()),
            ("rate-limit", "limits", "case")
        );
        assert!(
            step.fuel > 1_000 && step.memory_bytes >= 65_536 && step.memory_bytes % 65_536 == 0,
            "{step:?}"
        );
        assert!(
            step.instantiate.p50 > 0.0 && step.evaluate.p50 > 0.0 && step.evaluate.p99 >= step.evaluate.p50,
            "{step:?}"
        );
    }
    // A denial writes its message.
    assert!(measured.steps[1].fuel > measured.steps[0].fuel);
    assert!(measured.raw_signature.p50 > 0.0 && measured.empty.p50 > 0.0);

    // The same fixture passes under the limits that are suggested, and not under less memory than was measured.
    let suggested = measured.suggested["rate-limit"];
    let with = |fuel: u64, memory: u64| {
        let head = HEAD.replace(
            "module = \"rate-limit\"",
            &format!("module = \"rate-limit\"\nfuel = {fuel}\nmemory_bytes = {memory}"),
        );
        let (_dir, prepared) = prepared(&format!("{head}{STEPS}"));
        sigwarden_workbench::run::run(&prepared, "engine", &mut ()).passed()
    };
    assert!(with(suggested.fuel, suggested.memory_bytes));
    assert!(!with(measured.steps[0].fuel - 1, suggested.memory_bytes));
}

#[test]
fn a_run_is_kept_and_compared_with() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run.json");
    let then = measured();
    save(&file, &then).unwrap();
    assert_eq!(load(&file).unwrap(), then);

    let mut now = then.clone();
    now.steps[0].fuel += 10;
    now.steps[0].evaluate.p50 *= 3.0;
    now.steps[1].step = "c".to_owned();
    let compared = compare(&now, &then);
    assert_eq!(compared[0].step, "rate-limit/case/a (limits)");
    assert_eq!(compared[0].fuel, 10);
    let ratio = compared[0].latency.unwrap();
    assert!((2.9..3.1).contains(&ratio), "{ratio}");
    assert_eq!(compared[1].latency, None);

    std::fs::write(&file, "{}").unwrap();
    assert!(load(&file).unwrap_err().to_string().contains("no saved run"));
}

#[test]
fn it_prints_a_table_with_what_it_is_measured_against() {
    let (dir, file) = written(&format!("{HEAD}{STEPS}"));
    let kept = dir.path().join("kept.json");
    let args = BenchArgs {
        paths: vec![file],
        turns: 2,
        save: Some(kept.clone()),
        against: None,
        modules: vec![top().join("target/policies")],
    };
    let print = |args: &BenchArgs| {
        let mut out = Vec::new();
        let outcome = bench(args, &[], Presentation::default(), &mut out, &mut Vec::new()).unwrap();
        assert_eq!(outcome, Outcome::Passed);
        String::from_utf8(out).unwrap()
    };
    let text = print(&args);
    for wanted in [
        "rate-limit / case / a",
        "the empty policy",
        "one raw secp256k1 signature",
        "would fit, with a margin",
    ] {
        assert!(text.contains(wanted), "{wanted}\n{text}");
    }
    let text = print(&BenchArgs {
        against: Some(kept),
        save: None,
        ..args
    });
    assert!(text.contains("fuel +0, memory +0 KiB  rate-limit/case/a (limits)"), "{text}");
}
