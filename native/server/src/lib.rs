//! The socket server: RESP over a Unix socket and over TCP, straight on the store. Knows nothing of Node.
//!
//! A command on RAM entries is finished in the thread that has read it. One that needs a lower tier or the log is parked
//! and goes on when the answer comes in; one that needs JavaScript goes through [`control`]. Nothing that one connection
//! waits for holds up another one. `docs/PROTOCOL.md` is the contract.
//!
//! Replies leave in the order of their commands. Commands begin in that order too, but reads may begin while earlier
//! reads still wait, and anything may begin while earlier writes only wait for the log.

mod auth;
mod client;
mod commands;
mod context;
pub mod control;
mod event_loop;
pub mod frame;
mod glob;
mod latency;
pub mod limits;
mod listen;
mod monitor;
mod number;
mod pubsub;
mod registry;
mod reply;
mod server;
mod session;
mod shared;
mod slowlog;
mod tls;
mod tracking;
mod transport;
mod turn;
mod values;
mod waiting;
mod worker;

pub use listen::PATH_BYTES_MAX;
pub use server::Server;
pub use shared::{NamespaceSettings, ServerOptions, TcpOptions};
pub use tls::TlsOptions;
pub use worker::Durability;
