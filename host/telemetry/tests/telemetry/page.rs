//! The page of metrics, after requests that went each way.

use crate::full::full;
use crate::world::{NOW, World, build, value};
use sigwarden_core::ledger::{Entry, Refused, Shadowed};
use sigwarden_core::policy::Verdict;
use sigwarden_core::{Code, Format, Ledger, Operation, Refusal};
use sigwarden_telemetry::http::Readiness;
use sigwarden_telemetry::metrics::catalogue::SECTIONS;
use sigwarden_telemetry::metrics::{Facts, Listener};
use sigwarden_telemetry::{Metrics, Observed};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[test]
fn requests_are_counted_by_operation_format_and_what_came_of_them() {
    let world = World::new();
    for _ in 0..3 {
        world.message("hello").unwrap();
    }
    world.vote("5/a").unwrap();
    world.vote("5/a").unwrap();
    assert_eq!(world.vote("5/b").unwrap_err().kind(), Code::FloorConflict);
    assert_eq!(world.message("gone").unwrap_err().kind(), Code::BackendUnavailable);
    world.message("deny:too-much").unwrap_err();
    world.sign("own.account", "nonsense\n\"}", "x").unwrap_err();
    world.sign("nobody.knows", "raw-message/none", "x").unwrap_err();

    let page = world.page();
    let requests = |format: &str, result: &str| {
        value(
            &page,
            &format!("sigwarden_requests_total{{operation=\"sign\",format=\"{format}\",result=\"{result}\"}}"),
        )
    };
    assert_eq!(requests("raw-message/none", "done"), 3.0);
    assert_eq!(requests("raw-message/none", "failed"), 1.0);
    assert_eq!(requests("raw-message/none", "refused"), 2.0);
    assert_eq!(requests("cometbft/vote", "done"), 1.0);
    assert_eq!(requests("cometbft/vote", "repeated"), 1.0);
    assert_eq!(requests("cometbft/vote", "refused"), 1.0);
    assert_eq!(requests("unknown", "refused"), 1.0);
    // What can be is there at 0, so that its first time is a rise.
    assert_eq!(requests("evm/eip-1559", "done"), 0.0);

    for (code, count) in [
        ("floor/conflict", 1.0),
        ("backend/unavailable", 1.0),
        ("policy", 1.0),
        ("request/unknown-format", 1.0),
        ("caller/forbidden", 1.0),
        ("ledger/failed", 0.0),
    ] {
        assert_eq!(
            value(&page, &format!("sigwarden_refusals_total{{code=\"{code}\"}}")),
            count,
            "{code}"
        );
    }
    // Both policies deny it.
    for policy in ["p0", "p1"] {
        let sample = format!("sigwarden_policy_denials_total{{policy=\"{policy}\",code=\"too-much\"}}");
        assert_eq!(value(&page, &sample), 1.0);
    }
    assert_eq!(value(&page, "sigwarden_key_refusals_total{key=\"own.account\"}"), 2.0);
    assert_eq!(value(&page, "sigwarden_key_refusals_total{key=\"cosmos.validator\"}"), 1.0);
    assert_eq!(value(&page, "sigwarden_key_refusals_total{key=\"other\"}"), 1.0);
    assert!(
        !page.contains("nobody.knows") && !page.contains("nonsense"),
        "a caller's text became a label"
    );
    assert_eq!(
        value(
            &page,
            "sigwarden_backend_errors_total{backend=\"hsm\",code=\"backend/unavailable\"}"
        ),
        1.0
    );
    assert!(!page.contains("secret"), "a backend's text is in the page");
}

#[test]
fn histograms_hold_what_the_records_say() {
    let world = World::new();
    for _ in 0..4 {
        world.message("hello").unwrap();
    }
    world.message("deny:no").unwrap_err();
    world.metrics.ledger_wrote(3, Duration::from_millis(15));
    world.metrics.queued(Duration::from_micros(150));
    let page = world.page();
    assert_eq!(value(&page, "sigwarden_request_seconds_count{result=\"done\"}"), 4.0);
    assert_eq!(value(&page, "sigwarden_request_seconds_count{result=\"refused\"}"), 1.0);
    // The denied one was evaluated, and neither committed nor signed.
    for (stage, count) in [("evaluate", 5.0), ("commit", 4.0), ("sign", 4.0)] {
        assert_eq!(
            value(&page, &format!("sigwarden_stage_seconds_count{{stage=\"{stage}\"}}")),
            count,
            "{stage}"
        );
    }
    assert_eq!(value(&page, "sigwarden_policy_seconds_count{policy=\"p0\"}"), 4.0);
    assert_eq!(value(&page, "sigwarden_backend_seconds_count{backend=\"hsm\"}"), 4.0);
    assert_eq!(value(&page, "sigwarden_commit_requests_bucket{le=\"1.0\"}"), 4.0);
    assert_eq!(value(&page, "sigwarden_ledger_batch_records_bucket{le=\"2.0\"}"), 0.0);
    assert_eq!(value(&page, "sigwarden_ledger_batch_records_bucket{le=\"4.0\"}"), 1.0);
    assert_eq!(value(&page, "sigwarden_ledger_write_seconds_sum"), 0.015);
    assert_eq!(value(&page, "sigwarden_queue_seconds_bucket{le=\"0.0001\"}"), 0.0);
    assert_eq!(value(&page, "sigwarden_queue_seconds_bucket{le=\"0.0002\"}"), 1.0);
    // The sum is the records' own microseconds.
    let sums = |entries: &[Entry]| -> u64 {
        let of = |entry: &Entry| match entry {
            Entry::Outcome(outcome) => outcome.stages.iter().map(|(_, micros)| micros).sum(),
            Entry::Refused(_) | Entry::Shadow(_) => 0,
        };
        entries.iter().map(of).sum()
    };
    let recorded = sums(&world.ledger.entries.lock().unwrap());
    let summed = value(&page, "sigwarden_request_seconds_sum{result=\"done\"}");
    #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
    let wanted = recorded as f64 / 1e6;
    assert!((summed - wanted).abs() < 1e-9, "{summed} {wanted}");
}

#[test]
fn a_stage_that_took_long_is_in_its_bucket() {
    use sigwarden_core::pipeline::Stage;
    let world = World::new();
    let observed = Observed::new(Arc::clone(&world.ledger), Arc::clone(&world.metrics));
    observed.append(Entry::Refused(refused(
        Refusal::new(Code::Contention, "x"),
        vec![
            (Stage::Evaluate, 30_000),
            (Stage::Commit, 7),
            // Round again.
            (Stage::Evaluate, 30_000),
            (Stage::Commit, 12_000_000),
        ],
    )));
    let page = world.page();
    let bucket = |stage: &str, le: &str| value(&page, &format!("sigwarden_stage_seconds_bucket{{le=\"{le}\",stage=\"{stage}\"}}"));
    assert_eq!((bucket("evaluate", "0.05"), bucket("evaluate", "0.1")), (0.0, 1.0));
    assert_eq!((bucket("commit", "10.0"), bucket("commit", "+Inf")), (0.0, 1.0));
    assert_eq!(value(&page, "sigwarden_request_seconds_sum{result=\"refused\"}"), 12.060_007);
}

fn refused(refusal: Refusal, stages: Vec<(sigwarden_core::pipeline::Stage, u64)>) -> Refused {
    let world = World::new();
    world.message("deny:x").unwrap_err();
    let entry = world.ledger.entries.lock().unwrap().pop().unwrap();
    let Entry::Refused(entry) = entry else { panic!("{entry:?}") };
    Refused { refusal, stages, ..entry }
}

#[test]
fn a_guest_that_makes_codes_up_gets_no_more_than_its_share_of_series() {
    let world = World::new();
    world.metrics.policy("p0", ["declared"]);
    for number in 0..100 {
        world.message(&format!("deny:made-up-{number}")).unwrap_err();
    }
    let page = world.page();
    let of_p0 = page
        .lines()
        .filter(|line| line.starts_with("sigwarden_policy_denials_total{policy=\"p0\""))
        .count();
    // Thirty-two, and the rest.
    assert_eq!(of_p0, 33);
    assert_eq!(value(&page, "sigwarden_policy_denials_total{policy=\"p0\",code=\"declared\"}"), 0.0);
    assert_eq!(
        value(&page, "sigwarden_policy_denials_total{policy=\"p0\",code=\"made-up-30\"}"),
        1.0
    );
    assert_eq!(value(&page, "sigwarden_policy_denials_total{policy=\"p0\",code=\"other\"}"), 69.0);
    assert_eq!(value(&page, "sigwarden_policy_denials_total{policy=\"p1\",code=\"other\"}"), 68.0);
}

#[test]
fn shadows_are_compared_with_what_was_answered() {
    let world = World::new();
    let observed = Observed::new(Arc::clone(&world.ledger), Arc::clone(&world.metrics));
    let deny = || Ok(Verdict::Deny(vec![]));
    let allow = || Ok(Verdict::Allow(None));
    let failed = || Err(Refusal::new(Code::SandboxTrap, "x"));
    for (live, verdict) in [
        (false, allow()),
        (true, deny()),
        (false, deny()),
        (true, allow()),
        (true, allow()),
        (false, failed()),
    ] {
        observed.append(Entry::Shadow(Shadowed {
            instance: "next".into(),
            module_digest: "11".into(),
            config_digest: "22".into(),
            request_id: "id".into(),
            caller: "tester".into(),
            key: "own.account.v1".parse().unwrap(),
            operation: Operation::Sign,
            format: Format::RawDigest,
            live: if live { vec!["policy/p0/x".into()] } else { vec![] },
            verdict,
            fuel: 1,
            micros: 1,
            now_ms: NOW,
        }));
    }
    let page = world.page();
    for (verdict, count) in [("same", 2.0), ("stricter", 1.0), ("looser", 2.0), ("failed", 1.0)] {
        let sample = format!("sigwarden_shadow_verdicts_total{{policy=\"next\",verdict=\"{verdict}\"}}");
        assert_eq!(value(&page, &sample), count, "{verdict}");
    }
    // A shadow's word is no request.
    assert_eq!(value(&page, "sigwarden_request_seconds_count{result=\"done\"}"), 0.0);
}

#[test]
fn keys_floors_and_the_ledger_are_as_of_now() {
    let world = World::new();
    world.vote("7/a").unwrap();
    world.message("hello").unwrap();
    world.message("hello").unwrap();
    let page = world.page();
    for (sample, wanted) in [
        ("sigwarden_ready{network=\"devnet\"}", 1.0),
        ("sigwarden_check_ok{check=\"ledger\"}", 1.0),
        ("sigwarden_keys{state=\"active\"}", 2.0),
        ("sigwarden_keys{state=\"suspended\"}", 0.0),
        ("sigwarden_keys_due{network=\"devnet\"}", 1.0),
        ("sigwarden_key_due{key=\"own.account.v1\"}", 1.0),
        ("sigwarden_key_due{key=\"cosmos.validator.v1\"}", 0.0),
        ("sigwarden_key_signs{key=\"own.account.v1\",state=\"active\"}", 1.0),
        ("sigwarden_key_uses_total{key=\"own.account.v1\"}", 2.0),
        ("sigwarden_key_uses_total{key=\"cosmos.validator.v1\"}", 1.0),
        ("sigwarden_key_created_timestamp_seconds{key=\"own.account.v1\"}", 1_700_000_000.0),
        // Both names have one public key: the least stands for it.
        (
            "sigwarden_floor_height{key=\"cosmos.validator.v1\",chain_id=\"chain-1\",class=\"cometbft\"}",
            7.0,
        ),
        ("sigwarden_ledger_records_total{network=\"devnet\"}", 12.0),
        ("sigwarden_ledger_writes_total{network=\"devnet\"}", 4.0),
        ("sigwarden_refusals_dropped_total{network=\"devnet\"}", 3.0),
        ("sigwarden_ledger_lag_records", 2.0),
        ("sigwarden_ledger_room{room=\"short\"}", 1.0),
        ("sigwarden_ledger_room{room=\"plenty\"}", 0.0),
        ("sigwarden_disk_free_bytes", 1_073_741_824.0),
        ("sigwarden_clock_behind_seconds", 1.5),
        ("sigwarden_state_entries{kind=\"floors\"}", 1.0),
        ("sigwarden_build_info{version=\"9.8.7\",revision=\"abc\",network=\"devnet\"}", 1.0),
        (
            "sigwarden_key_info{key=\"cosmos.validator.v1\",role=\"consensus\",scheme=\"ed25519\",backend=\"hsm\"}",
            1.0,
        ),
    ] {
        assert_eq!(value(&page, sample), wanted, "{sample}");
    }
    assert!(page.ends_with("# EOF\n"));
}

#[test]
fn what_the_edges_tell_is_on_the_page() {
    let (world, facts, readiness) = full();
    let open = [world.metrics.connected(Listener::Tls), world.metrics.connected(Listener::Tls)];
    let page = world.metrics.page(facts, &readiness);
    drop(open);
    assert!(!page.contains("account-256"), "only so many are shown");
    for (sample, wanted) in [
        ("sigwarden_ready{network=\"devnet\"}", 0.0),
        ("sigwarden_check_ok{check=\"backend/hsm\"}", 0.0),
        ("sigwarden_watermark_position{policy=\"nonces\",name=\"account-255\"}", 1255.0),
        ("sigwarden_connections{listener=\"tls\"}", 2.0),
        ("sigwarden_connections_accepted_total{listener=\"tls\"}", 3.0),
        ("sigwarden_connections_refused_total{listener=\"socket\"}", 1.0),
        ("sigwarden_tls_handshake_failures_total{reason=\"expired\"}", 1.0),
        ("sigwarden_tls_handshake_failures_total{reason=\"no-certificate\"}", 0.0),
        ("sigwarden_tls_handshake_failures_total{reason=\"other\"}", 1.0),
        ("sigwarden_json_rpc_requests_total{method=\"eth_sign\",result=\"answered\"}", 1.0),
        ("sigwarden_json_rpc_requests_total{method=\"other\",result=\"error\"}", 1.0),
        ("sigwarden_peer_up{kind=\"privval\",peer=\"sentry-1\"}", 1.0),
        ("sigwarden_peer_connects_total{kind=\"privval\",peer=\"sentry-1\"}", 2.0),
        ("sigwarden_peer_failures_total{kind=\"privval\",peer=\"sentry-1\"}", 1.0),
        (
            "sigwarden_certificate_expiry_timestamp_seconds{certificate=\"server\"}",
            1_800_000_000.0,
        ),
        ("sigwarden_queue_length", 5.0),
        ("sigwarden_queue_limit", 1024.0),
        ("sigwarden_backend_up{backend=\"hsm\",kind=\"pkcs11\"}", 0.0),
        ("sigwarden_hsm_sign_success_total{backend=\"hsm\"}", 9.0),
        ("sigwarden_hsm_sign_error_total{backend=\"hsm\",kind=\"pin\"}", 1.0),
        ("sigwarden_hsm_last_latency_ms{backend=\"hsm\"}", 2.5),
        ("sigwarden_hsm_failovers_total{backend=\"hsm\"}", 2.0),
        ("sigwarden_hsm_reconnects_total{backend=\"hsm\"}", 3.0),
        ("sigwarden_hsm_sessions_in_use{backend=\"hsm\",token=\"signer \\\"a\\\"\"}", 4.0),
        (
            "sigwarden_hsm_token_ready{backend=\"hsm\",token=\"signer \\\"a\\\"\",state=\"ready\"}",
            1.0,
        ),
    ] {
        assert_eq!(value(&page, sample), wanted, "{sample}");
    }
    let digests = format!("module_digest=\"{}\",config_digest=\"{}\"}}", "1".repeat(64), "2".repeat(64));
    assert_eq!(
        value(
            &page,
            &format!("sigwarden_policy_info{{policy=\"p0\",version=\"0.1.0\",mode=\"shadow\",{digests}")
        ),
        1.0
    );
    // This very process.
    assert!(value(&page, "process_resident_memory_bytes") > 1e6);
    assert!(value(&page, "process_open_fds") >= 3.0);
    let age = NOW as f64 / 1000.0;
    assert!(value(&page, "process_start_time_seconds") > age, "started before {age}");
}

/// Both directions, with types: what the page has is in the catalogue, and all of the catalogue is on a page that has everything.
#[test]
fn the_page_is_the_catalogue() {
    let (world, facts, readiness) = full();
    let page = world.metrics.page(facts, &readiness);
    println!("{page}");
    let catalogue: BTreeSet<String> = SECTIONS
        .iter()
        .flat_map(|(_, metrics)| *metrics)
        .flat_map(|metric| metric.samples())
        .collect();
    let exposed: BTreeSet<String> = page
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(['{', ' ']).next().unwrap().to_owned())
        .collect();
    assert_eq!(exposed, catalogue);
    let mut described = BTreeSet::new();
    for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        assert!(described.insert(line.to_owned()), "described twice: {line}");
    }
    // One set of labels for each metric.
    for metric in SECTIONS.iter().flat_map(|(_, metrics)| *metrics) {
        for sample in metric.samples() {
            for line in page.lines().filter(|line| line.split(['{', ' ']).next() == Some(&sample)) {
                let names: Vec<_> = line
                    .match_indices("=\"")
                    .map(|(at, _)| line[..at].rsplit(['{', ',']).next().unwrap())
                    .filter(|name| *name != "le")
                    .collect();
                assert_eq!(names, metric.labels, "{line}");
            }
        }
    }
}

/// A page before anything has happened, and without facts, is whole too.
#[test]
fn an_empty_page_is_a_page() {
    let page = Metrics::new(build()).page(Facts::default(), &Readiness::default());
    assert!(page.ends_with("# EOF\n"));
    assert_eq!(value(&page, "sigwarden_ready{network=\"devnet\"}"), 0.0);
}

#[test]
fn the_ledger_behind_is_asked_for_everything() {
    let world = World::new();
    world.message("hello").unwrap();
    assert_eq!(world.ledger.announced.load(Ordering::SeqCst), 1);
    world.message("deny:x").unwrap_err();
    // Announced and withdrawn.
    assert_eq!(world.ledger.announced.load(Ordering::SeqCst), 1002);
    assert_eq!(world.ledger.entries.lock().unwrap().len(), 2);
    let observed = Observed::new(Arc::clone(&world.ledger), Arc::clone(&world.metrics));
    assert_eq!(observed.snapshot().keys.len(), 2);
}
