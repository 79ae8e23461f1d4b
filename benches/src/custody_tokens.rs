//! Signing on a token: `pkcs11-softhsm`, `pkcs11-mock`, and both with a session for each core (`-n`), against a raw loop on the same token.
//!
//! Each token is measured in a process of its own: `C_Initialize` is once for a process, and where the tokens are is a variable.

use crate::measure::{Samples, alternate, throughput};
use crate::table::{Row, Target};
use anyhow::{Context, Result, anyhow, bail};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId, Signature};
use secp256k1::{Message, PublicKey};
use serde::{Deserialize, Serialize};
use sigwarden_core::Scheme;
use sigwarden_core::fact::SigningInput;
use sigwarden_core::key::KeyId;
use sigwarden_pkcs11::{Pkcs11Backend, SecretString, Settings, TokenSettings};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const PIN: &str = "648219";
const SO_PIN: &str = "87654321";
const LABEL: &str = "bench";
const KEY: &str = "bench.token.v1";

/// Where distributions put SoftHSM.
const SOFTHSM: [&str; 6] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

/// Which PKCS#11 library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Module {
    /// SoftHSM2.
    SoftHsm,
    /// Our mock of a vendor's library.
    Mock,
}

impl Module {
    /// The names of its rows: one call, and one session for each core.
    const fn rows(self) -> (&'static str, &'static str) {
        match self {
            Self::SoftHsm => ("pkcs11-softhsm", "pkcs11-softhsm-n"),
            Self::Mock => ("pkcs11-mock", "pkcs11-mock-n"),
        }
    }

    fn library(self) -> Result<PathBuf, &'static str> {
        match self {
            Self::SoftHsm => {
                let found = SOFTHSM.iter().map(Path::new).find(|path| path.exists());
                found.map(Path::to_owned).ok_or("softhsm2 is not installed")
            }
            Self::Mock => sigwarden_mock_hsm::library_path().ok_or("the mock's library is not beside this program"),
        }
    }

    /// Writes its configuration into `place`; the variable that names it.
    fn configure(self, place: &Path) -> Result<(&'static str, PathBuf)> {
        match self {
            Self::SoftHsm => {
                let tokens = place.join("tokens");
                std::fs::create_dir(&tokens)?;
                let file = place.join("softhsm2.conf");
                let text = format!(
                    "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
                    tokens.display()
                );
                std::fs::write(&file, text)?;
                Ok(("SOFTHSM2_CONF", file))
            }
            Self::Mock => {
                let file = place.join("mock.toml");
                let config = sigwarden_mock_hsm::Config {
                    directory: Some("tokens".into()),
                    faults: None,
                    token: vec![sigwarden_mock_hsm::Token::new(LABEL, PIN)],
                };
                config.write(&file)?;
                Ok((sigwarden_mock_hsm::CONFIG_VARIABLE, file))
            }
        }
    }
}

/// What the child measured. Times in microseconds, rates in signatures a second.
#[derive(Serialize, Deserialize)]
struct Measured {
    raw_p50: f64,
    p50: f64,
    p99: f64,
    sessions: usize,
    raw_rate: f64,
    rate: f64,
    many_p50: f64,
    many_p99: f64,
}

/// Both rows of a module, measured in a child process.
///
/// # Errors
/// The child fails.
pub fn tokens(dir: &Path, module: Module) -> Result<Vec<Row>> {
    let (one, many) = module.rows();
    let (at_most, at_least) = (Some(Target::AtMost(1.1)), Some(Target::AtLeast(0.9)));
    if let Err(why) = module.library() {
        // No number keeps no bound: the rows are missed.
        let missed = |name, target| Row::new(name, f64::NAN, (0.0, 0.0), 0.0, target, why.to_owned());
        return Ok(vec![missed(one, at_most), missed(many, at_least)]);
    }
    let place = tempfile::Builder::new().prefix("sigwarden-bench-").tempdir_in(dir)?;
    let (variable, file) = module.configure(place.path())?;
    let output = Command::new(std::env::current_exe()?)
        .args(["--child", one])
        .env(variable, file)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        bail!("the process that measures {one} ended: {}", output.status);
    }
    let measured: Measured = serde_json::from_slice(&output.stdout).context("what the child measured")?;
    let single = Row::new(
        one,
        measured.p50 / measured.raw_p50,
        (measured.p50, measured.p99),
        measured.raw_p50,
        at_most,
        format!(
            "a signature by the backend {:.0} us, by a raw loop {:.0} us",
            measured.p50, measured.raw_p50
        ),
    );
    let several = Row::new(
        many,
        measured.rate / measured.raw_rate,
        (measured.many_p50, measured.many_p99),
        measured.raw_rate,
        at_least,
        format!(
            "{:.0} signatures/s by the backend with {} sessions, {:.0}/s by as many raw loops",
            measured.rate, measured.sessions, measured.raw_rate
        ),
    );
    Ok(vec![single, several])
}

/// The child: measures the module whose row has this name and prints what it found.
///
/// # Errors
/// The token does not do as it should.
pub fn child(row: &str) -> Result<()> {
    let modules = [Module::SoftHsm, Module::Mock];
    let module = modules.into_iter().find(|module| module.rows().0 == row);
    let module = module.with_context(|| format!("there is no row {row} of a token"))?;
    println!("{}", serde_json::to_string(&measure(module)?)?);
    Ok(())
}

fn measure(module: Module) -> Result<Measured> {
    let library = module.library().map_err(|why| anyhow!(why))?;
    // The backend finds the library initialised and uses it so; then both are one application, with one login.
    let context = Pkcs11::new(&library)?;
    context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    if module == Module::SoftHsm {
        init_token(&context)?;
    }
    let sessions = std::thread::available_parallelism().map_or(1, usize::from);
    let token = TokenSettings {
        library,
        label: LABEL.to_owned(),
        slot_id: None,
        pin: Some(Box::new(|| Ok(SecretString::from(PIN)))),
        refused_pin: None,
    };
    let mut settings = Settings::new("bench", vec![token]);
    settings.sessions = sessions;
    let backend = Pkcs11Backend::open(settings)?;
    let id: KeyId = KEY.parse()?;
    let public_key = backend.generate(&id, Scheme::Secp256k1Ecdsa)?;
    let bench = Bench {
        slot: slot(&context)?,
        context,
        backend,
        id,
        public_key,
    };

    let (mut raw, by_backend) = (bench.raw(0)?, bench.by_backend(0));
    let (base, single) = alternate(4_000, &mut raw, by_backend);
    drop(raw);

    let window = Duration::from_millis(2_500);
    let raw = |window| throughput(sessions, window, |index| bench.raw(index).expect("a session of its own"));
    let backend = |window| throughput(sessions, window, |index| bench.by_backend(index));
    raw(window / 4);
    backend(window / 4);
    let (mut rate, mut raw_rate, mut samples) = (0.0, 0.0, Samples::default());
    // Interleaved: four windows of each.
    for _ in 0..4 {
        raw_rate += raw(window).0 / 4.0;
        let (signatures, times) = backend(window);
        rate += signatures / 4.0;
        samples.extend(times);
    }
    Ok(Measured {
        raw_p50: base.p50(),
        p50: single.p50(),
        p99: single.p99(),
        sessions,
        raw_rate,
        rate,
        many_p50: samples.p50(),
        many_p99: samples.p99(),
    })
}

/// A token with one key, for the backend and for raw loops.
struct Bench {
    context: Pkcs11,
    slot: Slot,
    backend: Pkcs11Backend,
    id: KeyId,
    public_key: Vec<u8>,
}

impl Bench {
    /// Signatures by the backend, each over another digest.
    fn by_backend(&self, seed: usize) -> impl FnMut() {
        let mut digests = Digests::new(seed);
        move || {
            let input = [SigningInput::Digest(digests.next())];
            let signed = self
                .backend
                .sign_inputs(&self.id, Scheme::Secp256k1Ecdsa, &self.public_key, input.iter());
            black_box(signed.expect("the backend signs"));
        }
    }

    /// What has to be done, by hand, in a session of its own with the key's handle found before.
    fn raw(&self, seed: usize) -> Result<impl FnMut()> {
        let session = self.context.open_ro_session(self.slot)?;
        let key = private_key(&session)?;
        let public_key = PublicKey::from_slice(&self.public_key)?;
        let mut digests = Digests::new(seed);
        Ok(move || {
            let signed = sign_raw(&session, key, &public_key, &digests.next());
            black_box(signed.expect("the token signs"));
        })
    }
}

/// Signs on the token, lowers S, and finds the recovery id whose key is the pinned one: which verifies the signature too.
fn sign_raw(session: &Session, key: ObjectHandle, public_key: &PublicKey, digest: &[u8; 32]) -> Result<([u8; 64], u8)> {
    let mut signature = Signature::from_compact(&session.sign(&Mechanism::Ecdsa, key, digest)?)?;
    signature.normalize_s();
    let bytes = signature.serialize_compact();
    let message = Message::from_digest(*digest);
    for id in 0..4_u8 {
        let recovered = RecoveryId::try_from(i32::from(id))
            .and_then(|id| RecoverableSignature::from_compact(&bytes, id))
            .and_then(|signature| signature.recover(message));
        if recovered.is_ok_and(|key| key == *public_key) {
            return Ok((bytes, id));
        }
    }
    bail!("the token's signature is wrong")
}

/// Digests, each another one, at next to no cost.
struct Digests([u8; 32], u64);

impl Digests {
    fn new(seed: usize) -> Self {
        Self(*blake3::hash(&seed.to_be_bytes()).as_bytes(), 0)
    }

    fn next(&mut self) -> [u8; 32] {
        self.1 += 1;
        self.0[..8].copy_from_slice(&self.1.to_be_bytes());
        self.0
    }
}

fn private_key(session: &Session) -> Result<ObjectHandle> {
    let template = [
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::Label(KEY.as_bytes().to_vec()),
    ];
    let found = session.find_objects(&template)?;
    found.first().copied().context("the key is on the token")
}

fn slot(context: &Pkcs11) -> Result<Slot> {
    let slots = context.get_slots_with_token()?;
    let right = |slot: &Slot| context.get_token_info(*slot).is_ok_and(|info| info.label().trim_end() == LABEL);
    slots.into_iter().find(right).context("the token is there")
}

fn init_token(context: &Pkcs11) -> Result<()> {
    let blank = context
        .get_slots_with_token()?
        .into_iter()
        .next()
        .context("a slot with a blank token")?;
    context.init_token(blank, &AuthPin::from(SO_PIN), LABEL)?;
    let session = context.open_rw_session(slot(context)?)?;
    session.login(UserType::So, Some(&AuthPin::from(SO_PIN)))?;
    session.init_pin(&AuthPin::from(PIN))?;
    Ok(())
}
