//! Paths that are about the server itself: its health, its version, the keys of its tokens.

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::{Server, respond};

const TEXT: &str = "text/plain; charset=utf-8";
/// What health consists of; the store is called what clients know it as.
const CHECKS: [&str; 3] = ["ping", "log", "etcd"];

impl Server {
    /// The answer, if the path is one of these.
    pub(super) async fn about_itself(&self, parts: &Parts) -> Option<Response> {
        let path = parts.uri.path();
        let tokens = &self.access.authenticator.service_accounts;
        match path {
            "/version" | "/version/" => return Some(json_of("application/json", &version())),
            "/openid/v1/jwks" => return Some(json_of("application/jwk-set+json", &tokens.signer.key_set())),
            "/.well-known/openid-configuration" => {
                let host = parts.uri.authority().map(|authority| authority.as_str().to_owned());
                let host = host.or_else(|| Some(parts.headers.get(header::HOST)?.to_str().ok()?.to_owned()));
                let host = host.unwrap_or_else(|| "localhost".to_owned());
                return Some(json_of("application/json", &issuer(&tokens.issuer, &host)));
            }
            _ => {}
        }
        let (root, check) = path.trim_matches('/').split_once('/').unwrap_or((path.trim_matches('/'), ""));
        if !matches!(root, "healthz" | "livez" | "readyz") {
            return None;
        }
        Some(match check {
            "" => self.health(root, parts.uri.query().unwrap_or_default()).await,
            check if CHECKS.contains(&check) && self.is_well(check).await => text(200, "ok".to_owned()),
            check if CHECKS.contains(&check) => {
                text(500, "internal server error: it does not answer\n".to_owned())
            }
            _ => respond::no_such_page(),
        })
    }

    async fn health(&self, root: &str, query: &str) -> Response {
        let query: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let excluded = |check: &str| query.iter().any(|(key, value)| key == "exclude" && value == check);
        let (mut lines, mut failed) = (String::new(), Vec::new());
        for check in CHECKS {
            if excluded(check) {
                lines.push_str(&format!("[+]{check} excluded: ok\n"));
            } else if self.is_well(check).await {
                lines.push_str(&format!("[+]{check} ok\n"));
            } else {
                lines.push_str(&format!("[-]{check} failed: reason withheld\n"));
                failed.push(check);
            }
        }
        let unknown: Vec<String> = query
            .iter()
            .filter(|(key, value)| key == "exclude" && !CHECKS.contains(&value.as_str()))
            .map(|(_, value)| format!("{value:?}"))
            .collect();
        if !unknown.is_empty() {
            let unknown = unknown.join(",");
            lines.push_str(&format!(
                "warn: some health checks cannot be excluded: no matches for {unknown}\n"
            ));
        }
        if !failed.is_empty() {
            return text(500, format!("{lines}{root} check failed\n"));
        }
        if query.iter().any(|(key, _)| key == "verbose") {
            return text(200, format!("{lines}{root} check passed\n"));
        }
        text(200, "ok".to_owned())
    }

    async fn is_well(&self, check: &str) -> bool {
        check != "etcd" || self.store.get("/health").await.is_ok()
    }
}

fn version() -> Value {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({
        "major": "1", "minor": "36",
        "emulationMajor": "1", "emulationMinor": "36",
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
        "gitVersion": "v1.36.3", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc",
        "platform": format!("{}/{architecture}", std::env::consts::OS),
    })
}

fn issuer(issuer: &str, host: &str) -> Value {
    json!({
        "issuer": issuer, "jwks_uri": format!("https://{host}/openid/v1/jwks"),
        "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    })
}

fn json_of(media: &str, body: &Value) -> Response {
    respond::respond(Body::from(body.to_string()), 200, media, &[])
}

fn text(code: u16, text: String) -> Response {
    let mut response = respond::respond(Body::from(text), code, TEXT, &[]);
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
