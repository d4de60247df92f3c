//! What may come from outside, and how often each limit has been hit.

use ramcache_core::layout::VALUE_BYTES_MAX;
use std::sync::atomic::{AtomicU64, Ordering};

/// Limits of a server. Sizes are bytes.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Of those that have not said who they are; beyond it the one that has been there longest has to go.
    pub newcomers: usize,
    /// How long one of those may take, in milliseconds.
    pub newcomer_ms: usize,
    /// Arguments of its commands, and bytes of one and of its lines, as Redis has it; replies that it does not take.
    pub newcomer_arguments: usize,
    pub newcomer_bulk_bytes: usize,
    pub newcomer_output_bytes: usize,
    /// One argument: the longest value.
    pub bulk_bytes: usize,
    /// All arguments of one command.
    pub frame_bytes: usize,
    /// Arguments of one command; as Redis has it.
    pub arguments: usize,
    /// A line: an inline command or the count before arguments; as Redis has it.
    pub line_bytes: usize,
    /// Received and not looked at: more is left to the kernel, which holds the sender back.
    pub pending_bytes: usize,
    /// Received and not finished, of all connections: beyond it whoever sends a large frame is disconnected.
    pub input_total_bytes: usize,
    /// Commands of one connection that wait for a tier, the log or the control plane.
    pub waiting: usize,
    /// Commands that are queued by MULTI, and their bytes.
    pub queued_commands: usize,
    pub queued_bytes: usize,
    /// Replies not taken: beyond it nothing more is read from the connection.
    pub output_high_bytes: usize,
    /// Replies not taken: beyond it the connection is closed. One reply may not be larger.
    pub output_hard_bytes: usize,
    /// The same of all connections, beyond it connections above the high-water mark are closed.
    pub output_total_bytes: usize,
    /// Waiting for the control plane, of all connections.
    pub control_bytes: usize,
    /// Keys and prefixes that clients track, of all connections: beyond it keys are invalidated to make room.
    pub tracking_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 10_000,
            newcomers: 256,
            newcomer_ms: 10_000,
            newcomer_arguments: 10,
            newcomer_bulk_bytes: 16 << 10,
            newcomer_output_bytes: 4 << 10,
            bulk_bytes: VALUE_BYTES_MAX,
            frame_bytes: 2 * VALUE_BYTES_MAX,
            arguments: 1 << 20,
            line_bytes: 64 << 10,
            pending_bytes: 256 << 10,
            input_total_bytes: 512 << 20,
            waiting: 1024,
            queued_commands: 64 << 10,
            queued_bytes: 2 * VALUE_BYTES_MAX,
            output_high_bytes: 1 << 20,
            output_hard_bytes: 256 << 20,
            output_total_bytes: 1 << 30,
            control_bytes: 256 << 20,
            tracking_bytes: 128 << 20,
        }
    }
}

impl Limits {
    /// Changes one by its name; false when there is none of that name.
    pub fn set(&mut self, name: &str, value: usize) -> bool {
        let limit = match name {
            "connections" => &mut self.connections,
            "newcomers" => &mut self.newcomers,
            "newcomer_ms" => &mut self.newcomer_ms,
            "newcomer_arguments" => &mut self.newcomer_arguments,
            "newcomer_bulk_bytes" => &mut self.newcomer_bulk_bytes,
            "newcomer_output_bytes" => &mut self.newcomer_output_bytes,
            "bulk_bytes" => &mut self.bulk_bytes,
            "frame_bytes" => &mut self.frame_bytes,
            "arguments" => &mut self.arguments,
            "line_bytes" => &mut self.line_bytes,
            "pending_bytes" => &mut self.pending_bytes,
            "input_total_bytes" => &mut self.input_total_bytes,
            "waiting" => &mut self.waiting,
            "queued_commands" => &mut self.queued_commands,
            "queued_bytes" => &mut self.queued_bytes,
            "output_high_bytes" => &mut self.output_high_bytes,
            "output_hard_bytes" => &mut self.output_hard_bytes,
            "output_total_bytes" => &mut self.output_total_bytes,
            "control_bytes" => &mut self.control_bytes,
            "tracking_bytes" => &mut self.tracking_bytes,
            _ => return false,
        };
        *limit = value;
        true
    }
}

macro_rules! counted {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts since the server was started.
        #[derive(Default, Debug)]
        pub struct Totals { $($(#[$doc])* pub $name: AtomicU64,)* }

        impl Totals {
            /// Name and number of each.
            pub fn list(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.load(Ordering::Relaxed)),)*]
            }

            pub fn reset(&self) {
                $(self.$name.store(0, Ordering::Relaxed);)*
            }
        }
    };
}

counted! {
    connections_received,
    connections_refused,
    /// Passwords that were wrong.
    wrong_passwords,
    /// Connections closed because what came was not TLS, or not what this server takes.
    tls_failures,
    /// Connections closed because they had not said who they are: in time, and because too many came after them.
    newcomers_late,
    newcomers_displaced,
    commands_processed,
    bytes_in,
    bytes_out,
    error_replies,
    /// Frames that are no commands: each ends its connection.
    protocol_errors,
    /// Of those: a bulk, a frame, a count of arguments or a line above its limit.
    frames_refused,
    /// Connections closed because all of them together had too much unfinished input.
    input_total_hits,
    /// Times a connection was not read on because its replies were not taken.
    output_high_hits,
    /// Connections closed because their replies were not taken.
    output_hard_hits,
    /// Replies that would have been larger than a connection may hold.
    replies_refused,
    /// Times a connection had to wait because too many of its commands did.
    waiting_hits,
    /// Transactions refused because too much was queued.
    queued_hits,
    /// Requests refused because too much waited for the control plane.
    control_hits,
    /// Keys that were invalidated, and prefixes refused, because too much was tracked.
    tracking_hits,
    /// Commands that waited for a lower tier, for the log, for the control plane.
    waited_below,
    waited_log,
    waited_control,
    /// Times a thread looked for work without sleeping, and times it slept.
    spins,
    sleeps,
}

/// Adds one.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
