//! What `policy test` prints, writes and returns.

use crate::rig::{HEAD, top, written};
use sigwarden_workbench::cli::{Outcome, Presentation, TestArgs, WorkbenchError, test};
use std::path::Path;

struct Printed {
    outcome: Outcome,
    out: String,
    err: String,
}

fn args(file: &Path) -> TestArgs {
    TestArgs {
        paths: vec![file.to_owned()],
        modules: vec![top().join("target/policies")],
        ..TestArgs::default()
    }
}

fn printed(args: &TestArgs, json: bool) -> Printed {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let presentation = Presentation { json, colour: false };
    let outcome = test(args, &[], presentation, &mut out, &mut err).unwrap();
    Printed {
        outcome,
        out: String::from_utf8(out).unwrap(),
        err: String::from_utf8(err).unwrap(),
    }
}

const STEPS: &str = r#"
[[step]]
name = "right"
expect = "allow"
[[step]]
name = "wrong <&>"
expect = "exceeded"
"#;

#[test]
fn people_see_what_failed_where_and_what_changed() {
    let (_dir, file) = written(&format!("{HEAD}{STEPS}"));
    let printed = printed(&args(&file), false);
    assert_eq!((printed.outcome, printed.outcome.exit_code()), (Outcome::Failed, 1));
    let line = HEAD.lines().count() + 5;
    for wanted in [
        "FAIL  tested / case  2 steps",
        "FAIL  wrong <&>: allow",
        &format!("case.toml:{line}:1"),
        "expected exceeded, got allow",
        "state   bucket limits `all`: 1 -> 0",
        "1 passed, 1 failed  1 fixtures in",
    ] {
        assert!(printed.out.contains(wanted), "{wanted}\n{}", printed.out);
    }
    assert!(!printed.out.contains("right"), "only what failed: {}", printed.out);
    assert!(!printed.out.contains('\u{1b}'));
}

#[test]
fn machines_get_one_object_a_step() {
    let (_dir, file) = written(&format!("{HEAD}{STEPS}"));
    let printed = printed(&args(&file), true);
    let lines: Vec<serde_json::Value> = printed.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    let texts = |name: &str| lines.iter().map(|line| line[name].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(texts("policy"), ["tested", "tested"]);
    assert_eq!(texts("fixture"), ["case", "case"]);
    assert_eq!(texts("step"), ["right", "wrong <&>"]);
    assert_eq!(texts("expected"), ["allow", "exceeded"]);
    assert_eq!(texts("got"), ["allow", "allow"]);
    assert!(lines.iter().all(|line| line["us"].is_u64()));
    assert_eq!(lines[0]["passed"], true);
    assert_eq!(lines[1]["failures"][0], "expected exceeded, got allow");
}

#[test]
fn a_ci_gets_junit_and_names_cannot_break_it() {
    let (dir, file) = written(&format!("{HEAD}{STEPS}"));
    let report = dir.path().join("report.xml");
    let with_report = TestArgs {
        junit: Some(report.clone()),
        ..args(&file)
    };
    printed(&with_report, false);
    let xml = std::fs::read_to_string(report).unwrap();
    assert!(
        xml.contains("<testsuite name=\"tested.case\" tests=\"2\" failures=\"1\" errors=\"0\""),
        "{xml}"
    );
    assert!(xml.contains("name=\"wrong &lt;&amp;&gt;\""), "{xml}");
    assert!(xml.contains("<failure message=\"expected exceeded, got allow\">"), "{xml}");
}

#[test]
fn a_filter_shows_some_steps_and_one_that_fits_none_is_an_error() {
    let (_dir, file) = written(&format!("{HEAD}{}", STEPS.replace("exceeded", "allow")));
    let some = TestArgs {
        filter: Some("case/right".to_owned()),
        verbose: true,
        ..args(&file)
    };
    let shown = printed(&some, false);
    assert!(shown.out.contains("right: allow") && !shown.out.contains("wrong"), "{}", shown.out);
    assert_eq!(shown.outcome, Outcome::Passed);
    let none = TestArgs {
        filter: Some("nothing".to_owned()),
        ..args(&file)
    };
    let error = test(&none, &[], Presentation::default(), &mut Vec::new(), &mut Vec::new());
    assert!(matches!(error, Err(WorkbenchError::Filter { .. })));
}

#[test]
fn a_faulty_fixture_is_told_on_standard_error_and_the_others_run() {
    let (dir, file) = written(&format!("{HEAD}{}", STEPS.replace("exceeded", "allow")));
    let bad = file.with_file_name("bad.toml");
    std::fs::write(&bad, "fixture = 1\nx = 2\n").unwrap();
    let all = TestArgs {
        paths: vec![dir.path().to_owned()],
        ..args(&file)
    };
    let printed = printed(&all, false);
    assert_eq!((printed.outcome, printed.outcome.exit_code()), (Outcome::NotRun, 2));
    assert!(printed.err.contains("bad.toml:2:1: x: unknown field `x`"), "{}", printed.err);
    assert!(printed.out.contains("2 passed, 0 failed"), "{}", printed.out);
}

#[test]
fn too_little_reached_fails() {
    let (_dir, file) = written(&format!("{HEAD}{}", STEPS.replace("exceeded", "allow")));
    let min = |least: f64| TestArgs {
        coverage: true,
        coverage_min: Some(least),
        ..args(&file)
    };
    let printed_low = printed(&min(20.0), false);
    assert_eq!(printed_low.outcome, Outcome::Passed);
    for wanted in ["not reached exceeded", "not reached rules[].per", "denial codes: 0 of 1"] {
        assert!(printed_low.out.contains(wanted), "{wanted}\n{}", printed_low.out);
    }
    let printed_high = printed(&min(99.0), false);
    assert_eq!(printed_high.outcome, Outcome::Failed);
    assert!(
        printed_high.err.contains("rate-limit: 30.8 % is reached, 99 % are wanted"),
        "{}",
        printed_high.err
    );
}

#[test]
fn a_path_without_fixtures_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let error = test(&args(dir.path()), &[], Presentation::default(), &mut Vec::new(), &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("there is no fixture"), "{error}");
}
