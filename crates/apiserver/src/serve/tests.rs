use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Authority, Pair, ServerNames, Tls, authority, files, serve};
use crate::auth::{MASTERS, Security, StaticTokens};
use crate::server::{Options, Server};
use crate::store::MemoryStore;

/// A folder of one test, gone when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("apiserver-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Running {
    folder: Folder,
    authority: Arc<Authority>,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(name: &str) -> Running {
        let folder = Folder::new(name);
        let authority = Arc::new(Authority::open(&folder.0).unwrap());
        let tls = Tls::new(Arc::clone(&authority), ServerNames::usual([])).unwrap();
        let static_tokens = StaticTokens::parse("right,root,1,\"system:masters\"\npoor,nobody,2\n").unwrap();
        let security = Security { static_tokens, ..Security::default() };
        let options = Options { security, ..Options::default() };
        let server = Server::open_with(Arc::new(MemoryStore::new()), options).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            serve(listener, &tls, server.secured(), stopped).await;
        });
        Running { folder, authority, address, stop, task }
    }

    async fn stop(self) -> Folder {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
        self.folder
    }

    fn trusting(&self) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.certificate().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        builder.unwrap().with_root_certificates(roots)
    }

    async fn connect(&self, client: Option<&Pair>) -> TlsStream<TcpStream> {
        let config = match client {
            None => self.trusting().with_no_client_auth(),
            Some(pair) => {
                let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                self.trusting().with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        let name = ServerName::try_from("kubernetes.default.svc").unwrap();
        let stream = TcpStream::connect(self.address).await.unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    /// Status and body of the answer to one request on a connection of its own.
    async fn ask(&self, client: Option<&Pair>, head: &str) -> (u16, String) {
        let mut stream = self.connect(client).await;
        let request = format!("{head}\r\nhost: a\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let code = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (code, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }
}

const NODES: &str = "GET /api/v1/nodes HTTP/1.1";

#[tokio::test]
async fn a_user_is_known_by_its_certificate_or_its_token() {
    let server = Running::start("users").await;
    let with_token = |token: &str| format!("{NODES}\r\nauthorization: Bearer {token}");
    let admin = server.authority.admin().unwrap();
    let poor = server.authority.client("jane", Some("readers")).unwrap();
    let foreign_folder = Folder::new("foreign");
    let foreign = Authority::open(&foreign_folder.0).unwrap().client("root", Some(MASTERS)).unwrap();
    for (case, client, head, code, text) in [
        ("the admin", Some(&admin), NODES.to_owned(), 200, "NodeList"),
        ("a right token", None, with_token("right"), 200, "NodeList"),
        ("a certificate without rights", Some(&poor), NODES.to_owned(), 403, r#"User \"jane\" cannot list"#),
        ("a token without rights", None, with_token("poor"), 403, r#"User \"nobody\" cannot list"#),
        ("nobody", None, NODES.to_owned(), 403, r#"User \"system:anonymous\" cannot list"#),
        ("a wrong token", None, with_token("wrong"), 401, "Unauthorized"),
        ("a certificate of somebody else", Some(&foreign), NODES.to_owned(), 401, "Unauthorized"),
        ("health", None, "GET /livez HTTP/1.1".to_owned(), 200, "ok"),
        (
            "a part of health",
            None,
            "GET /livez/ping HTTP/1.1".to_owned(),
            403,
            r#"cannot get path \"/livez/ping\""#,
        ),
        ("a path", None, "GET /metrics HTTP/1.1".to_owned(), 403, r#"cannot get path \"/metrics\""#),
    ] {
        let (found, body) = server.ask(client, &head).await;
        assert!(found == code && body.contains(text), "{case}: {found} {body}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let server = Running::start("head").await;
    let head = format!("GET /healthz HTTP/1.1\r\nx: {}", "y".repeat(crate::server::LIMITS.head_bytes));
    assert_eq!(server.ask(None, &head).await.0, 431);
    server.stop().await;
}

/// A watch has no end of its own, and must not keep the server from ending.
#[tokio::test]
async fn a_watch_ends_with_the_server() {
    let server = Running::start("stop").await;
    let admin = server.authority.admin().unwrap();
    let mut watch = server.connect(Some(&admin)).await;
    watch.write_all(b"GET /api/v1/nodes?watch=1 HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut head = [0; 12];
    watch.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let began = tokio::time::Instant::now();
    server.stop().await;
    assert!(began.elapsed() < crate::server::LIMITS.closing_time);
    let mut rest = Vec::new();
    watch.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "the answer is complete");
}

#[tokio::test]
async fn a_body_that_is_too_long_is_answered_though_it_was_not_asked_for_to_its_end() {
    let server = Running::start("long").await;
    let mut stream = server.connect(Some(&server.authority.admin().unwrap())).await;
    let length = 3 * crate::server::LIMITS.body_bytes;
    let head = format!(
        "POST /api/v1/nodes HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; length]).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&answer));
    server.stop().await;
}

#[test]
fn what_was_certified_is_kept_and_readable_by_its_owner_alone() {
    let folder = Folder::new("kept");
    let names = ServerNames::usual(["10.96.0.1".parse().unwrap()]);
    let first = Authority::open(&folder.0).unwrap();
    let (server, admin) = (first.server(&names).unwrap(), first.admin().unwrap());
    let again = Authority::open(&folder.0).unwrap();
    assert_eq!(again.certificate(), first.certificate());
    assert_eq!((again.server(&names).unwrap(), again.admin().unwrap()), (server.clone(), admin.clone()));
    let elsewhere = again.server(&ServerNames::usual(["192.0.2.1".parse().unwrap()])).unwrap();
    assert_ne!(elsewhere, server);
    for file in std::fs::read_dir(&folder.0).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
    let fields = authority::fields(&server.certificate).unwrap();
    assert!(fields.dns_names.contains(&"kubernetes.default.svc".to_owned()));
    assert_eq!(fields.addresses.len(), 3);
    let fields = authority::fields(&admin.certificate).unwrap();
    assert_eq!(
        (fields.common_name.as_str(), &fields.organizations[..]),
        ("kubernetes-admin", &[MASTERS.to_owned()][..])
    );
    assert!(!authority::needs_renewal(fields.not_after_secs));
}

#[test]
fn an_authority_that_lost_its_key_is_not_replaced_in_silence() {
    let folder = Folder::new("lost");
    let certificate = Authority::open(&folder.0).unwrap().certificate().to_owned();
    std::fs::remove_file(folder.0.join("ca.key")).unwrap();
    let error = Authority::open(&folder.0).unwrap_err().to_string();
    assert!(error.contains("ca.crt") && error.contains("Move the file away"), "{error}");
    files::write_private(&folder.0.join("ca.key"), "no key").unwrap();
    assert!(Authority::open(&folder.0).unwrap_err().to_string().contains("ca.key"));
    std::fs::remove_file(folder.0.join("ca.crt")).unwrap();
    std::fs::remove_file(folder.0.join("ca.key")).unwrap();
    assert_ne!(Authority::open(&folder.0).unwrap().certificate(), certificate);
}
