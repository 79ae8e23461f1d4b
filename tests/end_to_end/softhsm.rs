//! The mainnet deployment with a hardware security module, as `init` writes it: SoftHSM stands in for the hardware.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const LIBRARIES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
];

fn library() -> PathBuf {
    let found = LIBRARIES.iter().map(PathBuf::from).find(|path| path.is_file());
    found.expect("SoftHSM is not installed; `cargo xtask install-deps` fetches it, or `apt-get install softhsm2`")
}

fn private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn mainnet_with_an_hsm_is_accepted_by_check_and_refused_while_the_token_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir(at("tokens")).unwrap();
    std::fs::write(at("softhsm2.conf"), format!("directories.tokendir = {}\n", at("tokens").display())).unwrap();
    private(&at("passphrase"), "glacier-Timpani 94 orbit quagmire lintel");
    private(&at("pin"), "87654321");
    let run = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("SOFTHSM2_CONF", at("softhsm2.conf"))
            .env_remove("SIGWARDEN_DEPLOYMENT");
        command.output().unwrap()
    };
    let made = run(
        Path::new("softhsm2-util"),
        &[
            "--init-token",
            "--free",
            "--label",
            "signer",
            "--so-pin",
            "11111111",
            "--pin",
            "87654321",
        ],
    );
    assert!(made.status.success(), "{}", said(&made));

    let sigwarden = sigwarden_tests::node::binary().unwrap();
    let text = |path: PathBuf| path.display().to_string();
    let (deployment, passphrase, markers, pin) = (text(at("signer")), text(at("passphrase")), text(at("markers")), text(at("pin")));
    let library = text(library());
    let made = run(
        &sigwarden,
        &[
            "init",
            "--dir",
            &deployment,
            "--network",
            "mainnet",
            "--passphrase-file",
            &passphrase,
            "--marker-dir",
            &markers,
            "--hsm-library",
            &library,
            "--hsm-token",
            "signer",
            "--hsm-pin-file",
            &pin,
        ],
    );
    assert!(made.status.success(), "{}", said(&made));
    let checked = run(&sigwarden, &["-d", &deployment, "--json", "check"]);
    let report: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!((checked.status.code(), &report["starts"]), (Some(0), &true.into()), "{report}");

    for (name, scheme, role) in [
        ("signer.validator", "ed25519", "consensus"),
        ("signer.account", "secp256k1-ecdsa", "account"),
    ] {
        let generated = run(
            &sigwarden,
            &[
                "-d",
                &deployment,
                "--json",
                "keys",
                "generate",
                name,
                "--backend",
                "hsm",
                "--scheme",
                scheme,
                "--role",
                role,
                "--add-to-config",
            ],
        );
        assert!(generated.status.success(), "{}", said(&generated));
    }
    // BIP-340 has no mechanism there.
    let schnorr = run(
        &sigwarden,
        &[
            "-d",
            &deployment,
            "keys",
            "generate",
            "signer.tap",
            "--backend",
            "hsm",
            "--scheme",
            "secp256k1-schnorr",
            "--role",
            "account",
            "--add-to-config",
        ],
    );
    assert!(
        !schnorr.status.success() && said(&schnorr).contains("PKCS#11"),
        "{}",
        said(&schnorr)
    );
    let rotated = run(
        &sigwarden,
        &["-d", &deployment, "keys", "rotate", "signer.account", "--reason", "a test"],
    );
    assert!(
        rotated.status.success() && said(&rotated).contains("signer.account.v2"),
        "{}",
        said(&rotated)
    );
    let status = run(&sigwarden, &["-d", &deployment, "keys", "status"]);
    assert!(
        said(&status).contains("token signer: ready") && said(&status).contains("SoftHSM"),
        "{}",
        said(&status)
    );
    let checked = run(&sigwarden, &["-d", &deployment, "--json", "check"]);
    assert_eq!(checked.status.code(), Some(0), "{}", said(&checked));

    // The token's directory is gone: another token is there, if any, and mainnet does not start.
    std::fs::rename(at("tokens"), at("elsewhere")).unwrap();
    std::fs::create_dir(at("tokens")).unwrap();
    let checked = run(&sigwarden, &["-d", &deployment, "--json", "check"]);
    let report: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    let finding = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|finding| finding["rule"] == "hsm-answers")
        .unwrap()
        .clone();
    assert_eq!(
        (checked.status.code(), &finding["severity"]),
        (Some(1), &"refuse".into()),
        "{report}"
    );
    assert!(finding["found"].as_str().unwrap().contains("signer"), "{finding}");
}
