//! What a daemon saw becomes a fixture that comes out the same, and no longer does once a policy is changed.

use crate::rig::{library, top};
use sigwarden_core::caller::KeyPattern;
use sigwarden_workbench::cli::{self, Outcome, Presentation, RecordArgs};
use sigwarden_workbench::deployment::{Answer, Deployment};
use sigwarden_workbench::fixture::{self, Fixture, Step};
use sigwarden_workbench::prepared::{Prepared, prepare};
use sigwarden_workbench::recording::{
    self, Line, RecordedAllow, RecordedClient, RecordedDeployment, RecordedFloor, RecordedKey, RecordedKeyState, RecordedOutcome,
    RecordedPolicy, RecordedRequest, RecordedState, Recording,
};
use sigwarden_workbench::run::{self, FixtureResult, Observer};
use std::path::Path;

const SCENARIO: &str = include_str!("scenario.toml");

/// What the daemon would write, of a fixture's run.
struct Recorder<'f> {
    fixture: &'f Fixture,
    lines: Vec<Line>,
}

impl Observer for Recorder<'_> {
    fn saw(&mut self, step: &Step, answer: &Answer) {
        let changes = step.key_states.iter().map(|(key, state)| {
            Line::KeyState(RecordedKeyState {
                key: key.clone(),
                state: *state,
                revision: 0,
            })
        });
        self.lines.extend(changes);
        let caller = self.fixture.clients.iter().find(|client| client.uid == Some(step.uid));
        self.lines.push(Line::Request(RecordedRequest {
            at_ms: step.at_ms,
            caller: caller.map(|client| client.name.to_string()),
            operation: step.format.operation().name().to_owned(),
            key: step.key.clone(),
            key_version: None,
            format: step.format.name().to_owned(),
            scheme: String::new(),
            request_id: step.request_id.clone(),
            payload: step.payload.clone(),
            outcome: RecordedOutcome::of(&answer.result),
            revision: 0,
            decisions: None,
            sequence: answer.result.as_ref().ok().map(|signed| signed.sequence),
            replay: answer.result.as_ref().is_ok_and(|signed| signed.replay),
        }));
    }
}

fn pattern(pattern: &KeyPattern) -> String {
    match pattern {
        KeyPattern::All => "*".to_owned(),
        KeyPattern::Namespace(prefix) => format!("{prefix}*"),
        KeyPattern::One(name) => name.to_string(),
    }
}

fn deployment(fixture: &Fixture) -> RecordedDeployment {
    let keys = fixture.keys.iter().map(|key| RecordedKey {
        name: key.id.name.clone(),
        version: key.id.version,
        roles: key.roles.iter().copied().collect(),
        scheme: key.scheme,
        state: key.state,
        created_ms: key.created_ms,
        dangerous_allow_raw_messages: key.dangerous_allow_raw_messages,
        dangerous_allow_raw_digests: key.dangerous_allow_raw_digests,
        dangerous_allow_prefixed_raw: key
            .dangerous_allow_prefixed_raw
            .iter()
            .map(|prefix| prefix.as_str().to_owned())
            .collect(),
        bind: key.bound.as_ref().map(|bound| recording::RecordedBinding {
            chain_id: bound.chain_id.clone(),
            validator_id: bound.validator_id,
            suite_id: bound.suite_id,
        }),
        floors: key
            .floors
            .iter()
            .map(|(key, floor)| RecordedFloor {
                chain_id: key.chain_id.clone(),
                class: key.class,
                position: floor.position,
                sign_bytes: None,
            })
            .collect(),
    });
    let clients = fixture.clients.iter().map(|client| RecordedClient {
        name: client.name.to_string(),
        allow: client
            .allow
            .iter()
            .map(|allow| RecordedAllow {
                keys: allow.keys.iter().map(pattern).collect(),
                operations: allow.operations.clone(),
                formats: allow
                    .formats
                    .as_ref()
                    .map(|formats| formats.iter().map(ToString::to_string).collect()),
            })
            .collect(),
    });
    let module = |name: &str| top().join(format!("target/policies/{name}.wasm")).display().to_string();
    let policies = fixture.policies.iter().map(|policy| RecordedPolicy {
        name: policy.name.clone(),
        module: module(&policy.module),
        config_json: policy.config_json.clone(),
        keys: policy.keys.as_ref().map(|keys| keys.iter().map(pattern).collect()),
        roles: policy.roles.clone(),
        formats: None,
        fuel: policy.fuel,
        deadline_ms: policy.deadline_ms,
        memory_bytes: policy.memory_bytes,
        state: RecordedState::default(),
    });
    RecordedDeployment {
        version: recording::VERSION,
        network: fixture.network,
        started_ms: fixture.start_ms,
        keys: keys.collect(),
        clients: clients.collect(),
        policies: policies.collect(),
    }
}

fn prepared(file: &Path, text: &str) -> Prepared {
    let fixture = fixture::parse(file, text).unwrap_or_else(|errors| panic!("{errors:#?}\n{text}"));
    prepare(fixture, library()).unwrap_or_else(|errors| panic!("{errors:#?}\n{text}"))
}

fn run(prepared: &Prepared, observer: &mut dyn Observer) -> FixtureResult {
    run::run(prepared, library().engine().hash(), observer)
}

/// Runs a scenario, and gives its recording: JSON lines.
fn recorded(text: &str) -> (Prepared, String) {
    let prepared = prepared(Path::new("scenario.toml"), text);
    let mut recorder = Recorder {
        fixture: &prepared.fixture,
        lines: vec![Line::Deployment(deployment(&prepared.fixture))],
    };
    let result = run(&prepared, &mut recorder);
    assert!(result.passed(), "{result:#?}");
    let lines: Vec<String> = recorder.lines.iter().map(|line| serde_json::to_string(line).unwrap()).collect();
    (prepared, lines.join("\n"))
}

#[test]
fn what_was_recorded_comes_out_the_same_and_not_under_another_policy() {
    let (scenario, lines) = recorded(SCENARIO);
    let recording = Recording::read(&mut lines.as_bytes()).unwrap();
    let file = top().join("target/policies/seen.toml");
    let written = recording::write(&recording, &file).unwrap();
    let text = &written.fixture;
    let left_out: Vec<(usize, &str)> = written.left_out.iter().map(|one| (one.request, one.why.as_str())).collect();
    assert_eq!(left_out, [(24, "`ledger/full` is not the policies' doing")], "{text}");

    let again = prepared(&file, text);
    let steps = |prepared: &Prepared| -> Vec<(u64, Vec<u8>)> {
        let steps = prepared.fixture.steps.iter().filter(|step| step.fault.ledger.is_none());
        steps.map(|step| (step.at_ms, step.payload.clone())).collect()
    };
    assert_eq!(steps(&again), steps(&scenario), "the same bytes at the same time\n{text}");
    let result = run(&again, &mut ());
    assert!(result.passed(), "{result:#?}\n{text}");

    // As a person would have written it.
    for readable in [
        "module = \"rate-limit.wasm\"",
        "config = { rules = [{ capacity = 2, name = \"all\", period = \"60s\" }] }",
        "value = \"500000000 gwei\"",
        "value = \"123456789012345678901234567890\"",
        "max_fee_per_gas = \"30 gwei\"",
        "to = \"create\"",
        "text = \"hello,\\n\\\"world\\\"\"",
        "hex = \"00ff\"",
        "time = \"2026-03-01T10:00:00.123456789Z\"",
        "block = \"nil\"",
        "high_qc = { view = 10, block = ",
        "tagged = { domain = \"batch\"",
        "at = \"1h1ms\"",
        "position = \"100/0/2\"",
        "caller = \"nobody\"",
        "key_states.\"eth.other.v2\" = \"suspended\"",
        "fault.hsm = \"token-lost\"",
        "expect = \"policy/few/exceeded\"\nretry_after = ",
    ] {
        assert!(text.contains(readable), "{readable}\n{text}");
    }
    let deployment = Deployment::new(&scenario.fixture, scenario.policies.clone(), library().engine().hash()).unwrap();
    for public_key in deployment.public_keys() {
        assert!(!text.contains(&hex::encode(public_key)), "a key in\n{text}");
    }

    for (from, to) in [
        ("capacity = 2,", "capacity = 1,"),
        ("capacity = 2,", "capacity = 3,"),
        ("position = \"100/0/2\"", "position = \"100/0/3\""),
        ("keys = [\"eth.hot\"], operations", "keys = [\"*\"], operations"),
    ] {
        assert!(text.contains(from), "{from}\n{text}");
        let other = prepared(&file, &text.replace(from, to));
        assert!(!run(&other, &mut ()).passed(), "{from} -> {to}");
    }
}

#[test]
fn a_configuration_that_toml_cannot_say_is_a_file_beside_the_fixture() {
    let (_, lines) = recorded(SCENARIO);
    let mut recording = Recording::read(&mut lines.as_bytes()).unwrap();
    let large = format!("{{\"rules\":[{{\"name\":\"all\",\"capacity\":{},\"period\":\"60s\"}}]}}", u64::MAX);
    recording.deployment.policies[1].config_json = large.clone();
    let written = recording::write(&recording, &top().join("target/policies/seen.toml")).unwrap();
    assert!(written.fixture.contains("config_file = \"seen.many.json\""), "{}", written.fixture);
    assert_eq!(written.beside, [("seen.many.json".to_owned(), large)]);
}

/// What `policy record` did: how it ended, what it printed, and what it complained of.
fn command(file: &Path, lines: &str) -> (Result<Outcome, String>, String, String) {
    let args = RecordArgs {
        fixture: file.to_owned(),
        ..RecordArgs::default()
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = cli::record(&args, &[], &mut lines.as_bytes(), Presentation::default(), &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (outcome.map_err(|error| error.to_string()), text(out), text(err))
}

#[test]
fn the_command_writes_a_fixture_once_and_says_what_comes_out_otherwise() {
    let (_, lines) = recorded(SCENARIO);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = dir.path().join("seen.toml");
    let (outcome, out, err) = command(&file, &lines);
    assert_eq!(outcome, Ok(Outcome::Passed), "{err}");
    assert_eq!(out, format!("{}: 23 steps, 1 request left out\n", file.display()));
    assert_eq!(err, "request 24 is not in it: `ledger/full` is not the policies' doing\n");

    let before = std::fs::read_to_string(&file).unwrap();
    let (outcome, _, _) = command(&file, &lines);
    assert!(outcome.unwrap_err().contains("it is there already"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);

    // The policy had counted before the recording began.
    let counted: Vec<&str> = lines.lines().take(1).chain(lines.lines().skip(3)).collect();
    let other = dir.path().join("counted.toml");
    let (outcome, out, err) = command(&other, &counted.join("\n"));
    assert_eq!(outcome, Ok(Outcome::Failed), "{out}{err}");
    assert!(err.contains("expected policy/few/exceeded, got allow"), "{err}");
    assert!(err.contains("may have changed a policy's state"), "{err}");

    let nothing = lines.lines().next().unwrap();
    let (outcome, _, _) = command(&dir.path().join("nothing.toml"), nothing);
    assert!(outcome.unwrap_err().contains("no request that a fixture could repeat"));
    assert!(!dir.path().join("nothing.toml").exists());
}
