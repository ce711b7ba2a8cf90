//! A packet socket for tests: sees every frame of an interface, and sends any.

use std::time::{Duration, Instant};

use protocol::l2::MacAddress;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use socket2::{Domain, Socket, Type};

use super::net::Host;
use crate::sys;

/// Every type of frame there is.
const ALL_TYPES: u16 = 0x0003;

pub(super) struct Wire {
    socket: Socket,
}

impl Wire {
    /// From now on.
    pub(super) fn new(host: &Host, interface: &str) -> Wire {
        let said = host.says(&format!("ip -o link show {interface}"));
        let index: u32 = said.split(':').next().unwrap().parse().unwrap();
        let socket = host.run(move || {
            let socket = Socket::new(Domain::PACKET, Type::RAW, None).unwrap();
            rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, 16 << 20).unwrap();
            sys::bind_packet(&socket, index, ALL_TYPES).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            socket
        });
        Wire { socket }
    }

    pub(super) fn send(&self, frame: &[u8]) {
        send(&self.socket, frame, SendFlags::empty()).unwrap();
    }

    /// The frames that arrive within a time, from one station.
    pub(super) fn heard_from(&self, station: MacAddress, time: Duration) -> Vec<(Instant, Vec<u8>)> {
        let until = Instant::now() + time;
        let mut heard = Vec::new();
        let mut buffer = vec![0; 2048];
        while Instant::now() < until {
            if let Ok((length, _)) = recv(&self.socket, buffer.as_mut_slice(), RecvFlags::empty())
                && buffer[6..12] == station.0
            {
                heard.push((Instant::now(), buffer[..length].to_vec()));
            }
        }
        heard
    }

    /// The next frame of which something is so.
    pub(super) fn wait_for(&self, time: Duration, mut is_it: impl FnMut(&[u8]) -> bool) -> Option<Vec<u8>> {
        let until = Instant::now() + time;
        let mut buffer = vec![0; 2048];
        while Instant::now() < until {
            if let Ok((length, _)) = recv(&self.socket, buffer.as_mut_slice(), RecvFlags::empty())
                && is_it(&buffer[..length])
            {
                return Some(buffer[..length].to_vec());
            }
        }
        None
    }
}
