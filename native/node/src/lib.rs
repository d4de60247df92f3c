//! The Node-API binding of ramcache-core, as thin as it can be.
//!
//! Opening, statistics and everything else that is rare goes through `#[napi]`. What is called for every read and
//! write is a raw callback bound to its namespace ([`space`]): a key comes in as the only argument, a string goes out
//! as a string, everything else passes through a scratch buffer that JavaScript owns. `docs/decisions/` has the costs
//! that led to this.

mod answers;
mod below;
mod call_cost;
mod cold;
mod drain;
mod keep;
mod key;
mod lease;
mod limits;
mod locks;
mod notify;
mod raw;
mod read;
mod scan;
mod server;
mod space;
mod view;
mod write;
