//! What is refused at load, with the file and what would be right.

use crate::support::{Deployment, openssl_done};
use sigwarden_tls::ca::Kind;
use sigwarden_tls::{FileError, KeyExchange, ServerFiles, ServerTls, TlsError};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn load(deployment: &Deployment, change: impl FnOnce(&mut ServerFiles)) -> Result<ServerTls, TlsError> {
    let mut files = deployment.server_files();
    change(&mut files);
    ServerTls::load(files, KeyExchange::Preferred, &[])
}

fn write(deployment: &Deployment, name: &str, bytes: impl AsRef<[u8]>, mode: u32) -> PathBuf {
    let path = deployment.path(name);
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    path
}

fn file_error(error: TlsError) -> FileError {
    let TlsError::File(error) = error else {
        panic!("{error}");
    };
    error
}

#[test]
fn a_key_that_others_may_read_is_refused_with_the_chmod() {
    let deployment = Deployment::new();
    let key = deployment.path("server.key");
    for mode in [0o640, 0o604, 0o700, 0o620] {
        std::fs::set_permissions(&key, PermissionsExt::from_mode(mode)).unwrap();
        let error = load(&deployment, |_| {}).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "{0} has mode {mode:04o}, so that others may have the key: `chmod 600 {0}`",
                key.display()
            )
        );
    }
    for mode in [0o600, 0o400] {
        std::fs::set_permissions(&key, PermissionsExt::from_mode(mode)).unwrap();
        assert!(load(&deployment, |_| {}).is_ok());
    }
}

#[test]
fn a_file_that_says_who_is_trusted_is_nobody_elses_to_write() {
    let deployment = Deployment::new();
    for file in [deployment.ca_certificate(), deployment.path("server.crt")] {
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o664)).unwrap();
        let error = load(&deployment, |_| {}).unwrap_err().to_string();
        assert!(
            error.contains(&format!("others may change who is trusted: `chmod 644 {}`", file.display())),
            "{error}"
        );
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    }
}

#[test]
fn what_is_no_file_of_its_kind_is_refused() {
    let deployment = Deployment::new();
    let key = deployment.path("server.key");
    let link = deployment.path("link");
    std::os::unix::fs::symlink(&key, &link).unwrap();
    assert!(
        matches!(file_error(load(&deployment, |files| files.key.clone_from(&link)).unwrap_err()), FileError::SymbolicLink(path) if path == link)
    );
    // A certificate may be one: renewals often are.
    let link = deployment.path("certificate-link");
    std::os::unix::fs::symlink(deployment.path("server.crt"), &link).unwrap();
    assert!(load(&deployment, |files| files.certificate = link).is_ok());

    let missing = deployment.path("missing");
    assert!(
        matches!(file_error(load(&deployment, |files| files.client_ca.clone_from(&missing)).unwrap_err()), FileError::Missing(path) if path == missing)
    );
    assert!(matches!(
        file_error(load(&deployment, |files| files.key = deployment.ca()).unwrap_err()),
        FileError::NotRegular(_)
    ));
    let pipe = deployment.path("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    assert!(matches!(
        file_error(load(&deployment, |files| files.certificate = pipe).unwrap_err()),
        FileError::NotRegular(_)
    ));
    let large = write(&deployment, "large", vec![b'a'; 256 * 1024 + 1], 0o600);
    assert!(matches!(
        file_error(load(&deployment, |files| files.key = large).unwrap_err()),
        FileError::TooLarge(_)
    ));
    let binary = write(&deployment, "binary", [0x30, 0x82, 0xff, 0xfe], 0o600);
    assert!(matches!(
        file_error(load(&deployment, |files| files.certificate = binary).unwrap_err()),
        FileError::NotText(_)
    ));
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn what_a_file_holds_is_judged() {
    let deployment = Deployment::new();
    let server = text(&deployment.path("server.crt"));
    let ca = text(&deployment.ca_certificate());

    let empty = write(&deployment, "empty", "", 0o600);
    assert!(matches!(
        load(&deployment, |files| files.certificate.clone_from(&empty)).unwrap_err(),
        TlsError::NoCertificate(_)
    ));
    assert!(matches!(
        load(&deployment, |files| files.client_ca.clone_from(&empty)).unwrap_err(),
        TlsError::NoCertificate(_)
    ));
    assert!(matches!(
        load(&deployment, |files| files.key = empty).unwrap_err(),
        TlsError::NoKey(_)
    ));
    assert!(
        matches!(load(&deployment, |files| files.client_ca = deployment.path("server.crt")).unwrap_err(), TlsError::NotAuthority { subject, .. } if subject == "CN=signer.example")
    );
    assert!(matches!(
        load(&deployment, |files| files.certificate = deployment.ca_certificate()).unwrap_err(),
        TlsError::Purpose { .. }
    ));
    assert!(matches!(
        load(&deployment, |files| files.key = deployment.path("client.key")).unwrap_err(),
        TlsError::KeyMismatch { .. }
    ));

    let with_root = write(&deployment, "with-root", server.clone() + &ca, 0o644);
    assert!(load(&deployment, |files| files.certificate = with_root).is_ok());
    let disordered = write(
        &deployment,
        "disordered",
        server.clone() + &text(&deployment.path("client.crt")),
        0o644,
    );
    let error = load(&deployment, |files| files.certificate = disordered).unwrap_err().to_string();
    assert!(
        error.contains("certificate 1 was issued by CN=tests, and what follows is CN=node-a.example"),
        "{error}"
    );
    let many = write(&deployment, "many", ca.repeat(17), 0o644);
    assert!(matches!(
        load(&deployment, |files| files.client_ca = many).unwrap_err(),
        TlsError::TooMany(_)
    ));
    let broken = write(&deployment, "broken", ca.replace("MII", "MI!"), 0o644);
    assert!(matches!(
        load(&deployment, |files| files.client_ca = broken).unwrap_err(),
        TlsError::Pem { .. }
    ));
    let garbage = write(
        &deployment,
        "garbage",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        0o644,
    );
    let error = load(&deployment, |files| files.client_ca = garbage).unwrap_err();
    assert!(matches!(error, TlsError::Certificate { number: 1, .. }), "{error}");
}

/// Keys as openssl writes them.
#[test]
fn every_usual_form_of_a_key_is_read_and_an_encrypted_one_is_named() {
    let deployment = Deployment::new();
    let (key, out) = (deployment.path("server.key"), deployment.path("out.key"));
    let (key, out_text) = (key.to_str().unwrap(), out.to_str().unwrap());
    let private = |path: &Path| std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
    openssl_done(&["ec", "-in", key, "-out", out_text]);
    let sec1 = text(&out);
    assert!(sec1.starts_with("-----BEGIN EC PRIVATE KEY-----"));
    private(&out);
    assert!(load(&deployment, |files| files.key.clone_from(&out)).is_ok());
    let parameters = openssl_done(&["ecparam", "-name", "prime256v1"]);
    let with_parameters = write(&deployment, "parameters.key", parameters + &sec1 + "\n# a note\n", 0o600);
    assert!(load(&deployment, |files| files.key = with_parameters).is_ok());

    for encrypt in [["pkcs8", "-topk8", "-v2", "aes256"].as_slice(), &["ec", "-aes256"]] {
        let arguments = [encrypt, &["-passout", "pass:secret", "-in", key, "-out", out_text]].concat();
        openssl_done(&arguments);
        private(&out);
        let error = load(&deployment, |files| files.key.clone_from(&out)).unwrap_err();
        assert!(matches!(error, TlsError::EncryptedKey(_)), "{error}");
        assert!(error.to_string().contains("`openssl pkey -in"), "{error}");
    }
}

#[test]
fn an_address_or_a_uri_names_a_server_or_a_client_as_far_as_it_can() {
    let deployment = Deployment::new();
    let server = deployment.issue(Kind::Server, &["::1", "127.0.0.1"], "by-address");
    assert_eq!(
        server.facts.names.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["IP:::1", "IP:127.0.0.1"]
    );
    let client = deployment.issue(Kind::Client, &["spiffe://example/a"], "by-uri");
    assert_eq!(
        client.facts.names.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["URI:spiffe://example/a"]
    );
    assert!(client.facts.client && !client.facts.server && server.facts.server && !server.facts.client);
}
