//! What a connection has said of itself.

use crate::frame::OwnedArgs;
use crate::registry::Client;
use crate::reply::Resp;
use crate::worker::Namespace;
use std::collections::BTreeSet;
use std::sync::Arc;

pub struct Session {
    pub resp: Resp,
    /// Where Redis commands work, and its full name.
    pub namespace: Namespace,
    pub namespace_name: String,
    pub client: Arc<Client>,
    /// The connection is closed once its replies are written.
    pub is_closing: bool,
    /// CLIENT NO-TOUCH: reads do not count as uses.
    pub is_no_touch: bool,
    /// Between MULTI and EXEC.
    pub transaction: Option<Transaction>,
    pub watched: Vec<Watched>,
    pub channels: BTreeSet<Vec<u8>>,
    pub patterns: BTreeSet<Vec<u8>>,
    /// Has sent something to the control plane, which is told of its end.
    pub uses_control: bool,
}

impl Session {
    pub fn names(&mut self, are_patterns: bool) -> &mut BTreeSet<Vec<u8>> {
        if are_patterns {
            &mut self.patterns
        } else {
            &mut self.channels
        }
    }

    pub fn subscriptions(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }
}

/// What MULTI has queued.
#[derive(Default)]
pub struct Transaction {
    /// Numbers of commands, and their arguments.
    pub commands: Vec<(usize, OwnedArgs)>,
    pub bytes: usize,
    /// A command was refused: EXEC refuses all.
    pub is_broken: bool,
}

/// A key that must be what it was for EXEC to do anything.
pub struct Watched {
    pub namespace: Namespace,
    pub key: Vec<u8>,
    /// Clock words of its value and expiry; `None` when there was nothing.
    pub version: Option<(u64, u64)>,
    pub token: u32,
}
