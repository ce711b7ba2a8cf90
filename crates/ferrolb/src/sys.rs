//! The few calls of the system for which no safe wrapper exists. Nothing else in FerroLB is `unsafe`.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use socket2::{SockAddr, Socket};

/// Binds a packet socket to one interface and one type of frames, from when on it receives.
pub(crate) fn bind_packet(socket: &Socket, interface: u32, ether_type: u16) -> io::Result<()> {
    socket.bind(&packet_address(interface, ether_type)?)
}

/// Where frames go that a packet socket sends.
pub(crate) fn packet_address(interface: u32, ether_type: u16) -> io::Result<SockAddr> {
    let interface = c_int::try_from(interface).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the storage is zeroed, aligned and larger than a `sockaddr_ll`, every field of which may be zero, and the
    // length that is reported is that of what was written.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, length| {
            let address = storage.cast::<libc::sockaddr_ll>();
            (*address).sll_family = libc::AF_PACKET as u16;
            (*address).sll_protocol = ether_type.to_be();
            (*address).sll_ifindex = interface;
            *length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            Ok(())
        })?
    };
    Ok(address)
}

/// From now on the calling thread runs before all that is not of this kind. Whoever it starts does not.
pub(crate) fn run_first() -> io::Result<()> {
    // SAFETY: the thread is this one, and the parameter is read during the call alone; all zero but for the priority is a
    // valid one.
    let error = unsafe {
        let mut parameter: libc::sched_param = std::mem::zeroed();
        parameter.sched_priority = 1;
        let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
        libc::pthread_setschedparam(libc::pthread_self(), policy, &raw const parameter)
    };
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

/// Has the interface receive frames to a multicast station, or no longer. The kernel counts how often.
pub(crate) fn packet_membership(
    socket: &Socket,
    interface: u32,
    station: [u8; 6],
    join: bool,
) -> io::Result<()> {
    let mut request = libc::packet_mreq {
        mr_ifindex: c_int::try_from(interface).map_err(|_| io::ErrorKind::InvalidInput)?,
        mr_type: libc::PACKET_MR_MULTICAST as u16,
        mr_alen: 6,
        mr_address: [0; 8],
    };
    request.mr_address[..6].copy_from_slice(&station);
    let option = if join { libc::PACKET_ADD_MEMBERSHIP } else { libc::PACKET_DROP_MEMBERSHIP };
    // SAFETY: it has no padding, and lives until its bytes were read.
    let bytes = unsafe {
        std::slice::from_raw_parts((&raw const request).cast::<u8>(), size_of::<libc::packet_mreq>())
    };
    set_option(socket, libc::SOL_PACKET, option, bytes)
}

/// An option of a socket for which nobody has a wrapper.
pub(crate) fn set_option(socket: impl AsFd, level: c_int, option: c_int, value: &[u8]) -> io::Result<()> {
    let length = libc::socklen_t::try_from(value.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the descriptor is open as long as `socket` is borrowed, and the kernel reads `length` bytes at most, all of
    // which are there until the call returns.
    let result = unsafe {
        let descriptor = socket.as_fd().as_raw_fd();
        libc::setsockopt(descriptor, level, option, value.as_ptr().cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How many frames a packet socket had no room for since it was last asked.
pub(crate) fn packet_drops(socket: &Socket) -> io::Result<u32> {
    let mut statistics = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
    let mut length = size_of::<libc::tpacket_stats>() as libc::socklen_t;
    // SAFETY: as above; the kernel writes at most `length` bytes, and any bytes are valid statistics.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut statistics).cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(statistics.tp_drops) } else { Err(io::Error::last_os_error()) }
}

/// Gives back memory: what the allocator keeps although nobody uses it, and the program's code and constants, which come from
/// its file again where they are needed. Most of them are of use at the start alone.
pub(crate) fn forget() -> io::Result<()> {
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called at any time, from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
    let program = std::env::current_exe()?;
    for line in std::fs::read_to_string("/proc/self/maps")?.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [range, permissions, offset, _, _, path] = fields[..] else { continue };
        // Other parts were written to when the program was linked, before they became read-only.
        let is_clean =
            permissions == "r-xp" || (permissions == "r--p" && offset.bytes().all(|it| it == b'0'));
        if !is_clean || Path::new(path) != program {
            continue;
        }
        let address = |text| usize::from_str_radix(text, 16).map_err(io::Error::other);
        let (begin, end) = range.split_once('-').ok_or(io::ErrorKind::InvalidData)?;
        let (begin, end) = (address(begin)?, address(end)?);
        let begin_pointer = std::ptr::with_exposed_provenance_mut(begin);
        // SAFETY: this is a private mapping of a file that was never writable, so nothing is lost: whoever touches a page
        // gets it from the file again.
        if unsafe { libc::madvise(begin_pointer, end - begin, libc::MADV_DONTNEED) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// From now on the calling thread, and every thread and process that it starts, has a network of its own.
#[cfg(test)]
pub(crate) fn enter_new_network() -> io::Result<()> {
    // SAFETY: descriptors and memory stay shared; nothing relies on two threads having the same network.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_forgotten_comes_again() {
        super::forget().unwrap();
        assert_eq!("still here".len(), 10);
        super::forget().unwrap();
    }
}
