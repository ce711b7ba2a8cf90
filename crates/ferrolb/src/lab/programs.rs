//! The few programs of the system that a lab uses, and what to say where one is missing.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};

use super::Error;
use super::namespace::Namespace;

/// A program and the Debian package that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) package: &'static str,
}

pub(super) const IP: Program = Program { name: "ip", package: "iproute2" };
pub(super) const NFT: Program = Program { name: "nft", package: "nftables" };
pub(super) const SETPRIV: Program = Program { name: "setpriv", package: "util-linux" };
pub(super) const ZEBRA: Program = Program { name: "zebra", package: "frr" };
pub(super) const BGPD: Program = Program { name: "bgpd", package: "frr" };
pub(super) const BIRD: Program = Program { name: "bird", package: "bird2" };
pub(super) const GOBGPD: Program = Program { name: "gobgpd", package: "gobgpd" };
pub(super) const GOBGP: Program = Program { name: "gobgp", package: "gobgpd" };
pub(super) const EXABGP: Program = Program { name: "exabgp", package: "exabgp" };
pub(super) const SH: Program = Program { name: "sh", package: "dash" };
pub(super) const TCPDUMP: Program = Program { name: "tcpdump", package: "tcpdump" };

/// Lines of the program's complaint that are passed on.
const COMPLAINT_LINES: usize = 5;
/// Where programs are that only root needs; not everybody's PATH has it.
const FURTHER_FOLDERS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/lib/frr"];

impl Program {
    pub(super) fn path(self) -> Result<std::path::PathBuf, Error> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain(FURTHER_FOLDERS.map(Into::into));
        let mut candidates = folders.map(|folder| folder.join(self.name));
        candidates
            .find(|candidate| candidate.is_file())
            .ok_or(Error::ProgramMissing { program: self.name, package: self.package })
    }

    /// Runs it with this as its standard input.
    pub(super) fn run(
        self,
        namespace: Option<&Namespace>,
        arguments: &[&str],
        input: &str,
    ) -> Result<Output, Error> {
        let mut command = Command::new(self.path()?);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut act = || fed(&mut command, input);
        let output = match namespace {
            Some(namespace) => namespace.run(act),
            None => act(),
        };
        let output = output.map_err(|error| self.failed(namespace, &error.to_string()))?;
        if output.status.success() {
            return Ok(output);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said: Vec<_> = said.lines().take(COMPLAINT_LINES).collect();
        let code = output.status.code().or(output.status.signal()).unwrap_or_default();
        Err(self.failed(namespace, &format!("{} ({code})", said.join("; "))))
    }

    fn failed(self, namespace: Option<&Namespace>, reason: &str) -> Error {
        let place = namespace.map_or("the host", Namespace::name);
        Error::Program { program: self.name, place: place.to_owned(), reason: reason.to_owned() }
    }
}

/// Many commands in one process.
pub(super) fn ip_batch(namespace: Option<&Namespace>, commands: &str) -> Result<(), Error> {
    IP.run(namespace, &["-batch", "-"], commands).map(drop)
}

/// One change of the rules, or none.
pub(super) fn nft(namespace: &Namespace, script: &str) -> Result<(), Error> {
    NFT.run(Some(namespace), &["-f", "-"], script).map(drop)
}

fn fed(command: &mut Command, input: &str) -> std::io::Result<Output> {
    let mut child = command.spawn()?;
    // None of them answers before it has read everything, so there is no need to read meanwhile. One that ends early
    // says why itself.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output()
}
