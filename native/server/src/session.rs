//! What a connection has said of itself.

use crate::commands::LockHolder;
use crate::frame::OwnedArgs;
use crate::registry::Client;
use crate::reply::{Reply, Resp};
use crate::worker::Namespace;
use std::collections::BTreeSet;
use std::sync::Arc;

pub struct Session {
    pub resp: Resp,
    /// Where Redis commands work, and its full name.
    pub namespace: Namespace,
    pub namespace_name: String,
    pub client: Arc<Client>,
    /// It has to give the password before it may do anything; and it has, or need not.
    pub needs_password: bool,
    pub is_authenticated: bool,
    /// The connection is closed once its replies are written.
    pub is_closing: bool,
    /// CLIENT NO-TOUCH: reads do not count as uses.
    pub is_no_touch: bool,
    /// Between MULTI and EXEC.
    pub transaction: Option<Transaction>,
    pub watched: Vec<Watched>,
    pub channels: BTreeSet<Vec<u8>>,
    pub patterns: BTreeSet<Vec<u8>>,
    /// CLIENT TRACKING.
    pub tracks: Option<Tracks>,
    /// Has sent something to the control plane, which is told of its end.
    pub uses_control: bool,
    /// Has asked for leases, which end with it.
    pub has_leases: bool,
    /// What it is among those who may hold locks, once it has asked for one.
    pub lock_holder: Option<LockHolder>,
}

impl Session {
    pub fn names(&mut self, are_patterns: bool) -> &mut BTreeSet<Vec<u8>> {
        if are_patterns {
            &mut self.patterns
        } else {
            &mut self.channels
        }
    }

    /// Whether what a command reads from now on is put down for invalidation.
    pub fn tracks_reads(&self) -> bool {
        self.tracks.as_ref().is_some_and(Tracks::are_reads_kept)
    }

    /// Notes that who was to get the invalidations is gone; what to say of it, where that can be said.
    pub fn note_redirect_gone(&mut self) -> Option<Vec<u8>> {
        let tracks = self.tracks.as_mut()?;
        tracks.is_redirect_gone = true;
        let redirect = tracks.redirect?;
        if self.resp == Resp::Two {
            return None;
        }
        let mut out = Vec::new();
        let mut reply = Reply { out: &mut out, resp: self.resp };
        reply.push(2);
        reply.bulk(b"tracking-redir-broken");
        reply.integer(redirect as i64);
        Some(out)
    }

    pub fn subscriptions(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }
}

/// How a connection tracks what it reads.
pub struct Tracks {
    pub choice: Choice,
    /// What CLIENT CACHING has said of the next command.
    pub caching: Option<bool>,
    pub no_loop: bool,
    pub redirect: Option<u64>,
    pub is_redirect_gone: bool,
    /// BCAST, with them.
    pub prefixes: Option<Vec<Vec<u8>>>,
}

/// Of which commands the keys are put down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    All,
    /// OPTIN: after CLIENT CACHING YES.
    In,
    /// OPTOUT: but after CLIENT CACHING NO.
    Out,
}

impl Tracks {
    fn are_reads_kept(&self) -> bool {
        let is_chosen = match self.choice {
            Choice::All | Choice::Out => self.caching != Some(false),
            Choice::In => self.caching == Some(true),
        };
        self.prefixes.is_none() && is_chosen
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
