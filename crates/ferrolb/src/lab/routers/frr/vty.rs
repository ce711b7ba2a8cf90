//! How FRR's programs are asked: lines over a socket, each answered by text, three zeros and a code.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::lab::routers::ANSWER_WAIT;

/// A table of a hundred thousand routes is less.
const ANSWER_BYTES: usize = 256 << 20;
const MARK: [u8; 3] = [0; 3];

pub(super) struct Vty {
    stream: UnixStream,
}

impl Vty {
    /// With all rights.
    pub(super) fn open(socket: &Path) -> std::io::Result<Vty> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(ANSWER_WAIT))?;
        stream.set_write_timeout(Some(ANSWER_WAIT))?;
        let mut vty = Vty { stream };
        vty.ask("enable")?;
        Ok(vty)
    }

    pub(super) fn ask(&mut self, line: &str) -> std::io::Result<String> {
        self.stream.write_all(format!("{line}\0").as_bytes())?;
        let mut answer = Vec::new();
        let mut part = [0; 64 << 10];
        loop {
            if let Some((code, text)) = ended(&answer) {
                let text = String::from_utf8_lossy(text).into_owned();
                // 1 is a warning, as where there is nothing to show.
                return if code <= 1 { Ok(text) } else { Err(refused(line, &text)) };
            }
            match self.stream.read(&mut part) {
                // A read with a time limit is not begun again by itself when a child of the lab ends.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                Ok(_) if answer.len() > ANSWER_BYTES => return Err(std::io::ErrorKind::InvalidData.into()),
                Ok(length) => answer.extend_from_slice(&part[..length]),
            }
        }
    }

    /// Lines of a configuration, of which none may be refused.
    pub(super) fn configure<'a>(&mut self, lines: impl Iterator<Item = &'a str>) -> std::io::Result<()> {
        self.ask("configure")?;
        for line in lines {
            let said = self.ask(line)?;
            if said.starts_with('%') {
                return Err(refused(line, &said));
            }
        }
        self.ask("end").map(drop)
    }
}

/// The code and the text of an answer that is complete.
fn ended(answer: &[u8]) -> Option<(u8, &[u8])> {
    let (code, rest) = answer.split_last()?;
    Some((*code, rest.strip_suffix(&MARK)?))
}

fn refused(line: &str, said: &str) -> std::io::Error {
    std::io::Error::other(format!("{line:?} was answered by {:?}", said.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_with_zeros_and_a_code() {
        for (answer, expected) in [
            (&b""[..], None),
            (b"text", None),
            (b"text\0\0\0", None),
            (b"\0\0\0\0", Some((0, &b""[..]))),
            (b"text\0\0\0\x02", Some((2, b"text"))),
        ] {
            assert_eq!(ended(answer), expected);
        }
    }
}
