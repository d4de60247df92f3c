//! Who may have kept what: keys that clients have read, and prefixes that they want to hear of. Plain data under one lock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What a key or a prefix takes beside its bytes, about.
pub const OVERHEAD_BYTES: usize = 160;
/// Where a key begins in what is put down: behind its namespace.
pub const KEY_AT: usize = 4;
/// Namespace and key in one.
pub type Place = Arc<[u8]>;

/// A key, and who may have kept what it held.
pub struct Kept {
    pub place: Place,
    /// Connections, ascending; some may be gone or not tracking any more.
    readers: Vec<u64>,
    /// 0 = never, as far as a reader has seen.
    expires_at: u64,
}

/// How a client tracks.
#[derive(Clone, Default, Debug)]
pub struct Tracker {
    pub thread: usize,
    /// Who gets the messages in its place.
    pub redirect: Option<u64>,
    /// It is not told of what it has changed itself.
    pub no_loop: bool,
    /// For BCAST: what the keys that it is told of begin with.
    pub prefixes: Option<Vec<Vec<u8>>>,
    /// Where it has worked since it tracks.
    pub namespaces: BTreeSet<u32>,
}

#[derive(Default)]
pub struct Tables {
    pub clients: BTreeMap<u64, Tracker>,
    pub kept: Vec<Kept>,
    /// Where a key stands in `kept`.
    pub numbers: HashMap<Place, usize>,
    pub prefixes: BTreeMap<Vec<u8>, BTreeSet<u64>>,
    pub expiries: BTreeSet<(u64, Place)>,
    /// Pairs of a key and one who has read it.
    pub readers: usize,
    pub bytes: usize,
    pub scratch: Vec<u8>,
    pub chance: u64,
}

/// A message on its way.
pub struct Told {
    /// Whose it is, and its thread.
    pub client: u64,
    pub thread: usize,
    /// Who gets it in its place.
    pub redirect: Option<u64>,
    /// `None` = all keys.
    pub key: Option<Arc<[u8]>>,
}

impl Tracker {
    fn told(&self, client: u64, key: Option<Arc<[u8]>>) -> Told {
        Told { client, thread: self.thread, redirect: self.redirect, key }
    }
}

impl Tables {
    /// The place of a key in `scratch`.
    fn spell(&mut self, namespace: u32, key: &[u8]) {
        self.scratch.clear();
        self.scratch.extend_from_slice(&namespace.to_le_bytes());
        self.scratch.extend_from_slice(key);
    }

    pub fn add(&mut self, client: u64, namespace: u32, key: &[u8]) {
        self.spell(namespace, key);
        let number = match self.numbers.get(&self.scratch[..]) {
            Some(number) => *number,
            None => {
                let place: Place = self.scratch.as_slice().into();
                self.bytes += place.len() + OVERHEAD_BYTES;
                self.numbers.insert(Arc::clone(&place), self.kept.len());
                self.kept.push(Kept { place, readers: Vec::new(), expires_at: 0 });
                self.kept.len() - 1
            }
        };
        let readers = &mut self.kept[number].readers;
        if let Err(at) = readers.binary_search(&client) {
            readers.insert(at, client);
            self.readers += 1;
            self.bytes += size_of::<u64>();
        }
    }

    pub fn set_expiry(&mut self, number: usize, expires_at: u64) {
        let kept = &mut self.kept[number];
        if kept.expires_at != 0 {
            self.expiries.remove(&(kept.expires_at, Arc::clone(&kept.place)));
        }
        if expires_at != 0 {
            self.expiries.insert((expires_at, Arc::clone(&kept.place)));
        }
        kept.expires_at = expires_at;
    }

    pub fn take(&mut self, number: usize) -> Kept {
        self.set_expiry(number, 0);
        let kept = self.kept.swap_remove(number);
        self.numbers.remove(&kept.place);
        if let Some(moved) = self.kept.get(number) {
            *self.numbers.get_mut(&moved.place).expect("every key has a number") = number;
        }
        self.readers -= kept.readers.len();
        self.bytes -= kept.place.len() + OVERHEAD_BYTES + kept.readers.len() * size_of::<u64>();
        kept
    }

    /// A key that goes to make room: any.
    pub fn any(&mut self) -> usize {
        // xorshift64, Marsaglia 2003.
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        (self.chance % self.kept.len() as u64) as usize
    }

    /// Who is told of a key that was taken out.
    pub fn tell_readers(&self, kept: &Kept, writer: u64, told: &mut Vec<Told>) {
        let key: Arc<[u8]> = kept.place[KEY_AT..].into();
        for reader in &kept.readers {
            let Some(tracker) = self.clients.get(reader).filter(|tracker| tracker.prefixes.is_none()) else {
                continue;
            };
            if !(tracker.no_loop && *reader == writer) {
                told.push(tracker.told(*reader, Some(Arc::clone(&key))));
            }
        }
    }

    pub fn tell_prefixes(&self, namespace: u32, key: &[u8], writer: u64, told: &mut Vec<Told>) {
        let mut shared: Option<Arc<[u8]>> = None;
        for (_, clients) in self.prefixes.iter().filter(|(prefix, _)| key.starts_with(prefix)) {
            for client in clients {
                let Some(tracker) = self.clients.get(client) else { continue };
                let is_own = tracker.no_loop && *client == writer;
                if !is_own && tracker.namespaces.contains(&namespace) {
                    let key = shared.get_or_insert_with(|| key.into());
                    told.push(tracker.told(*client, Some(Arc::clone(key))));
                }
            }
        }
    }

    /// Those who work in a namespace are told that all of it is gone.
    pub fn tell_all(&self, namespace: u32) -> Vec<Told> {
        let clients = self.clients.iter().filter(|(_, tracker)| tracker.namespaces.contains(&namespace));
        clients.map(|(client, tracker)| tracker.told(*client, None)).collect()
    }

    /// The number of a key that somebody has read.
    pub fn find(&mut self, namespace: u32, key: &[u8]) -> Option<usize> {
        self.spell(namespace, key);
        self.numbers.get(&self.scratch[..]).copied()
    }

    pub fn number_of(&self, place: &[u8]) -> usize {
        self.numbers[place]
    }

    /// Bytes that prefixes take.
    pub fn bytes_of(prefixes: &Option<Vec<Vec<u8>>>) -> usize {
        prefixes.iter().flatten().map(|prefix| prefix.len() + OVERHEAD_BYTES).sum()
    }

    pub fn add_prefixes(&mut self, client: u64, prefixes: &Option<Vec<Vec<u8>>>) {
        self.bytes += Tables::bytes_of(prefixes);
        for prefix in prefixes.iter().flatten() {
            self.prefixes.entry(prefix.clone()).or_default().insert(client);
        }
    }

    pub fn remove_prefixes(&mut self, client: u64, prefixes: &Option<Vec<Vec<u8>>>) {
        self.bytes -= Tables::bytes_of(prefixes);
        for prefix in prefixes.iter().flatten() {
            if let Some(clients) = self.prefixes.get_mut(prefix) {
                clients.remove(&client);
                if clients.is_empty() {
                    self.prefixes.remove(prefix);
                }
            }
        }
    }
}
