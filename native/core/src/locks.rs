//! Locks: who holds which, who waits for it, and what becomes of them when a holder ends.
//!
//! What decides is one record for each lock, in a namespace that no user can name: pinned, volatile, with a time to live
//! ([`crate::ops`], `lock.rs`). Its clock word is the fencing token. So a lock stands as long as its arena does, whoever owns
//! that. This table, in the owner's heap, only knows whom to tell, and what to let go when a connection or thread ends; the
//! next owner begins with an empty one.
//!
//! Waiters stand in line: a lock that becomes free is given to the first of them, and nobody overtakes. A waiter is told by
//! its holder's `tell`, under the lock of this table.

use crate::error::{Code, Result, StoreError};
use crate::layout;
use crate::store::Store;
use crate::sync::{lock, AtomicU64, Mutex, MutexGuard, Ordering};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where the records are.
pub const NAMESPACE: &str = " locks";
/// The number of the namespace stands in front of the key.
const PREFIX_BYTES: usize = 2;
pub const KEY_BYTES_MAX: usize = layout::KEY_BYTES_MAX - PREFIX_BYTES;
/// Who waits, over all locks: each takes some hundred bytes of heap.
const WAITERS_MAX: usize = 1 << 16;
/// The table is looked through for locks that have expired when it has grown to this, and then when it has doubled.
const HELD_LEAST: usize = 1024;

/// Tells the holder of a waiter that it has the lock: its ticket and its token.
pub type Tell = Box<dyn Fn(u64, u64) + Send + Sync>;

/// What became of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attempt {
    /// With this token.
    Locked(u64),
    /// By the process of this id, for so long.
    Held { pid: u32, left_ms: u64 },
    /// The same, and who asked stands in line.
    Queued { pid: u32, left_ms: u64 },
}

/// Whose a lock is, as its record says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Holder {
    pub pid: u32,
    /// Of a lock that the owner of the store holds itself, which run of it that is: with the owner, the lock is gone. 0 for
    /// those of connections.
    pub run: u64,
}

struct Waiter {
    holder: u64,
    ticket: u64,
    ttl_ms: u64,
}

struct Held {
    holder: u64,
    token: u64,
    /// That it came by, when it was waited for.
    ticket: Option<u64>,
}

/// A connection, or a thread of the owner.
struct Holding {
    holder: Holder,
    tell: Tell,
    held: HashSet<Vec<u8>>,
    /// What each ticket waits for.
    waiting: HashMap<u64, Vec<u8>>,
}

#[derive(Default)]
struct Table {
    last_holder: u64,
    holders: HashMap<u64, Holding>,
    /// By record key. May name what has expired.
    held: HashMap<Vec<u8>, Held>,
    held_max: usize,
    waiting: HashMap<Vec<u8>, VecDeque<Waiter>>,
    waiters: usize,
}

pub struct Locks {
    /// LOCK: locks. Before all others of the store; held over the write of a record.
    table: Mutex<Table>,
    /// Which run of an owner this is.
    pub(crate) run: u64,
    pub(crate) namespace: OnceLock<u32>,
    /// When a lock that somebody waits for expires: milliseconds since 1970, `u64::MAX` = never.
    due_ms: AtomicU64,
}

impl Default for Locks {
    fn default() -> Locks {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Locks {
            table: Mutex::default(),
            // A process may own the store twice, one after the other.
            run: (now.as_nanos() as u64).rotate_left(20) ^ std::process::id() as u64 | 1,
            namespace: OnceLock::new(),
            due_ms: AtomicU64::new(u64::MAX),
        }
    }
}

impl Table {
    /// Puts down whose a lock is now.
    fn hold(&mut self, name: &[u8], holder: u64, token: u64, ticket: Option<u64>) {
        let before = self.held.insert(name.to_vec(), Held { holder, token, ticket });
        if let Some(before) = before.filter(|before| before.holder != holder) {
            self.holders.get_mut(&before.holder).map(|holding| holding.held.remove(name));
        }
        self.holders.get_mut(&holder).map(|holding| holding.held.insert(name.to_vec()));
    }

    fn forget(&mut self, name: &[u8], token: u64) {
        if self.held.get(name).is_some_and(|held| held.token == token) {
            let Held { holder, .. } = self.held.remove(name).expect("just seen");
            self.holders.get_mut(&holder).map(|holding| holding.held.remove(name));
        }
    }

    /// Takes the first of a line out of it.
    fn next_waiter(&mut self, name: &[u8]) -> Option<Waiter> {
        let line = self.waiting.get_mut(name)?;
        let waiter = line.pop_front()?;
        if line.is_empty() {
            self.waiting.remove(name);
        }
        self.waiters -= 1;
        self.holders.get_mut(&waiter.holder).map(|holding| holding.waiting.remove(&waiter.ticket));
        Some(waiter)
    }

    fn leave_line(&mut self, name: &[u8], holder: u64, ticket: u64) {
        let Some(line) = self.waiting.get_mut(name) else { return };
        let before = line.len();
        line.retain(|waiter| (waiter.holder, waiter.ticket) != (holder, ticket));
        self.waiters -= before - line.len();
        if line.is_empty() {
            self.waiting.remove(name);
        }
    }
}

impl Store {
    /// One more that may hold locks, of a process; `is_owner` when that is this one, without a connection in between.
    pub fn join_locks(&self, pid: u32, is_owner: bool, tell: Tell) -> u64 {
        let mut table = self.lock_table();
        table.last_holder += 1;
        let number = table.last_holder;
        let holder = Holder { pid, run: if is_owner { self.locks.run } else { 0 } };
        let holding = Holding { holder, tell, held: HashSet::new(), waiting: HashMap::new() };
        table.holders.insert(number, holding);
        number
    }

    /// A holder has ended. What it waited for goes to others; what it holds too, or stands until it expires.
    pub fn leave_locks(&self, holder: u64, lets_go: bool) {
        let mut table = self.lock_table();
        let Some(holding) = table.holders.remove(&holder) else { return };
        for (ticket, name) in &holding.waiting {
            table.leave_line(name, holder, *ticket);
        }
        for name in holding.held {
            let Some(held) = table.held.remove(&name) else { continue };
            // Without room for it, and in a store that is closed, the lock ends by its expiry.
            if lets_go && matches!(self.let_go(&name, held.token), Ok(true)) {
                self.serve_line(&mut table, &name);
            }
        }
    }

    /// Takes a lock, if nobody has it. With a ticket, a number that its holder uses once, who asks gets in line; again with
    /// the same ticket it stays there.
    pub fn lock_key(
        &self,
        holder: u64,
        namespace: u32,
        key: &[u8],
        ttl_ms: u64,
        ticket: Option<u64>,
    ) -> Result<Attempt> {
        let name = name_of(namespace, key)?;
        let mut table = self.lock_table();
        let Some(by) = table.holders.get(&holder).map(|holding| holding.holder) else {
            return Err(StoreError::new(Code::Closed, "who asks for the lock has ended"));
        };
        // It may have expired: who waits goes first.
        self.serve_line(&mut table, &name);
        // Who asks again may have got it meanwhile.
        let came = table.held.get(&name).filter(|held| held.holder == holder && held.ticket == ticket);
        if let Some(token) = came.filter(|_| ticket.is_some()).map(|held| held.token) {
            if self.is_held(&name, token) {
                return Ok(Attempt::Locked(token));
            }
        }
        let (held_by, expires_at) = match table.waiting.contains_key(&name) {
            true => self.holder_of(&name)?.unwrap_or((Holder { pid: 0, run: 0 }, 0)),
            false => match self.take(&name, ttl_ms, by)? {
                Ok(token) => {
                    self.tidy(&mut table);
                    table.hold(&name, holder, token, ticket);
                    return Ok(Attempt::Locked(token));
                }
                Err(held) => held,
            },
        };
        let pid = held_by.pid;
        let left_ms = expires_at.saturating_sub(self.arena.expiry_now_ms());
        let Some(ticket) = ticket else { return Ok(Attempt::Held { pid, left_ms }) };
        let holding = table.holders.get_mut(&holder).expect("seen above");
        if holding.waiting.insert(ticket, name.clone()).is_none() {
            if table.waiters >= WAITERS_MAX {
                table.holders.get_mut(&holder).map(|holding| holding.waiting.remove(&ticket));
                let message = format!("{WAITERS_MAX} callers wait for locks already, which is the limit");
                return Err(StoreError::new(Code::Full, message));
            }
            table.waiters += 1;
            table.waiting.entry(name).or_default().push_back(Waiter { holder, ticket, ttl_ms });
        }
        self.locks.due_ms.fetch_min(expires_at, Ordering::Relaxed);
        Ok(Attempt::Queued { pid, left_ms })
    }

    /// Leaves the line. False when the ticket is not in one: it may have got its lock just now.
    pub fn cancel_lock(&self, holder: u64, ticket: u64) -> bool {
        let mut table = self.lock_table();
        let Some(holding) = table.holders.get_mut(&holder) else { return false };
        let Some(name) = holding.waiting.remove(&ticket) else { return false };
        table.leave_line(&name, holder, ticket);
        true
    }

    /// Lets a lock go. False when it is not held with this token any more.
    pub fn unlock_key(&self, namespace: u32, key: &[u8], token: u64) -> Result<bool> {
        let name = name_of(namespace, key)?;
        let mut table = self.lock_table();
        let is_let_go = self.let_go(&name, token)?;
        table.forget(&name, token);
        if is_let_go {
            self.serve_line(&mut table, &name);
        }
        Ok(is_let_go)
    }

    /// A new time to live from now on, and the lock is let go when this holder ends. False when it is not held with this
    /// token any more.
    pub fn renew_lock(
        &self,
        holder: u64,
        namespace: u32,
        key: &[u8],
        token: u64,
        ttl_ms: u64,
    ) -> Result<bool> {
        let name = name_of(namespace, key)?;
        let mut table = self.lock_table();
        let is_renewed = self.prolong(&name, token, ttl_ms)?;
        match is_renewed {
            true => table.hold(&name, holder, token, None),
            false => table.forget(&name, token),
        }
        Ok(is_renewed)
    }

    /// Called by the background: locks that have expired go to those who wait for them.
    pub(crate) fn serve_waiters(&self) {
        if self.arena.expiry_now_ms() < self.locks.due_ms.load(Ordering::Relaxed) {
            return;
        }
        // Somebody is at it: what has expired is looked at again in a moment.
        let Ok(mut table) = self.locks.table.try_lock() else { return };
        self.locks.due_ms.store(u64::MAX, Ordering::Relaxed);
        for name in table.waiting.keys().cloned().collect::<Vec<_>>() {
            self.serve_line(&mut table, &name);
        }
    }

    /// Gives a lock to the first who waits for it, if nobody has it.
    fn serve_line(&self, table: &mut Table, name: &[u8]) {
        while let Some(line) = table.waiting.get(name) {
            let Some(Waiter { holder, ticket, ttl_ms }) = line.front() else { return };
            let (holder, ticket) = (*holder, *ticket);
            let by = table.holders.get(&holder).expect("a waiter goes with its holder").holder;
            match self.take(name, *ttl_ms, by) {
                Ok(Ok(token)) => {
                    table.next_waiter(name);
                    table.hold(name, holder, token, Some(ticket));
                    (table.holders[&holder].tell)(ticket, token);
                }
                Ok(Err((_, expires_at))) => {
                    self.locks.due_ms.fetch_min(expires_at, Ordering::Relaxed);
                    return;
                }
                // No room for the record now. It is tried again until who waits gives up.
                Err(_) => {
                    self.locks.due_ms.store(0, Ordering::Relaxed);
                    return;
                }
            }
        }
    }

    /// Forgets locks that have expired without having been let go.
    fn tidy(&self, table: &mut Table) {
        if table.held.len() < table.held_max.max(HELD_LEAST) {
            return;
        }
        let names: Vec<(Vec<u8>, u64)> =
            table.held.iter().map(|(name, held)| (name.clone(), held.token)).collect();
        for (name, token) in names {
            if !self.is_held(&name, token) {
                table.forget(&name, token);
            }
        }
        table.held_max = table.held.len() * 2;
    }

    fn lock_table(&self) -> MutexGuard<'_, Table> {
        lock(&self.locks.table)
    }
}

/// The key of a lock's record.
fn name_of(namespace: u32, key: &[u8]) -> Result<Vec<u8>> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let message = format!("key of {} bytes, that of a lock has 1 to {KEY_BYTES_MAX}", key.len());
        return Err(StoreError::new(Code::Key, message));
    }
    let mut name = Vec::with_capacity(PREFIX_BYTES + key.len());
    name.extend_from_slice(&(namespace as u16).to_be_bytes());
    name.extend_from_slice(key);
    Ok(name)
}
