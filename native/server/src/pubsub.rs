//! Who listens to what: channels, and patterns of channels.

use crate::glob;
use crate::reply::{Reply, Resp};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections that listen, and their threads.
type Listeners = BTreeMap<u64, usize>;

#[derive(Default)]
struct Tables {
    channels: HashMap<Vec<u8>, Listeners>,
    patterns: HashMap<Vec<u8>, Listeners>,
}

#[derive(Default)]
pub struct PubSub {
    /// LOCK: pubsub. Alone.
    tables: Mutex<Tables>,
}

/// What a message is to one listener.
#[derive(Clone)]
pub struct Message {
    /// Which pattern it came by.
    pub pattern: Option<Arc<[u8]>>,
    pub channel: Arc<[u8]>,
    pub payload: Arc<[u8]>,
}

impl Message {
    pub fn encode(&self, resp: Resp) -> Vec<u8> {
        let mut out = Vec::new();
        let mut reply = Reply { out: &mut out, resp };
        match &self.pattern {
            None => {
                reply.push(3);
                reply.bulk(b"message");
            }
            Some(pattern) => {
                reply.push(4);
                reply.bulk(b"pmessage");
                reply.bulk(pattern);
            }
        }
        reply.bulk(&self.channel);
        reply.bulk(&self.payload);
        out
    }
}

impl PubSub {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn subscribe(&self, name: &[u8], is_pattern: bool, connection: u64, thread: usize) {
        let mut tables = self.tables();
        let table = if is_pattern { &mut tables.patterns } else { &mut tables.channels };
        table.entry(name.to_vec()).or_default().insert(connection, thread);
    }

    pub fn unsubscribe(&self, name: &[u8], is_pattern: bool, connection: u64) {
        let mut tables = self.tables();
        let table = if is_pattern { &mut tables.patterns } else { &mut tables.channels };
        if let Some(listeners) = table.get_mut(name) {
            listeners.remove(&connection);
            if listeners.is_empty() {
                table.remove(name);
            }
        }
    }

    /// Who is to get a message: connection, thread, and the message as it is to them.
    pub fn receivers(&self, channel: &[u8], payload: &[u8]) -> Vec<(u64, usize, Message)> {
        let tables = self.tables();
        let mut receivers = Vec::new();
        let plain = Message { pattern: None, channel: channel.into(), payload: payload.into() };
        for (connection, thread) in tables.channels.get(channel).into_iter().flatten() {
            receivers.push((*connection, *thread, plain.clone()));
        }
        for (pattern, listeners) in &tables.patterns {
            if !glob::matches(pattern, channel) {
                continue;
            }
            let message = Message { pattern: Some(pattern.as_slice().into()), ..plain.clone() };
            receivers.extend(listeners.iter().map(|(id, thread)| (*id, *thread, message.clone())));
        }
        receivers
    }

    /// Channels that somebody listens to.
    pub fn channels(&self, pattern: &[u8]) -> Vec<Vec<u8>> {
        self.tables().channels.keys().filter(|channel| glob::matches(pattern, channel)).cloned().collect()
    }

    pub fn listeners(&self, channel: &[u8]) -> usize {
        self.tables().channels.get(channel).map_or(0, BTreeMap::len)
    }

    /// How many channels, and how many patterns.
    pub fn counts(&self) -> (usize, usize) {
        let tables = self.tables();
        (tables.channels.len(), tables.patterns.len())
    }
}
