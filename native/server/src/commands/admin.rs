//! What operators ask: CONFIG, OBJECT, MEMORY, SLOWLOG, LATENCY, LASTSAVE, TIME.

use super::keys::look;
use super::{is_word, unknown_subcommand, wrong_arity};
use crate::context::{error, integer, Context, NotTouched, Run, Stop, SYNTAX};
use crate::frame::Args;
use crate::glob;
use crate::values::is_string;
use ramcache_core::ops::read::Peeked;
use std::sync::atomic::Ordering;
use std::sync::Arc;

fn no_subcommand_arity<T>(container: &str, name: &[u8]) -> Result<T, Stop> {
    let name = String::from_utf8_lossy(name).to_lowercase();
    error(wrong_arity(&format!("{container}|{name}")))
}

pub fn config(context: &mut Context, args: Args) -> Run {
    match args.get(1) {
        name if is_word(name, "get") && args.len() >= 3 => get_config(context, args),
        name if is_word(name, "set") && args.len() >= 4 => set_config(context, args),
        name if is_word(name, "resetstat") && args.len() == 2 => {
            context.worker.shared.totals.reset();
            context.worker.shared.latencies.reset();
            context.reply().ok();
            Ok(())
        }
        name if is_word(name, "rewrite") && args.len() == 2 => {
            error("ERR The server is running without a config file")
        }
        name if ["get", "set", "resetstat", "rewrite"].iter().any(|known| is_word(name, known)) => {
            no_subcommand_arity("config", name)
        }
        name => error(unknown_subcommand("config", name)),
    }
}

/// What CONFIG GET knows, with what is true.
fn settings(context: &Context) -> Vec<(&'static str, String)> {
    let shared = &context.worker.shared;
    let limits = &shared.options.limits;
    let has_tiers = shared.store.below().is_some();
    vec![
        ("appendfsync", "everysec".into()),
        ("appendonly", if has_tiers { "yes" } else { "no" }.into()),
        ("bind", shared.tcp_address.map_or(String::new(), |address| address.ip().to_string())),
        ("client-query-buffer-limit", limits.frame_bytes.to_string()),
        ("databases", super::connection::DATABASES.to_string()),
        ("dir", shared.options.dir.display().to_string()),
        ("io-threads", shared.options.threads.to_string()),
        ("latency-monitor-threshold", "0".into()),
        ("maxclients", limits.connections.to_string()),
        ("maxmemory", shared.store.budget_bytes().to_string()),
        ("maxmemory-policy", if has_tiers { "noeviction" } else { "allkeys-lfu" }.into()),
        ("notify-keyspace-events", String::new()),
        ("port", shared.tcp_address.map_or(0, |address| address.port()).to_string()),
        ("proto-max-bulk-len", limits.bulk_bytes.to_string()),
        ("requirepass", String::new()),
        ("save", String::new()),
        ("slowlog-log-slower-than", shared.slowlog.slower_than_us.load(Ordering::Relaxed).to_string()),
        ("slowlog-max-len", shared.slowlog.length_max.load(Ordering::Relaxed).to_string()),
        ("timeout", "0".into()),
        ("unixsocket", shared.options.path.display().to_string()),
        ("unixsocketperm", "600".into()),
    ]
}

fn get_config(context: &mut Context, args: Args) -> Run {
    let patterns: Vec<Vec<u8>> = args.from(2).map(<[u8]>::to_ascii_lowercase).collect();
    let found: Vec<_> = settings(context)
        .into_iter()
        .filter(|(name, _)| patterns.iter().any(|pattern| glob::matches(pattern, name.as_bytes())))
        .collect();
    let mut reply = context.reply();
    reply.map(found.len());
    for (name, value) in found {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    Ok(())
}

fn set_config(context: &mut Context, args: Args) -> Run {
    if !args.len().is_multiple_of(2) {
        return no_subcommand_arity("config", args.get(1));
    }
    let shared = Arc::clone(&context.worker.shared);
    let known = settings(context);
    for at in (2..args.len()).step_by(2) {
        let name = String::from_utf8_lossy(args.get(at)).to_lowercase();
        let failed = |why: &str| {
            error(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"))
        };
        let number = crate::number::parse_i64(args.get(at + 1));
        match name.as_str() {
            "slowlog-log-slower-than" => match number {
                Some(us) => shared.slowlog.slower_than_us.store(us, Ordering::Relaxed),
                None => return failed("argument couldn't be parsed into an integer"),
            },
            "slowlog-max-len" => match number.filter(|length| (0..=SLOWLOG_MAX).contains(length)) {
                Some(length) => shared.slowlog.resize(length as usize),
                None => return failed("argument couldn't be parsed into an integer"),
            },
            "maxmemory" => match number.filter(|bytes| *bytes > 0) {
                Some(bytes) => shared.store.resize(bytes as usize)?,
                None => return failed("argument must be a memory value"),
            },
            name if known.iter().any(|(known, _)| *known == name) => {
                return failed("can't set immutable config");
            }
            _ => {
                let name = String::from_utf8_lossy(args.get(at));
                return error(format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'"));
            }
        }
    }
    context.reply().ok();
    Ok(())
}

const SLOWLOG_MAX: i64 = 100_000;

pub fn object(context: &mut Context, args: Args) -> Run {
    let name = args.get(1);
    let is_known = ["encoding", "freq", "idletime", "refcount"].iter().any(|known| is_word(name, known));
    if is_word(name, "help") && args.len() == 2 {
        let lines = [
            "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            "ENCODING <key>",
            "FREQ <key>",
            "IDLETIME <key>",
            "REFCOUNT <key>",
        ];
        let mut reply = context.reply();
        reply.array(lines.len());
        for line in lines {
            reply.simple(line);
        }
        return Ok(());
    }
    if !is_known {
        return error(unknown_subcommand("object", name));
    }
    if args.len() != 3 {
        return no_subcommand_arity("object", name);
    }
    let namespace = context.namespace();
    let mut peeked = Peeked::default();
    let Some(header) = look(context, namespace, args.get(2), &mut peeked)? else {
        context.reply().nil();
        return Ok(());
    };
    match () {
        () if is_word(name, "refcount") => context.reply().integer(1),
        // Seconds since it was last written or its expiry extended: reads leave no time.
        () if is_word(name, "idletime") => {
            let written_ms = ramcache_core::clock::ms_of(header.clock.max(header.expiry_clock));
            let idle = context.now_ms().saturating_sub(written_ms) / 1000;
            context.reply().integer(idle as i64);
        }
        () if is_word(name, "freq") => {
            let hash = context.worker.hasher.hash(namespace.id, args.get(2));
            let access = context.worker.store.access_count(namespace.id, args.get(2), hash);
            context.reply().integer(access as i64);
        }
        () => {
            let text = crate::values::text(header.value_type, &peeked.0.value).unwrap_or_default();
            let is_integer = crate::number::parse_i64(&text).is_some();
            context.reply().bulk(match (is_string(header.value_type), is_integer, text.len()) {
                (true, true, _) => b"int",
                (true, false, ..=44) => b"embstr",
                _ => b"raw",
            });
        }
    }
    Ok(())
}

pub fn memory(context: &mut Context, args: Args) -> Run {
    match args.get(1) {
        name if is_word(name, "usage") && (args.len() == 3 || args.len() == 5) => {
            if args.len() == 5 && (!is_word(args.get(3), "samples") || integer(args.get(4))? < 0) {
                return error(SYNTAX);
            }
            let namespace = context.namespace();
            match look(context, namespace, args.get(2), &mut NotTouched)? {
                None => context.reply().nil(),
                // The record, a slot and its access byte; a large value takes whole units beside its record.
                Some(header) => {
                    let run_bytes = if header.is_run() { header.value_bytes as usize } else { 0 };
                    context.reply().integer((header.record_bytes() + run_bytes + SLOT_BYTES) as i64);
                }
            }
            Ok(())
        }
        name if is_word(name, "stats") && args.len() == 2 => {
            let store = &context.worker.store;
            let (payload, overhead, keys) = (store.payload_bytes(), store.overhead_bytes(), store.entries());
            let fields = [
                ("peak.allocated", payload + overhead),
                ("total.allocated", payload + overhead),
                ("overhead.total", overhead),
                ("keys.count", keys),
                ("keys.bytes-per-key", (payload + overhead).checked_div(keys).unwrap_or(0)),
                ("dataset.bytes", payload),
            ];
            let mut reply = context.reply();
            reply.map(fields.len());
            for (name, number) in fields {
                reply.bulk(name.as_bytes());
                reply.integer(number as i64);
            }
            Ok(())
        }
        name if is_word(name, "purge") && args.len() == 2 => {
            context.reply().ok();
            Ok(())
        }
        name if is_word(name, "doctor") && args.len() == 2 => {
            context.reply().verbatim("The store keeps its memory within its budget.");
            Ok(())
        }
        name if ["usage", "stats", "purge", "doctor"].iter().any(|known| is_word(name, known)) => {
            no_subcommand_arity("memory", name)
        }
        name => error(unknown_subcommand("memory", name)),
    }
}

const SLOT_BYTES: usize = 9;

pub fn slowlog(context: &mut Context, args: Args) -> Run {
    let shared = Arc::clone(&context.worker.shared);
    match args.get(1) {
        name if is_word(name, "len") && args.len() == 2 => {
            context.reply().integer(shared.slowlog.entries().len() as i64);
            Ok(())
        }
        name if is_word(name, "reset") && args.len() == 2 => {
            shared.slowlog.clear();
            context.reply().ok();
            Ok(())
        }
        name if is_word(name, "get") && args.len() <= 3 => {
            let count = match args.len() {
                3 => integer(args.get(2))?,
                _ => 10,
            };
            if count < -1 {
                return error("ERR count should be greater than or equal to -1");
            }
            let count = if count < 0 { usize::MAX } else { count as usize };
            let entries = shared.slowlog.entries();
            let shown: Vec<_> = entries.iter().take(count).collect();
            let mut reply = context.reply();
            reply.array(shown.len());
            for entry in shown {
                reply.array(6);
                reply.integer(entry.id as i64);
                reply.integer(entry.at_s as i64);
                reply.integer(entry.duration_us as i64);
                reply.array(entry.args.len());
                for arg in &entry.args {
                    reply.bulk(arg);
                }
                reply.bulk(entry.client_address.as_bytes());
                reply.bulk(entry.client_name.as_bytes());
            }
            Ok(())
        }
        name if ["len", "reset", "get"].iter().any(|known| is_word(name, known)) => {
            no_subcommand_arity("slowlog", name)
        }
        name => error(unknown_subcommand("slowlog", name)),
    }
}

/// LATENCY HISTOGRAM: of each command that ran, or of those that are named.
fn histograms(context: &mut Context, args: Args) {
    let shared = Arc::clone(&context.worker.shared);
    let wanted: Vec<usize> = match args.len() {
        2 => (0..super::COMMANDS.len()).collect(),
        _ => args.from(2).filter_map(super::find).collect(),
    };
    let ran: Vec<_> = wanted.into_iter().map(|number| (number, shared.latencies.of(number))).collect();
    let ran: Vec<_> = ran.into_iter().filter(|(_, (calls, _))| *calls > 0).collect();
    let mut reply = context.reply();
    reply.map(ran.len());
    for (number, (calls, edges)) in ran {
        reply.bulk(super::COMMANDS[number].name.as_bytes());
        reply.map(2);
        reply.bulk(b"calls");
        reply.integer(calls as i64);
        reply.bulk(b"histogram_usec");
        reply.map(edges.len());
        for (edge_us, count) in edges {
            reply.integer(edge_us);
            reply.integer(count as i64);
        }
    }
}

/// Events are not monitored (`latency-monitor-threshold` is 0), so there are none.
pub fn latency(context: &mut Context, args: Args) -> Run {
    match args.get(1) {
        name if is_word(name, "latest") && args.len() == 2 => context.reply().array(0),
        name if is_word(name, "history") && args.len() == 3 => context.reply().array(0),
        name if is_word(name, "reset") => context.reply().integer(0),
        name if is_word(name, "histogram") => histograms(context, args),
        name if is_word(name, "doctor") && args.len() == 2 => {
            context.reply().verbatim("I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this instance. You may use \"CONFIG SET latency-monitor-threshold <milliseconds>.\" in order to enable it.\n");
        }
        name if ["latest", "history", "doctor"].iter().any(|known| is_word(name, known)) => {
            return no_subcommand_arity("latency", name);
        }
        name => return error(unknown_subcommand("latency", name)),
    }
    Ok(())
}

/// The moment up to which everything written survives a power cut.
pub fn lastsave(context: &mut Context, _args: Args) -> Run {
    let lag_ms = context.worker.store.below().map_or(0, |below| below.progress.lag().as_millis() as u64);
    let at = ramcache_core::clock::wall_ms().saturating_sub(lag_ms) / 1000;
    context.reply().integer(at as i64);
    Ok(())
}

pub fn time(context: &mut Context, _args: Args) -> Run {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let mut reply = context.reply();
    reply.array(2);
    reply.bulk(now.as_secs().to_string().as_bytes());
    reply.bulk(now.subsec_micros().to_string().as_bytes());
    Ok(())
}
