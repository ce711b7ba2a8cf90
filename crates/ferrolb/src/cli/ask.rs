//! Asking a speaker that runs on this machine.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::serving::admin;

/// A speaker answers at once, or it hangs.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of an answer about as much as there may be.
const ANSWER_BYTES: u64 = 256 << 20;

/// Where a speaker is told what is not for everybody.
#[derive(Debug, Args)]
pub(super) struct AdminArgs {
    /// The socket of the speaker, if it was told to have it anywhere in particular
    #[arg(long, value_name = "FILE", env = admin::VARIABLE)]
    admin_socket: Option<PathBuf>,
}

impl AdminArgs {
    pub(super) fn get(&self, path: &str) -> anyhow::Result<String> {
        locally(self.admin_socket.as_deref(), "GET", path)
    }

    pub(super) fn post(&self, path: &str) -> anyhow::Result<String> {
        locally(self.admin_socket.as_deref(), "POST", path)
    }
}

/// Of what everybody on this machine may know.
pub(super) fn openly(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let reach = || format!("no speaker serves its probes at {address}");
    let stream = TcpStream::connect_timeout(&address, PATIENCE).with_context(reach)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    exchange(stream, "GET", path).with_context(reach)
}

fn locally(socket: Option<&Path>, method: &str, path: &str) -> anyhow::Result<String> {
    let usual = || admin::PATHS.map(Path::new).to_vec();
    let sockets = socket.map_or_else(usual, |socket| vec![socket]);
    let named: Vec<String> = sockets.iter().map(|socket| socket.display().to_string()).collect();
    let reach = || format!("no speaker answers at {}", named.join(" or "));
    let mut tried = sockets.iter().map(UnixStream::connect);
    let first = tried.next().context("there is no socket")?;
    let stream = tried.fold(first, Result::or).with_context(reach)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    exchange(stream, method, path).with_context(reach)
}

fn exchange(mut stream: impl Read + Write, method: &str, path: &str) -> anyhow::Result<String> {
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is no HTTP")?;
    let status = head.lines().next().unwrap_or_default();
    anyhow::ensure!(status.starts_with("HTTP/1.1 200"), "{status}: {}", body.trim());
    Ok(body.to_owned())
}
