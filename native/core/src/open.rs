//! Opening: a directory becomes a store with one owner; other processes attach to its arena.

use crate::arena::owner_files::{is_passing, Announced, Ownership, SHARED_FILE_PREFIX};
use crate::arena::{Arena, Backing, Words};
use crate::error::{Code, Result, StoreError};
use crate::hash::KeyHasher;
use crate::layout::{self, superblock, Geometry};
use crate::log::seed_of;
use crate::ops::read::Reader;
use crate::ops::BUDGET_BYTES_MIN;
use crate::segment::Runs;
use crate::store::{ArenaIds, Store, StoreOptions};
use crate::sync::{lock, AtomicBool, AtomicU64, Mutex, Ordering};
use crate::takeover::{adopt, Adoption};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Where shared files are made unless told otherwise.
pub const SHARED_MEMORY_DIR: &str = "/dev/shm";
/// Looks at a lock that another thread of this process is about to give up.
const CLOSE_WAITS_MAX: u32 = 5000;
const CLOSE_WAIT: Duration = Duration::from_millis(1);
/// How often the background looks when nobody wakes it.
const BACKGROUND_INTERVAL: Duration = Duration::from_millis(20);
/// Rounds between two looks for memory to give back; readers have long left a segment by then.
const PUNCH_ROUNDS: u32 = 50;

/// A store and what it takes to own it. Threads of one process share it; the last one to drop it ends the ownership.
pub struct OwnedStore {
    store: Arc<Store>,
    background: Mutex<Option<JoinHandle<()>>>,
    backing: Backing,
    start: Start,
    /// Who has it open, threads that serve its tiers not counted.
    users: AtomicU64,
    /// Given up last, when the store is closed.
    ownership: Mutex<Option<Ownership>>,
    /// The arena stays when the store is closed.
    is_bequeathed: AtomicBool,
    /// Run first, when the store is closed: what serves it to others ends before it does.
    closing: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
}

/// What an owner began with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nobody had left an arena.
    Fresh,
    /// The arena of an owner that died.
    Adopted(Adoption),
    /// There was an arena, and it could not be taken over: why. It has been removed.
    Refused(String),
}

static OPEN: LazyLock<Mutex<HashMap<PathBuf, Weak<OwnedStore>>>> =
    LazyLock::new(|| Mutex::new(HashMap::new()));

/// Opens a directory as its owner, or shares the store when this process has it open already.
/// `ERR_RAMCACHE_LOCKED` when another process owns it, `_CONFIG` for a budget out of range or one that differs from
/// that of the open store, `_FULL` without shared memory, `_UNAVAILABLE` when the directory cannot be used.
pub fn open(dir: &Path, options: &StoreOptions, shared_memory_dir: &Path) -> Result<Arc<OwnedStore>> {
    open_with(dir, options, shared_memory_dir, None)
}

/// The same for a store that [`OwnedStore::start_below`] is going to give its tiers, in the directory `below`. Until then
/// nothing leaves RAM: an arena that was taken over may hold what its log has not got. What a clean end has saved there is by
/// hash, so a new arena gets the seed of that.
pub fn open_tiered(
    dir: &Path,
    options: &StoreOptions,
    shared_memory_dir: &Path,
    below: &Path,
) -> Result<Arc<OwnedStore>> {
    open_with(dir, options, shared_memory_dir, Some(below))
}

fn open_with(
    dir: &Path,
    options: &StoreOptions,
    shared_memory_dir: &Path,
    below: Option<&Path>,
) -> Result<Arc<OwnedStore>> {
    if options.budget_bytes < BUDGET_BYTES_MIN {
        let message = format!("memory of {} bytes, the least is {BUDGET_BYTES_MIN}", options.budget_bytes);
        return Err(StoreError::new(Code::Config, message));
    }
    // Under this lock from the look to the entry, so that two threads do not both try to own the directory.
    let mut open = lock(&OPEN);
    if let Some(owned) = dir.canonicalize().ok().and_then(|path| open.get(&path)?.upgrade()) {
        if !owned.store.is_closed() {
            if owned.store.budget_bytes() != options.budget_bytes as u64 {
                let message = format!(
                    "memory of {} bytes, but this process has {} open with {}",
                    options.budget_bytes,
                    dir.display(),
                    owned.store.budget_bytes()
                );
                return Err(StoreError::new(Code::Config, message));
            }
            return Ok(owned);
        }
    }
    let ownership = take_when_closed(dir)?;
    let owned = create(ownership, options, shared_memory_dir, below)?;
    let path = dir.canonicalize().map_err(|error| {
        StoreError::new(Code::Unavailable, format!("cannot resolve {}: {error}", dir.display()))
    })?;
    open.retain(|_, owned| owned.strong_count() > 0);
    open.insert(path, Arc::downgrade(&owned));
    Ok(owned)
}

/// The store that this process has open in a directory. `ERR_RAMCACHE_UNAVAILABLE` when it has none.
pub fn joined(dir: &Path) -> Result<Arc<OwnedStore>> {
    let open = lock(&OPEN);
    let owned = dir.canonicalize().ok().and_then(|path| open.get(&path)?.upgrade());
    owned.ok_or_else(|| {
        StoreError::new(Code::Unavailable, format!("this process does not have {} open", dir.display()))
    })
}

/// Takes a directory. When the last handle of this very process is just being dropped, its lock goes in a moment.
fn take_when_closed(dir: &Path) -> Result<Ownership> {
    for _ in 0..CLOSE_WAITS_MAX {
        match Ownership::take(dir) {
            Err(error) if error.code == Code::Locked && is_passing(dir) => thread::sleep(CLOSE_WAIT),
            answer => return answer,
        }
    }
    Ownership::take(dir)
}

fn create(
    mut ownership: Ownership,
    options: &StoreOptions,
    shared_memory_dir: &Path,
    below: Option<&Path>,
) -> Result<Arc<OwnedStore>> {
    let mut start = Start::Fresh;
    let is_tiered = below.is_some();
    if let Some(left) = ownership.left_behind() {
        match adopt(&left, options) {
            Ok((store, adoption)) => {
                let paths = (left.data.display().to_string(), left.touch.display().to_string());
                let backing = Backing::File(left.data.clone());
                store.hold_drains(is_tiered);
                ownership.announce(&paths.0, &paths.1, left.arena_id, vec![left.data, left.touch])?;
                return Ok(own(store, ownership, options, backing, Start::Adopted(adoption)));
            }
            Err(why) => start = Start::Refused(why),
        }
    }
    ownership.remove_left_behind();
    let geometry = Geometry::for_budget(options.budget_bytes);
    let hash_seed = match below.and_then(seed_of) {
        Some(seed) => seed,
        None => random()?,
    };
    let ids = ArenaIds { arena_id: random()?, hash_seed, origin: random()? };
    let name = format!("{SHARED_FILE_PREFIX}{:016x}", ids.arena_id);
    let is_roomy = free_bytes(shared_memory_dir).is_some_and(|free| free >= options.budget_bytes as u64);
    let path = |kind: &str| shared_memory_dir.join(format!("{name}.{kind}"));
    let (data, touch) = match is_roomy {
        true => (Backing::File(path("data")), Backing::File(path("touch"))),
        false => (Backing::Memfd, Backing::Memfd),
    };
    let data_words = Words::create(&data, &format!("{name}.data"), geometry.data_bytes())?;
    let touch_words =
        Words::create(&touch, &format!("{name}.touch"), geometry.touch_bytes()).inspect_err(|_| {
            if let Backing::File(path) = &data {
                let _ = std::fs::remove_file(path);
            }
        })?;
    let by_descriptor = |words: &Words| format!("/proc/{}/fd/{}", std::process::id(), words.descriptor());
    let (data_path, touch_path, files) = match &data {
        Backing::File(_) => {
            let (data, touch) = (path("data"), path("touch"));
            (data.display().to_string(), touch.display().to_string(), vec![data, touch])
        }
        Backing::Memfd => (by_descriptor(&data_words), by_descriptor(&touch_words), Vec::new()),
    };
    let arena = Arena::new(data_words, touch_words, geometry);
    let announced = files.clone();
    let created = Store::create(arena, options, ids).and_then(|store| {
        ownership.announce(&data_path, &touch_path, ids.arena_id, announced)?;
        Ok(store)
    });
    let store = created.inspect_err(|_| {
        for file in &files {
            let _ = std::fs::remove_file(file);
        }
    })?;
    store.hold_drains(is_tiered);
    Ok(own(store, ownership, options, data, start))
}

fn own(
    store: Store,
    ownership: Ownership,
    options: &StoreOptions,
    backing: Backing,
    start: Start,
) -> Arc<OwnedStore> {
    let store = Arc::new(store);
    let background = options.background.then(|| start_background(Arc::clone(&store)));
    Arc::new(OwnedStore {
        store,
        background: Mutex::new(background),
        backing,
        start,
        users: AtomicU64::new(0),
        ownership: Mutex::new(Some(ownership)),
        is_bequeathed: AtomicBool::new(false),
        closing: Mutex::default(),
    })
}

fn start_background(store: Arc<Store>) -> JoinHandle<()> {
    let body = move || {
        let mut rounds = 0;
        let mut surplus = Vec::new();
        while !store.is_closed() {
            while store.maintain() && !store.is_closed() {}
            store.serve_waiters();
            rounds += 1;
            if rounds % PUNCH_ROUNDS == 0 {
                store.segments.punch(&store.arena, std::mem::take(&mut surplus));
                surplus = store.segments.take_surplus();
                store.punch_filter();
                store.publish_counts();
            }
            thread::park_timeout(BACKGROUND_INTERVAL);
        }
    };
    thread::Builder::new().name("ramcache".into()).spawn(body).expect("a thread can be started")
}

impl OwnedStore {
    /// The store itself, for threads that may outlive what it takes to own it: once closed it refuses everything.
    pub fn shared(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }

    /// Has something done when the store is closed, before it is.
    pub fn before_close(&self, end: Box<dyn FnOnce() + Send>) {
        lock(&self.closing).push(end);
    }

    /// Where the arena is, as others are told; `None` when the store is closed.
    pub fn announced(&self) -> Option<Announced> {
        lock(&self.ownership).as_ref().and_then(|ownership| ownership.announced().cloned())
    }

    /// Tells others where the owner listens.
    pub fn announce_socket(&self, socket: Option<String>) -> Result<()> {
        match lock(&self.ownership).as_mut() {
            Some(ownership) => ownership.announce_socket(socket),
            None => Ok(()),
        }
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Leaves the arena to the next owner when the store is closed, as a killed one would: somebody waits to be it.
    /// Memory without a file dies with this process all the same.
    pub fn bequeath(&self) {
        self.is_bequeathed.store(!self.is_anonymous(), Ordering::Release);
    }

    /// Counts one who opens the store.
    pub fn enter(&self) {
        self.users.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts one who closes it; how many are left.
    pub fn leave(&self) -> u64 {
        self.users.fetch_sub(1, Ordering::AcqRel) - 1
    }

    pub fn users(&self) -> u64 {
        self.users.load(Ordering::Acquire)
    }

    /// Whether the store began empty or with what another owner left.
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// True when the arena dies with this process: `/dev/shm` was too small for it.
    pub fn is_anonymous(&self) -> bool {
        self.backing == Backing::Memfd
    }

    /// Closes the store, ends the background thread, gives the directory up. Idempotent.
    pub fn close(&self) {
        let ends = std::mem::take(&mut *lock(&self.closing));
        ends.into_iter().for_each(|end| end());
        // What the log could not take is in RAM alone: then the arena stays, as after a kill, for the next owner.
        // So it does when its tiers did not even start.
        let is_unread = matches!(self.start, Start::Adopted(_)) && self.store.are_drains_held();
        let is_all_below = self.store.stop_below().is_ok() && !is_unread;
        let is_final = is_all_below && !self.is_bequeathed.load(Ordering::Acquire);
        if !is_final {
            if let Some(ownership) = lock(&self.ownership).as_mut() {
                ownership.keep_files();
            }
        }
        self.store.end(is_final);
        if let Some(thread) = lock(&self.background).take() {
            thread.thread().unpark();
            // A panic of the background has already been printed; there is nothing to add to it here.
            let _ = thread.join();
        }
        drop(lock(&self.ownership).take());
    }
}

impl Drop for OwnedStore {
    fn drop(&mut self) {
        self.close();
    }
}

/// A read-only attachment to the arena of another process (or of this one).
pub struct Attached {
    arena: Arena,
    hasher: KeyHasher,
    unit_bytes: usize,
}

/// Attaches to an arena by its files. `ERR_RAMCACHE_CORRUPT` when they are not an arena this code can read,
/// `_UNAVAILABLE` when they cannot be opened.
pub fn attach(data: &Path, touch: &Path) -> Result<Attached> {
    let data_words = Words::attach(data, false)?;
    let refuse = |what: String| StoreError::new(Code::Corrupt, format!("{}: {what}", data.display()));
    let geometry = geometry_of(&data_words).map_err(refuse)?;
    let touch_words = Words::attach(touch, true)?;
    if geometry.touch_bytes() > touch_words.bytes() {
        return Err(refuse(format!("its touch file has {} bytes", touch_words.bytes())));
    }
    let hasher = KeyHasher::new(data_words.word(superblock::HASH_SEED).load(Ordering::Acquire));
    let unit_bytes = Runs::new(geometry.segment_bytes).unit_bytes();
    Ok(Attached { arena: Arena::new(data_words, touch_words, geometry), hasher, unit_bytes })
}

/// The sizes an arena's superblock states, or why this code cannot use them.
pub(crate) fn geometry_of(data_words: &Words) -> std::result::Result<Geometry, String> {
    if data_words.bytes() < superblock::WORDS * 8 {
        return Err(format!("{} bytes are too few for an arena", data_words.bytes()));
    }
    let load = |word: usize| data_words.word(word).load(Ordering::Acquire);
    if load(superblock::MAGIC) != layout::MAGIC {
        return Err("not a ramcache arena".into());
    }
    if load(superblock::VERSION) != layout::LAYOUT_VERSION {
        let (found, known) = (load(superblock::VERSION), layout::LAYOUT_VERSION);
        return Err(format!("arena layout {found}, this code reads {known}"));
    }
    let geometry = Geometry {
        segment_bytes: load(superblock::SEGMENT_BYTES) as usize,
        segments: load(superblock::SEGMENTS) as usize,
        buckets: load(superblock::BUCKETS) as usize,
        chunks: load(superblock::CHUNKS) as usize,
    };
    if !geometry.is_sane() || geometry.data_bytes() > data_words.bytes() {
        return Err(format!("its sizes make no sense: {geometry:?} in {} bytes", data_words.bytes()));
    }
    Ok(geometry)
}

impl Attached {
    pub fn arena(&self) -> &Arena {
        &self.arena
    }

    pub fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    #[inline]
    pub fn reader(&self) -> Reader<'_> {
        Reader { arena: &self.arena, unit_bytes: self.unit_bytes }
    }
}

fn free_bytes(dir: &Path) -> Option<u64> {
    let name = std::ffi::CString::new(dir.as_os_str().as_encoded_bytes()).ok()?;
    // SAFETY: `statvfs` is plain old data and fully written by a successful call.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: a valid C string and a valid pointer.
    let failed = unsafe { libc::statvfs(name.as_ptr(), &mut stat) } != 0;
    (!failed).then(|| stat.f_bavail as u64 * stat.f_frsize as u64)
}

pub(crate) fn random() -> Result<u64> {
    let mut bytes = [0; 8];
    // SAFETY: a valid buffer of the length given.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if got != bytes.len() as isize {
        return Err(StoreError::os(Code::Unavailable, "cannot get random numbers"));
    }
    Ok(u64::from_le_bytes(bytes))
}
