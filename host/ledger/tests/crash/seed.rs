//! One seed: a deployment, its lives, and how each ends.

use crate::life;
use crate::model::Model;
use crate::world::{NOW, Rule, World, settings};
use sigwarden_ledger::disk::simulated::{Random, SimulatedDisk};
use sigwarden_ledger::disk::{Access, Disk};
use sigwarden_ledger::{EmbeddedLedger, OpenError, Settings, verify_on};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

const STATE: &str = "/state";

/// What is done with a seed.
pub(crate) struct Plan {
    seed: u64,
    /// The power is cut at this call of the first life, and nothing else happens.
    only_cut: Option<u64>,
}

impl Plan {
    /// Lives and deaths as the seed has them.
    pub(crate) fn random(seed: u64) -> Self {
        Self { seed, only_cut: None }
    }

    /// One life with one power cut.
    pub(crate) fn cut_at(seed: u64, change: u64) -> Self {
        Self {
            seed,
            only_cut: Some(change),
        }
    }
}

/// What was lived through, so that a test that tests nothing is noticed.
#[derive(Default)]
pub(crate) struct Tally {
    cuts: AtomicU64,
    cut_starts: AtomicU64,
    failures: AtomicU64,
    full: AtomicU64,
    signatures: AtomicU64,
    archived: AtomicU64,
    torn: AtomicU64,
}

impl Tally {
    pub(crate) fn told(&self) -> String {
        let read = |count: &AtomicU64| count.load(Ordering::SeqCst);
        format!(
            "{} power cuts, {} of them during a start, {} torn frames, {} failed calls, {} full disks, {} archived segments, {} signatures",
            read(&self.cuts),
            read(&self.cut_starts),
            read(&self.torn),
            read(&self.failures),
            read(&self.full),
            read(&self.archived),
            read(&self.signatures),
        )
    }

    pub(crate) fn refuse_if_idle(&self) {
        for count in [
            &self.cuts,
            &self.cut_starts,
            &self.failures,
            &self.full,
            &self.signatures,
            &self.archived,
            &self.torn,
        ] {
            assert!(count.load(Ordering::SeqCst) > 100, "hardly anything happened: {}", self.told());
        }
    }
}

/// Sizes that a seed draws once.
struct Shape {
    segment_bytes: u64,
    segments_kept: usize,
    threads: usize,
    steps: u64,
}

impl Shape {
    fn draw(random: &mut Random, only_cut: bool) -> Self {
        Self {
            segment_bytes: [3_000, 10_000, 60_000, 300_000][usize::try_from(random.below(4)).unwrap()],
            segments_kept: 1 + usize::try_from(random.below(4)).unwrap(),
            // Most are single-threaded: those a seed determines.
            threads: if !only_cut && random.one_in(25) { 4 } else { 1 },
            steps: 1 + random.below(40),
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            segment_bytes: self.segment_bytes,
            segments_kept: self.segments_kept,
            keeper: false,
            reserve_bytes: 200_000,
            ..settings()
        }
    }
}

/// How a life goes wrong.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    Cut(u64),
    Fail(u64),
    Full(u64),
    Nothing,
}

impl Trouble {
    fn draw(random: &mut Random, steps: u64) -> Self {
        // A commit is two calls, a start some forty.
        match random.below(16) {
            0..=8 => Self::Cut(1 + random.below(60 + steps * 4)),
            9..=10 => Self::Cut(1 + random.below(40)),
            11..=12 => Self::Fail(1 + random.below(100 + steps * 6)),
            13 => Self::Full(random.below(400_000)),
            _ => Self::Nothing,
        }
    }

    fn arm(self, disk: &SimulatedDisk) {
        match self {
            Self::Cut(at) => disk.cut_at(at),
            Self::Fail(at) => disk.fail_at(Some(at)),
            Self::Full(room) => disk.set_capacity(Some(disk.used() + room)),
            Self::Nothing => {}
        }
    }
}

struct Run<'a> {
    disk: SimulatedDisk,
    model: Mutex<Model>,
    shape: Shape,
    random: Random,
    /// A `sync_data` or another call failed in an earlier life.
    failed: bool,
    clock: u64,
    lived: &'a Tally,
}

/// Runs a seed.
pub(crate) fn run(plan: &Plan, lived: &Tally) -> Result<(), String> {
    let mut random = Random::new(plan.seed);
    let shape = Shape::draw(&mut random, plan.only_cut.is_some());
    let mut run = Run {
        disk: SimulatedDisk::new(plan.seed),
        model: Mutex::default(),
        shape,
        random,
        failed: false,
        clock: NOW,
        lived,
    };
    match plan.only_cut {
        Some(cut) => run.live(Trouble::Cut(cut), true)?,
        None => {
            for _ in 0..1 + run.random.below(4) {
                let trouble = Trouble::draw(&mut run.random, run.shape.steps);
                run.live(trouble, false)?;
            }
        }
    }
    run.finish()
}

/// How many calls that change something the life of [`Plan::cut_at`] has.
pub(crate) fn changes_of(seed: u64) -> u64 {
    let lived = Tally::default();
    let mut random = Random::new(seed);
    let shape = Shape::draw(&mut random, true);
    let mut run = Run {
        disk: SimulatedDisk::new(seed),
        model: Mutex::default(),
        shape,
        random,
        failed: false,
        clock: NOW,
        lived: &lived,
    };
    let disk = run.disk.clone();
    run.live(Trouble::Nothing, true).unwrap();
    disk.calls().changes
}

impl Run<'_> {
    /// One life: a start, some work, an end.
    fn live(&mut self, trouble: Trouble, only_cut: bool) -> Result<(), String> {
        // Making a deployment is short and its failures are all alike: mostly it is left in peace.
        let peaceful = !only_cut && self.model.lock().unwrap().deployment.is_none() && !self.random.one_in(8);
        if !peaceful {
            trouble.arm(&self.disk);
        }
        let world = self.start()?;
        let started = world.is_some();
        if let Some(world) = world {
            if peaceful {
                trouble.arm(&self.disk);
            }
            life::set_up(&world, &self.model)?;
            self.work(&world);
            if self.random.one_in(3) {
                // It may be told to fail; then it is like a crash.
                drop(world.ledger.close());
            }
            self.gather(&world)?;
            self.clock = world.clock.load(Ordering::SeqCst);
        }
        let failed = self.disk.calls().failed;
        self.failed |= failed > 0;
        self.lived.failures.fetch_add(failed, Ordering::SeqCst);
        self.disk.fail_at(None);
        self.lived
            .full
            .fetch_add(u64::from(matches!(trouble, Trouble::Full(_))), Ordering::SeqCst);
        self.disk.set_capacity(None);
        // Killed, or closed, with the page cache left to the next life; or the power goes, if it has not gone already.
        if self.disk.is_cut() || self.random.one_in(2) {
            self.lived.cuts.fetch_add(1, Ordering::SeqCst);
            self.lived.cut_starts.fetch_add(u64::from(!started), Ordering::SeqCst);
            self.disk = self.disk.power_cut(self.random.draw());
        } else {
            // The same disk, without what was armed.
            self.disk = self.disk.copy();
        }
        if !only_cut && self.random.one_in(4) {
            self.take_archive_away();
        }
        Ok(())
    }

    /// What an operator may do at any time, with segments older than any in the log: the start never needs what is archived.
    fn take_archive_away(&self) {
        let (log, archive) = (Path::new(STATE).join("log"), Path::new(STATE).join("archive"));
        let mut model = self.model.lock().unwrap();
        let oldest = self.disk.list(&log).unwrap_or_default().into_iter().min();
        let archived = self.disk.list(&archive).unwrap_or_default();
        for name in archived.into_iter().filter(|name| Some(name) < oldest.as_ref()) {
            let path = archive.join(name);
            let file = self.disk.open(&path, Access::Read).unwrap();
            let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
            file.read_at(0, &mut bytes).unwrap();
            model.taken_away.extend(bytes);
            self.disk.remove(&path).unwrap();
        }
        for dir in [log, archive] {
            self.disk.sync_dir(&dir).unwrap();
        }
    }

    /// Starts the ledger, or makes it. `None` if the armed trouble kept it from starting.
    fn start(&mut self) -> Result<Option<World>, String> {
        let settings = Settings {
            now_ms: self.clock,
            ..self.shape.settings()
        };
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let known = self.model.lock().unwrap().deployment.clone();
        let opened = match known {
            Some(_) => EmbeddedLedger::open_on(disk, Path::new(STATE), settings),
            None => EmbeddedLedger::create_on(disk, Path::new(STATE), settings),
        };
        let ledger = match opened {
            Ok(ledger) => ledger,
            Err(_) if known.is_none() => {
                // Nothing was acknowledged: an operator begins again, elsewhere.
                if !self.disk.is_cut() {
                    self.disk = SimulatedDisk::new(self.random.draw());
                }
                return Ok(None);
            }
            Err(error) => return self.excuse(&error).map(|()| None),
        };
        self.lived
            .torn
            .fetch_add(u64::from(ledger.opening().cut_bytes > 0), Ordering::SeqCst);
        let mut model = self.model.lock().unwrap();
        let deployment = ledger.deployment_id().to_owned();
        if model.deployment.get_or_insert(deployment.clone()) != &deployment {
            return Err("another deployment started".to_owned());
        }
        let world = World::assemble(Arc::new(ledger), Arc::default(), Rule::Mixed);
        world.clock.store(self.clock, Ordering::SeqCst);
        model.check_state(&world.pipeline.snapshot())?;
        // Of a copy, so that the reading is not counted.
        model.check_log(&self.disk.copy(), Path::new(STATE))?;
        drop(model);
        Ok(Some(world))
    }

    /// Whether a start may fail like this: when its own disk failed it, and never by power cuts alone.
    fn excuse(&self, error: &OpenError) -> Result<(), String> {
        let told = self.disk.is_cut() || self.disk.calls().failed > 0;
        let full = matches!(error, OpenError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull);
        match told || full {
            true => Ok(()),
            false => Err(format!("it does not start: {error}")),
        }
    }

    fn work(&mut self, world: &World) {
        let steps = 1 + self.random.below(self.shape.steps);
        let seeds: Vec<u64> = (0..self.shape.threads).map(|_| self.random.draw()).collect();
        let (model, disk) = (&self.model, &self.disk);
        let work = |seed: u64, administers: bool| {
            let mut random = Random::new(seed);
            for _ in 0..steps {
                if disk.is_cut() {
                    break;
                }
                life::step(world, model, &mut random, administers);
            }
        };
        if let [only] = seeds[..] {
            work(only, true);
            return;
        }
        std::thread::scope(|scope| {
            for (index, seed) in seeds.into_iter().enumerate() {
                let work = &work;
                scope.spawn(move || work(seed, index == 0));
            }
        });
    }

    /// Notes what the backend signed in a life.
    fn gather(&self, world: &World) -> Result<(), String> {
        let mut model = self.model.lock().unwrap();
        let made = world.backend.made.lock().unwrap();
        self.lived.signatures.fetch_add(made.len() as u64, Ordering::SeqCst);
        made.iter().try_for_each(|bytes| model.made(bytes))
    }

    /// A start without trouble: all is there, and it goes on.
    fn finish(mut self) -> Result<(), String> {
        if self.model.lock().unwrap().deployment.is_none() {
            return Ok(());
        }
        let Some(world) = self.start()? else {
            return Err("a start without trouble fails".to_owned());
        };
        life::set_up(&world, &self.model)?;
        life::end(&world, &self.model)?;
        self.gather(&world)?;
        world.ledger.close().map_err(|failure| format!("it does not close: {failure}"))?;
        drop(world);
        let archived = self.disk.list(&Path::new(STATE).join("archive")).map_or(0, |names| names.len());
        self.lived.archived.fetch_add(archived as u64, Ordering::SeqCst);
        self.model.lock().unwrap().check_log(&self.disk, Path::new(STATE))?;
        let verified = verify_on(&self.disk, Path::new(STATE), &mut |_, _| {}).map_err(|error| format!("it does not verify: {error}"))?;
        let taken = !self.model.lock().unwrap().taken_away.is_empty();
        match verified.first_sequence {
            first if first == 1 || taken => Ok(()),
            first => Err(format!("log and archive begin with record {first}")),
        }
    }
}
