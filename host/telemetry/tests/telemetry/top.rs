//! `sigwarden top`: from two pages to a picture.

use crate::full::full;
use crate::world::World;
use clap::Parser;
use sigwarden_telemetry::http::Readiness;
use sigwarden_telemetry::top::{PageError, Scrape, Sort, TopArgs, TopError, View, draw, run, scrape};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

/// A page with these counts; histograms as a daemon writes them.
fn page(done: u64, refused: u64, uses: u64) -> String {
    let started = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
        - (2 * 86_400 + 3 * 3600 + 600);
    let histogram = |name: &str, label: &str, count: u64| {
        format!(
            "{name}_sum{{{label}}} {}\n{name}_count{{{label}}} {count}\n{name}_bucket{{le=\"0.0002\",{label}}} 0\n\
             {name}_bucket{{le=\"0.0005\",{label}}} {}\n{name}_bucket{{le=\"0.001\",{label}}} {count}\n{name}_bucket{{le=\"+Inf\",{label}}} {count}\n",
            count as f64 * 0.0004,
            count / 2,
        )
    };
    let mut text = format!(
        "sigwarden_build_info{{version=\"0.1.0\",revision=\"\",network=\"mainnet\"}} 1\n\
         sigwarden_ready{{network=\"mainnet\"}} 1\nsigwarden_check_ok{{check=\"ledger\"}} 1\nsigwarden_check_ok{{check=\"backend/hsm\"}} 0\n\
         process_start_time_seconds {started}\nprocess_cpu_seconds_total {}\nprocess_resident_memory_bytes 45088768\nprocess_open_fds 88\nprocess_max_fds 1024\n\
         sigwarden_requests_total{{operation=\"sign\",format=\"cometbft/vote\",result=\"done\"}} {done}\n\
         sigwarden_requests_total{{operation=\"sign\",format=\"evm/eip-1559\",result=\"refused\"}} {refused}\n\
         sigwarden_requests_total{{operation=\"sign\",format=\"evm/legacy\",result=\"done\"}} 0\n\
         sigwarden_refusals_total{{code=\"floor/conflict\"}} 0\nsigwarden_refusals_total{{code=\"caller/forbidden\"}} 7\n\
         sigwarden_refusals_total{{code=\"policy\"}} {refused}\n\
         sigwarden_policy_denials_total{{policy=\"limit\",code=\"exceeded\"}} {refused}\n\
         sigwarden_ledger_records_total{{network=\"mainnet\"}} {}\nsigwarden_ledger_writes_total{{network=\"mainnet\"}} {}\n\
         sigwarden_ledger_lag_records 3\nsigwarden_ledger_room{{room=\"plenty\"}} 1\nsigwarden_ledger_room{{room=\"full\"}} 0\n\
         sigwarden_connections{{listener=\"socket\"}} 16\nsigwarden_connections{{listener=\"tls\"}} 4\nsigwarden_connections{{listener=\"admin\"}} 0\n\
         sigwarden_queue_length 2\nsigwarden_queue_limit 1024\nsigwarden_tls_handshake_failures_total{{reason=\"expired\"}} {refused}\n\
         sigwarden_backend_up{{backend=\"hsm\",kind=\"pkcs11\"}} 0\nsigwarden_peer_up{{kind=\"privval\",peer=\"sentry-1\"}} 1\n\
         sigwarden_key_info{{key=\"cosmos.validator.v1\",role=\"consensus\",scheme=\"ed25519\",backend=\"hsm\"}} 1\n\
         sigwarden_key_info{{key=\"evm.treasury.v2\",role=\"account\",scheme=\"secp256k1-ecdsa\",backend=\"file\"}} 1\n\
         sigwarden_key_signs{{key=\"cosmos.validator.v1\",state=\"active\"}} 1\nsigwarden_key_signs{{key=\"evm.treasury.v2\",state=\"grace\"}} 1\n\
         sigwarden_key_uses_total{{key=\"cosmos.validator.v1\"}} {uses}\nsigwarden_key_uses_total{{key=\"evm.treasury.v2\"}} 1234567\n\
         sigwarden_key_due{{key=\"evm.treasury.v2\"}} 1\nsigwarden_key_due{{key=\"cosmos.validator.v1\"}} 0\n\
         sigwarden_key_refusals_total{{key=\"evm.treasury\"}} {refused}\nsigwarden_key_refusals_total{{key=\"other\"}} 0\n\
         sigwarden_floor_height{{key=\"cosmos.validator.v1\",chain_id=\"cosmoshub-4\",class=\"cometbft\"}} 23456789\n",
        done as f64 / 10_000.0,
        done * 2,
        done / 4,
    );
    text.push_str(&histogram("sigwarden_request_seconds", "result=\"done\"", done));
    text.push_str(&histogram("sigwarden_stage_seconds", "stage=\"commit\"", done));
    text.push_str("# EOF\n");
    text
}

fn view() -> View {
    let (before, now) = (page(1000, 10, 500), page(2600, 13, 2100));
    View::between(
        &Scrape::parse(&before).unwrap(),
        &Scrape::parse(&now).unwrap(),
        Duration::from_secs(2),
    )
}

#[test]
fn rates_and_quantiles_are_of_the_interval() {
    let view = view();
    let rate = |name: &str| view.requests.iter().find(|rate| rate.name == name).unwrap();
    assert_eq!((rate("done").per_second, rate("done").total), (800.0, 2600.0));
    assert_eq!(rate("refused").per_second, 1.5);
    let total = &view.latencies[0];
    assert_eq!(total.name, "total");
    assert!((total.p50.unwrap() - 0.0005).abs() < 1e-9, "{total:?}");
    assert!((total.p90.unwrap() - 0.0009).abs() < 1e-9, "{total:?}");
    assert!((total.mean.unwrap() - 0.0004).abs() < 1e-9, "{total:?}");
    assert_eq!(view.latencies[1].p50, None, "nothing was evaluated");
    assert_eq!(view.ledger.records_per_second, 1600.0);
    assert_eq!(view.ledger.lag, 3.0);
    assert!((view.process.cpu - 0.08).abs() < 1e-9);
    // The policy's denial in full, and not once more as `policy`.
    let refusals: Vec<_> = view.refusals.iter().map(|rate| (rate.name.as_str(), rate.per_second)).collect();
    assert_eq!(refusals, [("policy/limit/exceeded", 1.5), ("caller/forbidden", 0.0)]);
    let treasury = view.keys.iter().find(|key| key.name == "evm.treasury.v2").unwrap();
    assert_eq!((treasury.refused_per_second, treasury.due, treasury.uses), (1.5, true, 1_234_567.0));
    let formats: Vec<_> = view.formats.iter().map(|rate| rate.name.as_str()).collect();
    assert_eq!(formats, ["cometbft/vote", "evm/eip-1559"]);
}

/// A daemon that was restarted begins anew: no rate is negative.
#[test]
fn a_counter_that_fell_counts_from_nought() {
    let (before, now) = (page(9000, 10, 500), page(100, 0, 40));
    let view = View::between(
        &Scrape::parse(&before).unwrap(),
        &Scrape::parse(&now).unwrap(),
        Duration::from_secs(1),
    );
    assert_eq!(view.requests.iter().find(|rate| rate.name == "done").unwrap().per_second, 100.0);
    assert!((view.latencies[0].p50.unwrap() - 0.0005).abs() < 1e-9);
}

#[test]
fn the_picture_of_120_columns() {
    let text = draw(&view(), Sort::Rate, 120, 24).text();
    println!("{text}");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "sigwarden 0.1.0   mainnet   ready, but for backend/hsm   up 2d 03h",
            "requests/s   done 800   repeated 0.0   refused 1.5   failed 0.0",
            "",
            "latency         p50      p90      p99   ledger       1600/s records, 200/s writes, 3 not durable",
            "total        500 us   900 us   990 us   disk         plenty",
            "evaluate          -        -        -   connections  20 (socket 16, tls 4)",
            "commit       500 us   900 us   990 us   queue        2 of 1,024, handshakes failed 1.5/s",
            "sign              -        -        -   backends     down: hsm",
            "queue             -        -        -   process      43 MiB, 88 of 1,024 descriptors, cpu 8 %",
            "",
            "key                                              role         state       signatures     /s  ref/s      floor",
            "cosmos.validator.v1                              consensus    active           2,100    800    0.0   23456789",
            "evm.treasury.v2                                  account      grace due    1,234,567    0.0    1.5",
            "",
            "refused                                                           /s        ever",
            "policy/limit/exceeded                                            1.5          13",
            "caller/forbidden                                                 0.0           7",
            "q quit   s sort by (now: rate)   every 2.0 s",
        ]
    );
}

/// Whatever the size, nothing is wider or longer than the terminal, and the title is there.
#[test]
fn every_size_fits() {
    let mut view = view();
    let one = view.keys[0].clone();
    for number in 0..200 {
        let mut key = one.clone();
        key.name = format!("many.keys.with-a-rather-long-name-{number}.v1");
        view.keys.push(key);
        let mut refusal = view.refusals[0].clone();
        refusal.name = format!("policy/p/{number}");
        view.refusals.push(refusal);
    }
    for (width, height) in [(1, 1), (20, 5), (80, 24), (80, 15), (99, 30), (132, 50), (300, 500)] {
        let text = draw(&view, Sort::Name, width, height).text();
        assert!(text.lines().count() <= height.into(), "{width}x{height}:\n{text}");
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= width.into(), "{width}x{height}: {widest}\n{text}");
    }
    let text = draw(&view, Sort::Name, 80, 30).text();
    println!("{text}");
    // Every column has its place in eighty.
    assert!(
        text.lines()
            .any(|line| line.starts_with("cosmos.validator.v1 ") && line.ends_with(" 23456789")),
        "{text}"
    );
    assert!(text.starts_with("sigwarden 0.1.0   mainnet"));
    assert_eq!(text.lines().count(), 30, "{text}");
    // Both tables are there, each with what is missing of it.
    let more: Vec<_> = text.lines().filter(|line| line.ends_with(" more")).collect();
    assert_eq!(more.len(), 2, "{text}");
    assert!(text.ends_with("q quit   s sort by (now: name)   every 2.0 s\n"), "{text}");
}

/// A page may say anything; a terminal must not be told it.
#[test]
fn what_a_terminal_would_obey_is_not_drawn() {
    let evil = page(1, 1, 1).replace("evm.treasury.v2", "evm.\u{1b}[2J\u{9b}31m\u{202e}v2");
    let scraped = Scrape::parse(&evil).unwrap();
    let view = View::between(&scraped, &scraped, Duration::from_secs(1));
    let text = draw(&view, Sort::Name, 120, 24).text();
    assert!(text.contains("evm.?[2J?31m?v2"), "{text}");
    assert!(text.chars().all(|c| c == '\n' || c == ' ' || c.is_ascii_graphic()), "{text}");
}

#[test]
fn keys_are_sorted_as_asked() {
    let view = view();
    for (sort, first) in [
        (Sort::Rate, "cosmos.validator.v1"),
        (Sort::Refused, "evm.treasury.v2"),
        (Sort::Uses, "evm.treasury.v2"),
        (Sort::Name, "cosmos.validator.v1"),
    ] {
        let text = draw(&view, sort, 120, 24).text();
        let heading = text.lines().position(|line| line.starts_with("key ")).unwrap();
        assert!(text.lines().nth(heading + 1).unwrap().starts_with(first), "{sort:?}\n{text}");
    }
}

/// What the daemon writes is what `top` reads.
#[test]
fn a_real_page_makes_a_picture() {
    let (world, facts, readiness) = full();
    let before = Scrape::parse(&world.metrics.page(facts, &readiness)).unwrap();
    for _ in 0..5 {
        world.message("hello").unwrap();
    }
    world.message("deny:too-much").unwrap_err();
    let now = Scrape::parse(&world.metrics.page(world.facts(), &Readiness::default().with("ledger", true, None))).unwrap();
    let view = View::between(&before, &now, Duration::from_secs(1));
    assert_eq!(
        (view.version.as_str(), view.network.as_str(), view.ready),
        ("9.8.7", "devnet", true)
    );
    assert_eq!(view.requests.iter().find(|rate| rate.name == "done").unwrap().per_second, 5.0);
    let names: Vec<_> = view.refusals.iter().map(|rate| rate.name.as_str()).collect();
    assert_eq!(names, ["policy/p0/too-much", "policy/p1/too-much"]);
    let keys: Vec<_> = view.keys.iter().map(|key| (key.name.as_str(), key.per_second, key.floor)).collect();
    assert_eq!(keys, [("cosmos.validator.v1", 0.0, Some(3.0)), ("own.account.v1", 5.0, None)]);
    assert!(view.latencies.iter().find(|latency| latency.name == "sign").unwrap().p99.is_some());
    assert!(view.uptime_seconds.unwrap() >= 0.0);
    println!("{}", draw(&view, Sort::Rate, 80, 24).text());
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    top: TopArgs,
}

fn args(arguments: &[&str]) -> Result<TopArgs, String> {
    let arguments = std::iter::once("top").chain(arguments.iter().copied());
    Cli::try_parse_from(arguments).map(|cli| cli.top).map_err(|error| error.to_string())
}

#[test]
fn once_prints_a_picture_and_json_a_sample() {
    let mut pages = [page(1000, 10, 500), page(1100, 10, 600)].into_iter();
    let mut out = Vec::new();
    run(&args(&["--once", "--interval", "0.2"]).unwrap(), false, &mut out, || {
        Ok(pages.next().unwrap())
    })
    .unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("sigwarden 0.1.0   mainnet"), "{text}");
    assert!(text.contains("cosmos.validator.v1"), "{text}");

    let mut pages = [page(1000, 10, 500), page(1100, 10, 600)].into_iter();
    let mut out = Vec::new();
    run(&args(&["--interval", "0.2"]).unwrap(), true, &mut out, || Ok(pages.next().unwrap())).unwrap();
    let sample: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(sample["requests"][0]["total"], 1100.0);
    assert_eq!(sample["keys"][0]["floor"], 23_456_789.0);
    let interval = sample["interval_seconds"].as_f64().unwrap();
    assert!(interval >= 0.2, "{interval}");
}

#[test]
fn what_cannot_be_shown_says_why() {
    let once = args(&["--once", "--interval", "0.2"]).unwrap();
    let error = run(&once, false, &mut Vec::new(), || Err("nobody listens".into())).unwrap_err();
    assert_eq!(error.to_string(), "the page of metrics could not be fetched: nobody listens");
    let error = run(&once, false, &mut Vec::new(), || Ok("up 1\n".into())).unwrap_err();
    assert!(matches!(error, TopError::Page(PageError::Foreign)), "{error}");
    for wrong in ["0.1", "61", "soon", "-1", "NaN"] {
        assert!(args(&[&format!("--interval={wrong}")]).unwrap_err().contains("second"), "{wrong}");
    }
}

#[test]
fn a_page_is_fetched_over_http() {
    let serve = |answer: &'static [u8]| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut asked = [0; 256];
            let length = connection.read(&mut asked).unwrap();
            connection.write_all(answer).unwrap();
            String::from_utf8(asked[..length].to_vec()).unwrap()
        });
        (address, thread)
    };
    let (address, thread) = serve(b"HTTP/1.0 200 OK\r\ncontent-type: x\r\n\r\nsigwarden_ready 1\n");
    assert_eq!(scrape(address).unwrap(), "sigwarden_ready 1\n");
    assert!(thread.join().unwrap().starts_with("GET /metrics HTTP/1.0\r\nHost: 127.0.0.1:"));
    for (answer, wanted) in [
        (b"HTTP/1.0 503 No\r\n\r\n".as_slice(), "status 503"),
        (b"hello", "no HTTP"),
        (b"HTTP/1.0 200 OK\r\n\r\n\xff\xfe", "no text"),
    ] {
        let (address, thread) = serve(answer);
        let error = scrape(address).unwrap_err();
        assert!(
            error.contains(wanted) && error.starts_with(&format!("http://{address}/metrics: ")),
            "{error}"
        );
        thread.join().unwrap();
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(scrape(nobody).is_err());
}

#[test]
fn nothing_to_show_is_shown_as_nothing() {
    let world = World::new();
    let scraped = Scrape::parse(&world.page()).unwrap();
    let text = draw(&View::between(&scraped, &scraped, Duration::from_secs(1)), Sort::Rate, 80, 24).text();
    assert!(text.lines().any(|line| line == "nothing"), "{text}");
}
