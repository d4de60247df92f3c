//! The socket server of a store: started, stopped, and the way of its requests to JavaScript.

use crate::below::ringing;
use crate::cold::{coded, Handle, Result};
use crate::space::Target;
use napi::bindgen_prelude::*;
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use ramcache_core::error::{Code, StoreError};
use ramcache_core::open::OwnedStore;
use ramcache_server::limits::Limits;
use ramcache_server::{Durability, NamespaceSettings, Server, ServerOptions, TcpOptions, TlsOptions};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The servers of this process, by the address of their store: every thread that has it open reaches the same one.
static SERVERS: LazyLock<Mutex<HashMap<usize, Arc<Server>>>> = LazyLock::new(Mutex::default);

fn servers() -> MutexGuard<'static, HashMap<usize, Arc<Server>>> {
    SERVERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn owned(handle: &External<Handle>) -> Result<&Arc<OwnedStore>> {
    match &handle.target {
        Target::Owner(owned) => Ok(owned),
        _ => Err(coded(StoreError::new(Code::Unavailable, "this process does not own the store"))),
    }
}

fn key_of(owned: &Arc<OwnedStore>) -> usize {
    Arc::as_ptr(owned) as usize
}

fn server_of(handle: &External<Handle>) -> Result<Arc<Server>> {
    let found = servers().get(&key_of(owned(handle)?)).cloned();
    found.ok_or_else(|| coded(StoreError::new(Code::Unavailable, "this store has no server")))
}

#[napi(object)]
pub struct NativeNamespaceSettings {
    pub name: String,
    pub ttl_ms: Option<f64>,
    pub durability: Option<String>,
}

/// Contents of files, PEM.
#[napi(object)]
pub struct NativeTlsOptions {
    pub cert: Uint8Array,
    pub key: Uint8Array,
    pub ca: Option<Uint8Array>,
}

#[napi(object)]
pub struct NativeTcpOptions {
    pub host: String,
    pub port: u16,
    pub password: Option<Uint8Array>,
    pub tls: Option<NativeTlsOptions>,
}

#[napi(object)]
pub struct NativeServerOptions {
    pub path: String,
    pub tcp: Option<NativeTcpOptions>,
    pub dir: String,
    pub version: String,
    pub is_daemon: bool,
    pub threads: u32,
    pub spin_us: u32,
    pub namespaces: Vec<NativeNamespaceSettings>,
    /// Limits other than the usual ones, for tests.
    pub limits: Option<HashMap<String, f64>>,
}

/// Starts the server of a store. False when it has one already.
#[napi(js_name = "startServer")]
pub fn start_server(handle: &External<Handle>, options: NativeServerOptions) -> Result<bool> {
    let owned = owned(handle)?;
    let mut servers = servers();
    if servers.contains_key(&key_of(owned)) {
        return Ok(false);
    }
    let announced = owned.announced().ok_or_else(|| coded(crate::space::closed()))?;
    let namespaces = options.namespaces.into_iter().map(settings_of).collect();
    let server = Server::start(
        owned.shared(),
        ServerOptions {
            path: options.path.clone().into(),
            tcp: options.tcp.map(tcp_of),
            dir: PathBuf::from(options.dir),
            data: announced.data,
            touch: announced.touch,
            arena_id: announced.arena_id,
            is_anonymous: owned.is_anonymous(),
            is_daemon: options.is_daemon,
            version: options.version,
            threads: options.threads as usize,
            spin: Duration::from_micros(options.spin_us as u64),
            namespaces,
            limits: limits_of(options.limits.unwrap_or_default()).map_err(coded)?,
        },
    )
    .map_err(coded)?;
    let server = Arc::new(server);
    // Who cannot be told does not find it; dropped, it stops.
    owned.announce_socket(Some(options.path)).map_err(coded)?;
    let key = key_of(owned);
    // Whatever becomes of the JavaScript that should have stopped it, it ends before its store.
    owned.before_close(Box::new(move || {
        let server = {
            let mut servers = self::servers();
            servers.remove(&key).inspect(|server| server.hide())
        };
        if let Some(server) = server {
            server.stop(Duration::ZERO);
        }
    }));
    servers.insert(key, server);
    Ok(true)
}

fn tcp_of(tcp: NativeTcpOptions) -> TcpOptions {
    let NativeTcpOptions { host, port, password, tls } = tcp;
    let tls = tls.map(|tls| TlsOptions {
        cert: tls.cert.to_vec(),
        key: tls.key.to_vec(),
        ca: tls.ca.map(|ca| ca.to_vec()),
    });
    TcpOptions { host, port, password: password.map(|password| password.to_vec()), tls }
}

fn settings_of(settings: NativeNamespaceSettings) -> NamespaceSettings {
    NamespaceSettings {
        name: settings.name,
        ttl_ms: settings.ttl_ms.unwrap_or(0.0) as u64,
        durability: match settings.durability.as_deref() {
            Some("none") => Some(Durability::None),
            Some("async") => Some(Durability::Async),
            Some("sync") => Some(Durability::Sync),
            _ => None,
        },
    }
}

fn limits_of(given: HashMap<String, f64>) -> std::result::Result<Limits, StoreError> {
    let mut limits = Limits::default();
    for (name, number) in given {
        if !limits.set(&name, number as usize) {
            return Err(StoreError::new(Code::Config, format!("there is no limit {name:?} of a server")));
        }
    }
    Ok(limits)
}

/// Takes no more connections and commands, answers what is under way and ends the server's threads; `done` is called
/// then. It keeps the event loop alive until it is.
#[napi(js_name = "stopServer")]
pub fn stop_server(handle: &External<Handle>, grace_ms: u32, done: Function<(), ()>) -> Result<()> {
    let owned = owned(handle)?;
    let key = key_of(owned);
    // It stays reachable: what is under way may need answers from JavaScript.
    let server = servers().get(&key).cloned();
    server.iter().for_each(|server| server.hide());
    if server.as_ref().is_some_and(|server| server.has_heirs()) {
        owned.bequeath();
    }
    let done = done.build_threadsafe_function().callee_handled::<false>().build().map_err(|error| {
        coded(StoreError::new(Code::Unavailable, format!("cannot make a threadsafe function: {error}")))
    })?;
    // The file goes with the store in a moment; until then it may lead nowhere.
    let _ = owned.announce_socket(None);
    let stop = move || {
        if let Some(server) = server {
            server.stop(Duration::from_millis(grace_ms as u64));
            servers().remove(&key);
        }
        done.call((), ThreadsafeFunctionCallMode::NonBlocking);
    };
    let started = thread::Builder::new().name("ramcache stop".into()).spawn(stop);
    started
        .map(|_| ())
        .map_err(|error| coded(StoreError::new(Code::Unavailable, format!("cannot start a thread: {error}"))))
}

/// Tells others that nobody can join, unless the store has a server.
#[napi(js_name = "letNobodyJoin")]
pub fn let_nobody_join(handle: &External<Handle>) -> Result<()> {
    let owned = owned(handle)?;
    let servers = servers();
    if servers.contains_key(&key_of(owned)) {
        return Ok(());
    }
    owned.announce_socket(Some(String::new())).map_err(coded)
}

/// Where the server of a store listens; `null` when it has none, or one that is ending.
#[napi(js_name = "serverPath")]
pub fn server_path(handle: &External<Handle>) -> Result<Option<String>> {
    let found = servers().get(&key_of(owned(handle)?)).cloned();
    Ok(found.filter(|server| !server.is_stopping()).map(|server| server.path().display().to_string()))
}

/// Where the server of a store listens over TCP, as `HOST:PORT`; `null` when it does not.
#[napi(js_name = "serverTcpAddress")]
pub fn server_tcp_address(handle: &External<Handle>) -> Result<Option<String>> {
    Ok(server_of(handle)?.tcp_address().map(|address| address.to_string()))
}

/// Another password and certificate from now on; whoever is connected over TCP stays so.
#[napi(js_name = "setServerCredentials")]
pub fn set_server_credentials(handle: &External<Handle>, tcp: NativeTcpOptions) -> Result<()> {
    let TcpOptions { password, tls, .. } = tcp_of(tcp);
    server_of(handle)?.set_credentials(password, tls.as_ref()).map_err(coded)
}

/// `bell` is called when there are requests for `takeRequests`; it does not keep the event loop alive. With `null` nobody
/// is told, and what comes is answered with an error.
#[napi(js_name = "listenRequests")]
pub fn listen_requests(handle: &External<Handle>, bell: Option<Function<(), ()>>) -> Result<()> {
    let bell = bell.map(ringing).transpose()?;
    server_of(handle)?.listen_control(bell);
    Ok(())
}

/// Requests of clients, packed as `native/server/src/control.rs` draws them; an empty buffer when there are none.
#[napi(js_name = "takeRequests")]
pub fn take_requests(handle: &External<Handle>, bytes_max: u32) -> Result<Buffer> {
    // The server may have ended since it has rung.
    let packed =
        server_of(handle).map_or_else(|_| Vec::new(), |server| server.take_requests(bytes_max as usize));
    Ok(packed.into())
}

/// For who sees that the thread that answers is gone: all requests, taken or not, are answered with an error.
#[napi(js_name = "failRequests")]
pub fn fail_requests(handle: &External<Handle>) -> Result<()> {
    server_of(handle)?.fail_requests();
    Ok(())
}

/// The reply to a request, as it goes out.
#[napi(js_name = "answerRequest")]
pub fn answer_request(handle: &External<Handle>, request: f64, reply: Uint8Array) -> Result<()> {
    // Nobody waits for an answer of a server that has ended.
    if let Ok(server) = server_of(handle) {
        server.answer(request as u64, reply.to_vec());
    }
    Ok(())
}

/// Counters of a server, by name, connections among them.
#[napi(js_name = "serverTotals")]
pub fn server_totals(handle: &External<Handle>) -> Result<HashMap<String, f64>> {
    let server = server_of(handle)?;
    let mut totals: HashMap<String, f64> =
        server.totals().list().into_iter().map(|(name, count)| (name.to_owned(), count as f64)).collect();
    totals.insert("connections".into(), server.connections() as f64);
    Ok(totals)
}
