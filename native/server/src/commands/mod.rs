//! The commands: one table. Names are lower case, as Redis shows them.

mod admin;
mod command;
mod connection;
mod copies;
mod counters;
mod docs;
mod info;
mod keys;
mod leases;
mod limits;
mod locks;
mod own;
mod own_writes;
mod pubsub;
mod ranges;
mod scans;
mod strings;
mod tracking;
mod transactions;
mod write_options;

pub use connection::end_monitor;
pub use locks::{push as lock_push, LockHolder};
pub use pubsub::end_all as end_subscriptions;
pub use tracking::end_tracking;

use crate::context::{Context, Run};
use crate::frame::Args;
use std::collections::HashMap;
use std::sync::LazyLock;

/// A command that answers in any order with others of its kind: it changes nothing.
pub const READ: u32 = 1;
pub const WRITE: u32 = 2;
/// No other command runs meanwhile.
pub const ALONE: u32 = 4;
pub const FAST: u32 = 8;
pub const ADMIN: u32 = 16;
/// Never queued by MULTI.
pub const AT_ONCE: u32 = 32;
/// Works while a RESP2 connection listens to channels.
pub const LISTENING: u32 = 64;

/// Works before the client has said who it is.
pub const UNKNOWN: u32 = 128;

pub struct Command {
    pub name: &'static str,
    /// With the name; negative = at least so many.
    pub arity: i32,
    pub flags: u32,
    /// Arguments that are keys: first, last (negative = from the end), step.
    pub keys: (i32, i32, i32),
    pub run: fn(&mut Context, Args) -> Run,
}

const NO_KEYS: (i32, i32, i32) = (0, 0, 0);
const ONE_KEY: (i32, i32, i32) = (1, 1, 1);
const TWO_KEYS: (i32, i32, i32) = (1, 2, 1);
const ALL_KEYS: (i32, i32, i32) = (1, -1, 1);
const PAIRS: (i32, i32, i32) = (1, -1, 2);

macro_rules! table {
    ($($name:literal $arity:literal [$($flag:ident)*] $keys:ident $run:path;)*) => {
        pub static COMMANDS: &[Command] = &[
            $(Command { name: $name, arity: $arity, flags: 0 $(| $flag)*, keys: $keys, run: $run },)*
        ];
    };
}

table! {
    "append" 3 [WRITE FAST] ONE_KEY ranges::append;
    "auth" -2 [FAST UNKNOWN] NO_KEYS connection::auth;
    "bgsave" -1 [ADMIN] NO_KEYS own::to_control;
    "cl.throttle" -5 [WRITE FAST] ONE_KEY limits::throttle;
    "client" -2 [ADMIN] NO_KEYS connection::client;
    "command" -1 [] NO_KEYS command::command;
    "config" -2 [ADMIN] NO_KEYS admin::config;
    "copy" -3 [WRITE] TWO_KEYS copies::copy;
    "dbsize" 1 [READ FAST] NO_KEYS scans::dbsize;
    "decr" 2 [WRITE FAST] ONE_KEY counters::decr;
    "decrby" 3 [WRITE FAST] ONE_KEY counters::decrby;
    "del" -2 [WRITE] ALL_KEYS keys::del;
    "discard" 1 [FAST AT_ONCE] NO_KEYS transactions::discard;
    "echo" 2 [READ FAST] NO_KEYS connection::echo;
    "exec" 1 [ALONE AT_ONCE] NO_KEYS transactions::exec;
    "exists" -2 [READ FAST] ALL_KEYS keys::exists;
    "expire" -3 [WRITE FAST] ONE_KEY keys::expire;
    "expireat" -3 [WRITE FAST] ONE_KEY keys::expireat;
    "expiretime" 2 [READ FAST] ONE_KEY keys::expiretime;
    "flushall" -1 [WRITE] NO_KEYS keys::flushall;
    "flushdb" -1 [WRITE] NO_KEYS keys::flushdb;
    "get" 2 [READ FAST] ONE_KEY strings::get;
    "getdel" 2 [WRITE FAST] ONE_KEY strings::getdel;
    "getex" -2 [WRITE FAST] ONE_KEY strings::getex;
    "getrange" 4 [READ] ONE_KEY ranges::getrange;
    "getset" 3 [WRITE FAST] ONE_KEY strings::getset;
    "hello" -1 [FAST UNKNOWN] NO_KEYS connection::hello;
    "incr" 2 [WRITE FAST] ONE_KEY counters::incr;
    "incrby" 3 [WRITE FAST] ONE_KEY counters::incrby;
    "incrbyfloat" 3 [WRITE FAST] ONE_KEY counters::incrbyfloat;
    "info" -1 [] NO_KEYS info::info;
    "keys" 2 [READ] NO_KEYS own::to_control;
    "lastsave" 1 [FAST] NO_KEYS admin::lastsave;
    "latency" -2 [ADMIN] NO_KEYS admin::latency;
    "memory" -2 [READ] NO_KEYS admin::memory;
    "mget" -2 [READ FAST] ALL_KEYS strings::mget;
    "monitor" 1 [ADMIN] NO_KEYS connection::monitor;
    "move" 3 [WRITE ALONE FAST] ONE_KEY copies::move_to;
    "mset" -3 [WRITE] PAIRS strings::mset;
    "msetnx" -3 [WRITE ALONE] PAIRS strings::msetnx;
    "multi" 1 [FAST AT_ONCE] NO_KEYS transactions::multi;
    "object" -2 [READ] NO_KEYS admin::object;
    "persist" 2 [WRITE FAST] ONE_KEY keys::persist;
    "pexpire" -3 [WRITE FAST] ONE_KEY keys::pexpire;
    "pexpireat" -3 [WRITE FAST] ONE_KEY keys::pexpireat;
    "pexpiretime" 2 [READ FAST] ONE_KEY keys::pexpiretime;
    "ping" -1 [READ FAST LISTENING] NO_KEYS connection::ping;
    "psetex" 4 [WRITE] ONE_KEY strings::psetex;
    "psubscribe" -2 [LISTENING] NO_KEYS pubsub::psubscribe;
    "pttl" 2 [READ FAST] ONE_KEY keys::pttl;
    "publish" 3 [FAST] NO_KEYS pubsub::publish;
    "pubsub" -2 [] NO_KEYS pubsub::pubsub;
    "punsubscribe" -1 [LISTENING] NO_KEYS pubsub::punsubscribe;
    "quit" -1 [FAST AT_ONCE LISTENING UNKNOWN] NO_KEYS connection::quit;
    "randomkey" 1 [READ] NO_KEYS scans::randomkey;
    "rc.abandon" -4 [WRITE FAST] NO_KEYS leases::abandon;
    "rc.blob.abort" 2 [WRITE] NO_KEYS own::to_control;
    "rc.blob.chunk" 3 [WRITE] NO_KEYS own::to_control;
    "rc.blob.end" 2 [WRITE] NO_KEYS own::to_control;
    "rc.blob.write" -3 [WRITE] NO_KEYS own::to_control;
    "rc.clear" -2 [WRITE] NO_KEYS own_writes::clear;
    "rc.del" -3 [WRITE FAST] NO_KEYS own_writes::del;
    "rc.entry" -3 [READ FAST] NO_KEYS own::entry;
    "rc.flush" 1 [READ] NO_KEYS own_writes::flush;
    "rc.get" 3 [READ FAST] NO_KEYS own::get;
    "rc.getorlease" -4 [WRITE FAST] NO_KEYS leases::get_or_lease;
    "rc.has" 3 [READ FAST] NO_KEYS own::has;
    "rc.hot" 3 [READ] NO_KEYS own::to_control;
    "rc.incr" -4 [WRITE FAST] NO_KEYS own_writes::incr;
    "rc.invalidate" -3 [WRITE] NO_KEYS own_writes::invalidate;
    "rc.limit" -5 [WRITE FAST] NO_KEYS limits::limit;
    "rc.lock" -4 [WRITE FAST] NO_KEYS locks::lock;
    "rc.mdel" -3 [WRITE] NO_KEYS own_writes::mdel;
    "rc.mget" -3 [READ] NO_KEYS own::mget;
    "rc.mset" -3 [WRITE] NO_KEYS own_writes::mset;
    "rc.ns" 2 [FAST] NO_KEYS own::ns;
    "rc.open" -1 [READ FAST] NO_KEYS own::open;
    "rc.pin" -4 [WRITE] NO_KEYS own::to_control;
    "rc.renew" 5 [WRITE FAST] NO_KEYS locks::renew;
    "rc.scan" 6 [READ] NO_KEYS own::to_control;
    "rc.set" -5 [WRITE FAST] NO_KEYS own_writes::set;
    "rc.shutdown" 1 [ADMIN] NO_KEYS own::to_control;
    "rc.stats" 1 [READ] NO_KEYS own::to_control;
    "rc.tier" -4 [WRITE] NO_KEYS own::to_control;
    "rc.touch" -3 [WRITE FAST] NO_KEYS own_writes::touch;
    "rc.unlock" -4 [WRITE FAST] NO_KEYS locks::unlock;
    "rename" 3 [WRITE ALONE] TWO_KEYS copies::rename;
    "renamenx" 3 [WRITE ALONE FAST] TWO_KEYS copies::renamenx;
    "reset" 1 [FAST AT_ONCE LISTENING UNKNOWN] NO_KEYS connection::reset;
    "save" 1 [ADMIN] NO_KEYS own::to_control;
    "scan" -2 [READ] NO_KEYS scans::scan;
    "select" 2 [FAST] NO_KEYS connection::select;
    "set" -3 [WRITE] ONE_KEY strings::set;
    "setex" 4 [WRITE] ONE_KEY strings::setex;
    "setnx" 3 [WRITE FAST] ONE_KEY strings::setnx;
    "setrange" 4 [WRITE] ONE_KEY ranges::setrange;
    "shutdown" -1 [ADMIN] NO_KEYS own::to_control;
    "slowlog" -2 [ADMIN] NO_KEYS admin::slowlog;
    "strlen" 2 [READ FAST] ONE_KEY ranges::strlen;
    "subscribe" -2 [LISTENING] NO_KEYS pubsub::subscribe;
    "substr" 4 [READ] ONE_KEY ranges::getrange;
    "time" 1 [READ FAST] NO_KEYS admin::time;
    "touch" -2 [READ FAST] ALL_KEYS keys::touch;
    "ttl" 2 [READ FAST] ONE_KEY keys::ttl;
    "type" 2 [READ FAST] ONE_KEY keys::type_of;
    "unlink" -2 [WRITE FAST] ALL_KEYS keys::del;
    "unsubscribe" -1 [LISTENING] NO_KEYS pubsub::unsubscribe;
    "unwatch" 1 [FAST] NO_KEYS transactions::unwatch;
    "watch" -2 [FAST AT_ONCE] ALL_KEYS transactions::watch;
}

/// Longest name of a command.
pub const NAME_BYTES_MAX: usize = 20;

static BY_NAME: LazyLock<HashMap<&'static [u8], usize>> = LazyLock::new(|| {
    COMMANDS.iter().enumerate().map(|(index, command)| (command.name.as_bytes(), index)).collect()
});

/// The number of a command in the table.
pub fn find(name: &[u8]) -> Option<usize> {
    let mut lower = [0; NAME_BYTES_MAX];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    BY_NAME.get(&*lower).copied()
}

/// The name of a command by its number and one more; 0 is none.
pub fn name_of(number: usize) -> &'static str {
    match number {
        0 => "NULL",
        number => COMMANDS[number - 1].name,
    }
}

impl Command {
    pub fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Whether CLIENT TRACKING puts the keys down that it reads: those of Redis's readers.
    pub fn is_tracked(&self) -> bool {
        self.has(READ) && (self.keys != NO_KEYS || matches!(self.name, "object" | "memory"))
    }

    /// Whether MONITOR shows it.
    pub fn is_shown(&self, args: Args) -> bool {
        let is_of_all = self.name == "client"
            && !["kill", "list", "no-evict"].iter().any(|name| is_word(args.get(1), name));
        !self.has(ADMIN) || is_of_all
    }

    /// Arguments that nobody else is to see.
    pub fn secrets(&self, args: Args) -> std::ops::Range<usize> {
        match self.name {
            "auth" => 1..args.len(),
            "hello" => match args.from(0).position(|arg| is_word(arg, "auth")) {
                Some(at) => at + 1..at + 3,
                None => 0..0,
            },
            _ => 0..0,
        }
    }

    pub fn takes(&self, count: usize) -> bool {
        let count = count as i32;
        if self.arity >= 0 {
            count == self.arity
        } else {
            count >= -self.arity
        }
    }
}

/// Which arguments of a command are keys; with true, of the namespace that is its first argument.
pub fn keys_of(command: &Command, args: Args) -> (bool, Vec<usize>) {
    let (first, last, step) = command.keys;
    if first == 0 {
        let count = match command.name {
            "rc.get" | "rc.entry" | "rc.has" | "rc.set" | "rc.del" | "rc.touch" | "rc.incr" => 1,
            "rc.mget" | "rc.mdel" => args.len() - 2,
            "object" | "memory" if args.len() > 2 => return (false, vec![2]),
            _ => 0,
        };
        return (true, (2..2 + count).collect());
    }
    let last = if last < 0 { args.len() as i32 + last } else { last };
    (false, (first..=last).step_by(step as usize).map(|at| at as usize).collect())
}

pub fn wrong_arity(name: &str) -> String {
    format!("ERR wrong number of arguments for '{name}' command")
}

/// Redis's text, with as much of the arguments as it shows.
pub fn unknown(args: Args) -> String {
    let mut shown = String::new();
    for arg in args.from(1) {
        if shown.len() >= SHOWN_BYTES {
            break;
        }
        let left = SHOWN_BYTES - shown.len();
        shown += &format!("'{}' ", String::from_utf8_lossy(&arg[..arg.len().min(left)]));
    }
    let name = args.get(0);
    let name = String::from_utf8_lossy(&name[..name.len().min(SHOWN_BYTES)]);
    format!("ERR unknown command '{name}', with args beginning with: {shown}")
}

const SHOWN_BYTES: usize = 128;

/// The same for a subcommand.
pub fn unknown_subcommand(container: &str, name: &[u8]) -> String {
    let name = String::from_utf8_lossy(&name[..name.len().min(SHOWN_BYTES)]);
    format!("ERR unknown subcommand '{name}'. Try {} HELP.", container.to_uppercase())
}

/// Commands that consist of subcommands, and these.
const CONTAINERS: [(&str, &[&str]); 8] = [
    (
        "client",
        &[
            "caching",
            "getname",
            "getredir",
            "id",
            "info",
            "kill",
            "list",
            "no-evict",
            "no-touch",
            "setinfo",
            "setname",
            "tracking",
            "trackinginfo",
        ],
    ),
    ("command", &["count", "docs", "getkeys", "info", "list"]),
    ("config", &["get", "resetstat", "rewrite", "set"]),
    ("latency", &["doctor", "histogram", "history", "latest", "reset"]),
    ("memory", &["doctor", "purge", "stats", "usage"]),
    ("object", &["encoding", "freq", "help", "idletime", "refcount"]),
    ("pubsub", &["channels", "numpat", "numsub"]),
    ("slowlog", &["get", "len", "reset"]),
];

/// Why a command cannot be queued: its subcommand does not exist.
pub fn refused_subcommand(command: &Command, args: Args) -> Option<String> {
    let (_, known) = CONTAINERS.iter().find(|(name, _)| *name == command.name)?;
    let is_known = args.len() < 2 || known.iter().any(|name| is_word(args.get(1), name));
    (!is_known).then(|| unknown_subcommand(command.name, args.get(1)))
}

/// Whether an argument is a word, in either case.
pub fn is_word(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}
