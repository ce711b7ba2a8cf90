//! An interface as a plain wire: hears every frame, sends any. For tests and measurements; nothing that answers uses it.

use std::io;
use std::time::{Duration, Instant};

use protocol::l2::MacAddress;
use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use rustix::net::{RecvFlags, SendFlags, netdevice, recv, send};
use socket2::{Domain, Socket, Type};

use crate::sys;

/// Of every type, those that this host sends among them.
pub const ALL_TYPES: u16 = 0x0003;

const WAITING_BYTES: usize = 16 << 20;
/// Between two looks at the time.
const MOMENT: Duration = Duration::from_millis(20);
const LONGEST: usize = 2048;

#[derive(Debug)]
pub struct Wire {
    socket: Socket,
}

impl Wire {
    /// Hears frames of one type from now on.
    pub fn open(interface: &str, ether_type: u16) -> io::Result<Wire> {
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        let index = netdevice::name_to_index(&socket, interface)?;
        if set_socket_recv_buffer_size_force(&socket, WAITING_BYTES).is_err() {
            set_socket_recv_buffer_size(&socket, WAITING_BYTES)?;
        }
        sys::bind_packet(&socket, index, ether_type)?;
        socket.set_read_timeout(Some(MOMENT))?;
        Ok(Wire { socket })
    }

    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        send(&self.socket, frame, SendFlags::empty())?;
        Ok(())
    }

    /// The next frame, if it comes soon.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        match recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((length, _)) => Ok(Some(&buffer[..length])),
            // An interface that goes down says so once, and is heard again when it is up.
            Err(Errno::AGAIN | Errno::INTR | Errno::NETDOWN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The next frame of which something is so, within a time.
    pub fn wait_for(
        &self,
        time: Duration,
        mut is_it: impl FnMut(&[u8]) -> bool,
    ) -> io::Result<Option<Vec<u8>>> {
        let until = Instant::now() + time;
        let mut buffer = [0; LONGEST];
        while Instant::now() < until {
            if let Some(frame) = self.receive(&mut buffer)?.filter(|frame| is_it(frame)) {
                return Ok(Some(frame.to_vec()));
            }
        }
        Ok(None)
    }

    /// The frames of one station within a time, and when they came.
    pub fn heard_from(&self, station: MacAddress, time: Duration) -> io::Result<Vec<(Instant, Vec<u8>)>> {
        let mut heard = Vec::new();
        self.wait_for(time, |frame| {
            if frame.get(6..12) == Some(&station.0) {
                heard.push((Instant::now(), frame.to_vec()));
            }
            false
        })?;
        Ok(heard)
    }
}
