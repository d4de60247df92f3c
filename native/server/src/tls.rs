//! TLS over a socket, without waiting: what has come is taken in, what there is to say goes out as far as it can.
//!
//! rustls bounds what a handshake may hold (64 KiB a message) and what is decrypted and not fetched (16 KiB); what is
//! encrypted and not sent is bounded here, by not giving it more.

use ramcache_core::error::{Code, Result, StoreError};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, PoisonError, RwLock};

/// What a server needs to show who it is, as PEM, and whom it believes to know its clients.
#[derive(Clone)]
pub struct TlsOptions {
    /// The certificate, and those between it and one that clients know.
    pub cert: Vec<u8>,
    pub key: Vec<u8>,
    /// Certificates of those who vouch for clients: then a client needs a certificate of theirs.
    pub ca: Option<Vec<u8>>,
}

/// Checks them. `ERR_RAMCACHE_CONFIG` names the key of the configuration that is wrong.
pub fn config_of(options: &TlsOptions) -> Result<Arc<ServerConfig>> {
    let fail = |name: &str, why: String| {
        StoreError::new(Code::Config, format!("tcp.tls.{name} is of no use: {why}"))
    };
    let chain = certificates(&options.cert).map_err(|why| fail("cert", why))?;
    let key = PrivateKeyDer::from_pem_slice(&options.key)
        .map_err(|error| fail("key", format!("there is no private key in it ({error})")))?;
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| fail("cert", error.to_string()))?;
    let builder = match &options.ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            for root in certificates(ca).map_err(|why| fail("ca", why))? {
                roots.add(root).map_err(|error| fail("ca", error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| fail("ca", error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder
        .with_single_cert(chain, key)
        .map_err(|error| fail("key", format!("it does not go with tcp.tls.cert ({error})")))?;
    Ok(Arc::new(config))
}

fn certificates(pem: &[u8]) -> std::result::Result<Vec<CertificateDer<'static>>, String> {
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| error.to_string())?;
    match found.is_empty() {
        true => Err("there is no certificate in it".into()),
        false => Ok(found),
    }
}

/// The certificate in use, which may change while the server runs.
#[derive(Default)]
pub struct Certificate {
    /// LOCK: certificate. Alone.
    config: RwLock<Option<Arc<ServerConfig>>>,
}

impl Certificate {
    pub fn new(config: Option<Arc<ServerConfig>>) -> Certificate {
        Certificate { config: RwLock::new(config) }
    }

    /// For connections that come from now on.
    pub fn set(&self, config: Option<Arc<ServerConfig>>) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    pub fn get(&self) -> Option<Arc<ServerConfig>> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One connection.
pub struct Tls {
    connection: ServerConnection,
}

impl Tls {
    pub fn new(config: Arc<ServerConfig>) -> io::Result<Tls> {
        let connection = ServerConnection::new(config).map_err(io::Error::other)?;
        Ok(Tls { connection })
    }

    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    pub fn is_flushed(&self) -> bool {
        !self.connection.wants_write()
    }

    /// Reads some bytes that were decrypted; none is the end. `InvalidData` for what is no TLS, or not ours.
    pub fn read(&mut self, socket: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Ended without saying so: as without TLS, what has come is answered.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                done => return done,
            }
            if self.connection.read_tls(socket)? == 0 {
                return Ok(0);
            }
            let taken = self.connection.process_new_packets();
            taken.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
    }

    /// Takes bytes over, none while what was taken over before cannot be sent.
    pub fn write(&mut self, socket: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
        self.flush(socket)?;
        let taken = self.connection.writer().write(bytes)?;
        match self.flush(socket) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ if taken == 0 => Err(ErrorKind::WouldBlock.into()),
            _ => Ok(taken),
        }
    }

    pub fn flush(&mut self, socket: &mut impl Write) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(socket)?;
        }
        Ok(())
    }

    /// Says that nothing more will come.
    pub fn end(&mut self, socket: &mut impl Write) {
        self.connection.send_close_notify();
        // Who does not take it learns of the end from the socket.
        let _ = self.flush(socket);
    }
}
