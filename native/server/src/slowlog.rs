//! Commands that took long, the newest first.

use crate::commands::Command;
use crate::frame::Args;
use crate::registry::Client;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// As Redis has them.
const SLOWER_THAN_US: i64 = 10_000;
const LENGTH_MAX: usize = 128;
/// Of a command that is remembered.
const ARGS_MAX: usize = 32;
const ARG_BYTES_MAX: usize = 128;

pub struct Slow {
    pub id: u64,
    pub at_s: u64,
    pub duration_us: u64,
    pub args: Vec<Vec<u8>>,
    pub client_address: String,
    pub client_name: String,
}

pub struct Slowlog {
    /// Negative: nothing is remembered.
    pub slower_than_us: AtomicI64,
    pub length_max: AtomicUsize,
    /// LOCK: slowlog. Alone.
    entries: Mutex<(u64, VecDeque<Arc<Slow>>)>,
}

impl Default for Slowlog {
    fn default() -> Slowlog {
        Slowlog {
            slower_than_us: AtomicI64::new(SLOWER_THAN_US),
            length_max: AtomicUsize::new(LENGTH_MAX),
            entries: Mutex::default(),
        }
    }
}

impl Slowlog {
    fn lock(&self) -> MutexGuard<'_, (u64, VecDeque<Arc<Slow>>)> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a command if it took long enough, without its passwords. `path` is that of the Unix socket.
    pub fn note(&self, duration: Duration, command: &Command, args: Args, client: &Client, path: &Path) {
        let slower_than = self.slower_than_us.load(Ordering::Relaxed);
        if slower_than < 0 || duration.as_micros() < slower_than as u128 {
            return;
        }
        let length_max = self.length_max.load(Ordering::Relaxed);
        let secrets = command.secrets(args);
        let mut shown: Vec<Vec<u8>> = args.from(0).take(ARGS_MAX).map(shorten).collect();
        for (number, arg) in shown.iter_mut().enumerate() {
            if secrets.contains(&number) {
                *arg = b"(redacted)".to_vec();
            }
        }
        if args.len() > ARGS_MAX {
            let left = args.len() - ARGS_MAX + 1;
            shown[ARGS_MAX - 1] = format!("... ({left} more arguments)").into_bytes();
        }
        let mut entries = self.lock();
        let id = entries.0;
        entries.0 += 1;
        entries.1.push_front(Arc::new(Slow {
            id,
            at_s: ramcache_core::clock::wall_ms() / 1000,
            duration_us: duration.as_micros() as u64,
            args: shown,
            client_address: client.ends(&path.display().to_string()).0,
            client_name: client.texts().name.clone(),
        }));
        entries.1.truncate(length_max);
    }

    pub fn entries(&self) -> Vec<Arc<Slow>> {
        self.lock().1.iter().cloned().collect()
    }

    pub fn clear(&self) {
        self.lock().1.clear();
    }

    pub fn resize(&self, length: usize) {
        self.length_max.store(length, Ordering::Relaxed);
        self.lock().1.truncate(length);
    }
}

fn shorten(arg: &[u8]) -> Vec<u8> {
    if arg.len() <= ARG_BYTES_MAX {
        return arg.to_vec();
    }
    let more = format!("... ({} more bytes)", arg.len() - ARG_BYTES_MAX);
    [&arg[..ARG_BYTES_MAX], more.as_bytes()].concat()
}
