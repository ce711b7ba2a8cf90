//! The file that a client is pointed at this server with.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::authority::Pair;

/// A kubeconfig for one user of one server, which is called `cluster` in it.
pub fn kubeconfig(cluster: &str, server: &str, authority: &str, user: &str, pair: &Pair) -> String {
    let [authority, certificate, key] =
        [authority, &pair.certificate, &pair.key].map(|pem| STANDARD.encode(pem));
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         clusters:\n\
         - name: {cluster}\n\
         \x20 cluster:\n\
         \x20   server: {server}\n\
         \x20   certificate-authority-data: {authority}\n\
         users:\n\
         - name: {user}\n\
         \x20 user:\n\
         \x20   client-certificate-data: {certificate}\n\
         \x20   client-key-data: {key}\n\
         contexts:\n\
         - name: {user}@{cluster}\n\
         \x20 context:\n\
         \x20   cluster: {cluster}\n\
         \x20   user: {user}\n\
         current-context: {user}@{cluster}\n"
    )
}
