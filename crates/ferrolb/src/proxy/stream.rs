//! Bytes between two ends of a connection, until both have said all or one is gone.

use std::io;
use std::net::Shutdown;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::task::coop::consume_budget;

use super::counters::{DropReason, OfFrontend};
use super::idle::Activity;

/// Read at once. Nothing is kept for a connection on which nothing waits.
const PIECE: usize = 16 << 10;
/// So many pieces, and others have their turn.
const PIECES: usize = 8;

/// An end that one side has said is passed on, and the other side may go on.
pub(super) async fn join(
    client: &TcpStream,
    endpoint: &TcpStream,
    counters: &OfFrontend,
    idle: Duration,
) -> Result<(), DropReason> {
    let activity = Activity::new();
    let both = async {
        tokio::try_join!(
            way(client, endpoint, &counters.received, &activity),
            way(endpoint, client, &counters.sent, &activity),
        )
    };
    tokio::select! {
        ended = both => ended.map(drop).map_err(|_| DropReason::Reset),
        () = activity.idle(idle) => Err(DropReason::Idle),
    }
}

async fn way(from: &TcpStream, to: &TcpStream, moved: &AtomicU64, activity: &Activity) -> io::Result<()> {
    loop {
        from.readable().await?;
        let Moved { bytes, rest, is_end } = piecewise(from, to)?;
        moved.fetch_add((bytes + rest.len()) as u64, Relaxed);
        activity.note();
        write_all(to, &rest, activity).await?;
        if is_end {
            return SockRef::from(to).shutdown(Shutdown::Write);
        }
        consume_budget().await;
    }
}

#[derive(Default)]
struct Moved {
    bytes: usize,
    /// What was read and could not be written.
    rest: Vec<u8>,
    is_end: bool,
}

/// As much as can be moved without waiting.
fn piecewise(from: &TcpStream, to: &TcpStream) -> io::Result<Moved> {
    let mut piece = [0; PIECE];
    let mut moved = Moved::default();
    for _ in 0..PIECES {
        let length = match from.try_read(&mut piece) {
            Ok(0) => {
                moved.is_end = true;
                break;
            }
            Ok(length) => length,
            Err(error) if is_not_now(&error) => break,
            Err(error) => return Err(error),
        };
        let written = match to.try_write(&piece[..length]) {
            Err(error) if is_not_now(&error) => 0,
            written => written?,
        };
        moved.bytes += written;
        if written < length {
            moved.rest = piece[written..length].to_vec();
            break;
        }
    }
    Ok(moved)
}

async fn write_all(to: &TcpStream, bytes: &[u8], activity: &Activity) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        to.writable().await?;
        match to.try_write(rest) {
            Ok(written) => {
                rest = &rest[written..];
                activity.note();
            }
            Err(error) if is_not_now(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_not_now(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}
