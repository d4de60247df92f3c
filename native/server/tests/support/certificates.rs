//! Certificates for one test, made by the `openssl` program: an authority, and what it vouches for.

use ramcache_server::TlsOptions;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

pub struct Authority {
    folder: PathBuf,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let folder = std::env::temp_dir().join(format!("ramcache-ca-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        openssl(&folder, "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem");
        Authority { folder }
    }

    /// A certificate and its key, as PEM.
    pub fn sign(&self, name: &str) -> (Vec<u8>, Vec<u8>) {
        std::fs::write(self.folder.join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost")
            .expect("written");
        openssl(&self.folder, &format!("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        openssl(&self.folder, &format!("x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out {name}.pem"));
        (self.read(&format!("{name}.pem")), self.read(&format!("{name}.key")))
    }

    /// What a server shows; with its clients' certificates asked for or not.
    pub fn server(&self, name: &str, asks_clients: bool) -> TlsOptions {
        let (cert, key) = self.sign(name);
        TlsOptions { cert, key, ca: asks_clients.then(|| self.read("ca.pem")) }
    }

    /// A client that believes this authority; its requests go out with the first read or write.
    pub fn connect(
        &self,
        stream: TcpStream,
        own: Option<&(Vec<u8>, Vec<u8>)>,
    ) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&self.read("ca.pem")).expect("PEM")).expect("a root");
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(cert).expect("PEM")];
                let key = PrivateKeyDer::from_pem_slice(key).expect("PEM");
                builder.with_client_auth_cert(chain, key).expect("a certificate")
            }
        };
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
        StreamOwned::new(connection, stream)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.join(name)).expect("a file")
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn openssl(folder: &Path, args: &str) {
    let ended = Command::new("openssl").args(args.split(' ')).current_dir(folder).output();
    let ended = ended.expect("openssl is needed for this test; on Debian: apt-get install openssl");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}
