//! One TCP connection: what waits to be written to it, and how it ends.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll;
use socket2::Socket;

/// What was said last is to arrive, so a connection is not closed before the other side has, or this is over.
const LINGER: Duration = Duration::from_secs(1);
/// Of what comes on one that ends, so much is thrown away before others have their turn: a buffer full each.
const READS_AT_ONCE: usize = 4;
/// Messages that are written in one call.
const AT_ONCE: usize = 64;

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: Socket,
    /// What the poll says of it.
    pub(super) key: u64,
    phase: Phase,
    waiting: VecDeque<Vec<u8>>,
    /// So much of the first was written.
    written: usize,
    /// Whether it is asked to be told when there is room.
    waits_for_room: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Dialling,
    Open,
    /// What waits is written, and what comes is not looked at.
    Ending(Instant),
}

impl Connection {
    /// One that is about to come about.
    pub(super) fn dialled(socket: Socket, key: u64, poll: &OwnedFd) -> io::Result<Connection> {
        Connection::new(socket, key, poll, Phase::Dialling)
    }

    pub(super) fn accepted(socket: Socket, key: u64, poll: &OwnedFd) -> io::Result<Connection> {
        Connection::new(socket, key, poll, Phase::Open)
    }

    fn new(socket: Socket, key: u64, poll: &OwnedFd, phase: Phase) -> io::Result<Connection> {
        let waits_for_room = phase == Phase::Dialling;
        let connection =
            Connection { socket, key, phase, waiting: VecDeque::new(), written: 0, waits_for_room };
        epoll::add(poll, connection.socket.as_fd(), epoll::EventData::new_u64(key), connection.interest())?;
        Ok(connection)
    }

    pub(super) fn is_dialling(&self) -> bool {
        self.phase == Phase::Dialling
    }

    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    pub(super) fn has_come_about(&mut self) {
        self.phase = Phase::Open;
    }

    pub(super) fn send(&mut self, message: Vec<u8>) {
        self.waiting.push_back(message);
    }

    /// Writes what there is room for. Says how much that was.
    pub(super) fn write(&mut self, poll: &OwnedFd) -> io::Result<usize> {
        let mut total = 0;
        while !self.waiting.is_empty() && self.phase != Phase::Dialling {
            let mut slices: Vec<IoSlice<'_>> =
                self.waiting.iter().take(AT_ONCE).map(|it| IoSlice::new(it)).collect();
            slices[0] = IoSlice::new(&self.waiting[0][self.written..]);
            match (&self.socket).write_vectored(&slices) {
                Ok(bytes) => {
                    total += bytes;
                    self.wrote(bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let waits_for_room = !self.waiting.is_empty() || self.phase == Phase::Dialling;
        if waits_for_room != self.waits_for_room {
            self.waits_for_room = waits_for_room;
            let key = epoll::EventData::new_u64(self.key);
            epoll::modify(poll, self.socket.as_fd(), key, self.interest())?;
        }
        Ok(total)
    }

    fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        while let Some(first) = self.waiting.front()
            && self.written >= first.len()
        {
            self.written -= first.len();
            self.waiting.pop_front();
        }
    }

    /// Reads once. Nothing and no error: not yet. An end is an error.
    pub(super) fn read<'a>(&mut self, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        match (&self.socket).read(buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => Ok(Some(&buffer[..length])),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// After what waits is written.
    pub(super) fn end(&mut self, now: Instant) {
        if self.phase == Phase::Dialling {
            self.waiting.clear();
        }
        self.phase = Phase::Ending(now + LINGER);
    }

    /// Whether there is nothing more to be done for one that ends. It does not end before the other side has, so that what was
    /// said last is not lost with what nobody reads.
    pub(super) fn has_ended(&mut self, now: Instant, scratch: &mut [u8]) -> bool {
        let Phase::Ending(until) = self.phase else { return false };
        if until <= now {
            return true;
        }
        if self.waiting.is_empty() && self.socket.shutdown(std::net::Shutdown::Write).is_err() {
            return true;
        }
        for _ in 0..READS_AT_ONCE {
            match self.read(scratch) {
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
        false
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Ending(until) => Some(until),
            _ => None,
        }
    }

    fn interest(&self) -> epoll::EventFlags {
        let reads = epoll::EventFlags::IN | epoll::EventFlags::RDHUP;
        if self.waits_for_room { reads | epoll::EventFlags::OUT } else { reads }
    }
}
