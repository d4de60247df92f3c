//! INFO: Redis's names for what is true here.

use super::is_word;
use crate::context::{Context, Run};
use crate::frame::Args;
use crate::shared::Shared;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// Whose commands and texts these are.
pub const REDIS_VERSION: &str = "7.0.15";

const SECTIONS: [&str; 9] =
    ["server", "clients", "memory", "persistence", "stats", "replication", "cpu", "keyspace", "ramcache"];

pub fn info(context: &mut Context, args: Args) -> Run {
    let shared = std::sync::Arc::clone(&context.worker.shared);
    let wants_all = args.len() == 1
        || args.from(1).any(|name| ["all", "everything", "default"].iter().any(|all| is_word(name, all)));
    let mut text = String::new();
    for section in SECTIONS {
        if !wants_all && !args.from(1).any(|name| is_word(name, section)) {
            continue;
        }
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        let mut title = section.to_owned();
        title[..1].make_ascii_uppercase();
        let _ = write!(text, "# {title}\r\n");
        for (name, value) in fields(&shared, section) {
            let _ = write!(text, "{name}:{value}\r\n");
        }
    }
    context.reply().verbatim(&text);
    Ok(())
}

type Fields = Vec<(String, String)>;

fn fields(shared: &Shared, section: &str) -> Fields {
    match section {
        "server" => server(shared),
        "clients" => clients(shared),
        "memory" => memory(shared),
        "persistence" => persistence(shared),
        "stats" => stats(shared),
        "replication" => pairs(&[("role", "master"), ("connected_slaves", "0"), ("master_repl_offset", "0")]),
        "cpu" => cpu(),
        "keyspace" => keyspace(shared),
        _ => own(shared),
    }
}

fn pairs(fields: &[(&str, &str)]) -> Fields {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn of<const N: usize>(fields: [(&str, String); N]) -> Fields {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn load(number: &AtomicU64) -> u64 {
    number.load(Ordering::Relaxed)
}

fn server(shared: &Shared) -> Fields {
    let uptime = shared.began.elapsed().as_secs();
    let now_us = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_micros());
    of([
        ("redis_version", REDIS_VERSION.into()),
        ("redis_mode", "standalone".into()),
        ("ramcache_version", shared.options.version.clone()),
        ("os", format!("Linux {}", std::env::consts::ARCH)),
        ("arch_bits", "64".into()),
        ("multiplexing_api", "epoll".into()),
        ("process_id", std::process::id().to_string()),
        ("run_id", shared.run_id.clone()),
        ("tcp_port", shared.tcp_address.map_or(0, |address| address.port()).to_string()),
        ("server_time_usec", now_us.to_string()),
        ("uptime_in_seconds", uptime.to_string()),
        ("uptime_in_days", (uptime / 86400).to_string()),
        ("io_threads_active", if shared.options.threads > 1 { "1" } else { "0" }.into()),
        ("executable", std::env::current_exe().map_or(String::new(), |path| path.display().to_string())),
        ("config_file", String::new()),
    ])
}

fn clients(shared: &Shared) -> Fields {
    of([
        ("connected_clients", shared.registry.count().to_string()),
        ("cluster_connections", "0".into()),
        ("maxclients", shared.options.limits.connections.to_string()),
        ("client_recent_max_input_buffer", shared.input_bytes.load(Ordering::Relaxed).to_string()),
        ("client_recent_max_output_buffer", shared.output_bytes.load(Ordering::Relaxed).to_string()),
        ("blocked_clients", load(&shared.waiting).to_string()),
        ("tracking_clients", shared.tracking.clients.load(Ordering::Relaxed).to_string()),
        ("clients_in_timeout_table", "0".into()),
    ])
}

/// A number of `/proc/self/status`, which has it in KiB.
fn status_bytes(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "K", "M", "G", "T"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes}B"),
        unit => format!("{size:.2}{}", UNITS[unit]),
    }
}

fn memory(shared: &Shared) -> Fields {
    let store = &shared.store;
    let payload = store.payload_bytes();
    let overhead = store.overhead_bytes();
    let used = payload + overhead;
    let rss = status_bytes("VmRSS");
    of([
        ("used_memory", used.to_string()),
        ("used_memory_human", human(used)),
        ("used_memory_rss", rss.to_string()),
        ("used_memory_rss_human", human(rss)),
        ("used_memory_peak", status_bytes("VmHWM").to_string()),
        ("used_memory_overhead", overhead.to_string()),
        ("used_memory_dataset", payload.to_string()),
        ("total_system_memory", "0".into()),
        ("maxmemory", store.budget_bytes().to_string()),
        ("maxmemory_human", human(store.budget_bytes())),
        ("maxmemory_policy", if store.below().is_some() { "noeviction" } else { "allkeys-lfu" }.into()),
        ("mem_fragmentation_ratio", format!("{:.2}", rss as f64 / used.max(1) as f64)),
        ("mem_clients_normal", client_bytes(shared).to_string()),
        ("mem_allocator", "ramcache".into()),
    ])
}

fn client_bytes(shared: &Shared) -> usize {
    shared.input_bytes.load(Ordering::Relaxed) + shared.output_bytes.load(Ordering::Relaxed)
}

fn persistence(shared: &Shared) -> Fields {
    let open = shared.store.below().map(|below| below.unsafe_changes(&shared.store));
    let is_poisoned = open.is_some_and(|open| open.is_poisoned);
    of([
        ("loading", "0".into()),
        ("async_loading", "0".into()),
        ("rdb_changes_since_last_save", "0".into()),
        ("rdb_bgsave_in_progress", "0".into()),
        ("rdb_last_save_time", (shared.began_ms / 1000).to_string()),
        ("rdb_last_bgsave_status", if is_poisoned { "err" } else { "ok" }.into()),
        ("aof_enabled", (open.is_some() as u8).to_string()),
        ("aof_rewrite_in_progress", "0".into()),
        ("aof_last_write_status", if is_poisoned { "err" } else { "ok" }.into()),
        ("aof_pending_bio_fsync", "0".into()),
        ("aof_buffer_length", open.map_or(0, |open| open.bytes).to_string()),
    ])
}

fn stats(shared: &Shared) -> Fields {
    let totals = &shared.totals;
    let counts = shared.store.counts();
    of([
        ("total_connections_received", load(&totals.connections_received).to_string()),
        ("total_commands_processed", load(&totals.commands_processed).to_string()),
        ("instantaneous_ops_per_sec", "0".into()),
        ("total_net_input_bytes", load(&totals.bytes_in).to_string()),
        ("total_net_output_bytes", load(&totals.bytes_out).to_string()),
        ("rejected_connections", load(&totals.connections_refused).to_string()),
        ("expired_keys", counts.expired.to_string()),
        ("evicted_keys", counts.evictions.to_string()),
        ("keyspace_hits", counts.hits.to_string()),
        ("keyspace_misses", counts.misses.to_string()),
        ("pubsub_channels", shared.pubsub.counts().0.to_string()),
        ("pubsub_patterns", shared.pubsub.counts().1.to_string()),
        ("tracking_total_keys", shared.tracking.keys.load(Ordering::Relaxed).to_string()),
        ("tracking_total_items", shared.tracking.items.load(Ordering::Relaxed).to_string()),
        ("tracking_total_prefixes", shared.tracking.prefixes.load(Ordering::Relaxed).to_string()),
        ("total_error_replies", load(&totals.error_replies).to_string()),
        ("client_query_buffer_limit_disconnections", load(&totals.frames_refused).to_string()),
        ("client_output_buffer_limit_disconnections", load(&totals.output_hard_hits).to_string()),
    ])
}

fn cpu() -> Fields {
    // SAFETY: `rusage` is plain old data and fully written by a successful call.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: a valid pointer.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    let seconds = |time: libc::timeval| format!("{}.{:06}", time.tv_sec, time.tv_usec);
    of([("used_cpu_sys", seconds(usage.ru_stime)), ("used_cpu_user", seconds(usage.ru_utime))])
}

fn keyspace(shared: &Shared) -> Fields {
    let arena = shared.store.arena();
    let mut fields = Vec::new();
    for number in 0..super::connection::DATABASES {
        let name = super::connection::database_name(number);
        let Some(id) = ramcache_core::namespaces::find(arena, &name) else { continue };
        let (entries, _) = shared.store.usage(id);
        if entries > 0 {
            fields.push((format!("db{number}"), format!("keys={entries},expires=0,avg_ttl=0")));
        }
    }
    fields
}

/// What Redis has no names for.
fn own(shared: &Shared) -> Fields {
    shared.totals.list().into_iter().map(|(name, count)| (name.to_owned(), count.to_string())).collect()
}
