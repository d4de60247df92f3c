//! What a connection has said of itself.

use crate::registry::Client;
use crate::reply::Resp;
use crate::worker::Namespace;
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
    /// Has sent something to the control plane, which is told of its end.
    pub uses_control: bool,
}
