//! What is done with a frame.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use super::rounds::advertise_to_all;
use super::{Announced, Interface, Output, Responder};
use crate::l2::arp::{Operation, Packet};
use crate::l2::ethernet::{Header, TYPE_ARP, TYPE_IPV6};
use crate::l2::ndp::{Kind, Message};
use crate::l2::{DropReason, Frame, MacAddress};

impl Responder {
    /// Takes a frame as it came in on an interface, from the Ethernet header on.
    pub fn receive(&mut self, interface: u32, frame: &[u8], now: Instant) {
        if let Err(reason) = self.answer(interface, frame, now) {
            self.counters.count_drops(reason, 1);
        }
    }

    fn answer(&mut self, interface: u32, frame: &[u8], now: Instant) -> Result<(), DropReason> {
        let (header, payload) = Header::parse(frame).ok_or(DropReason::Malformed)?;
        let receiver = self.interfaces.get(&interface).ok_or(DropReason::NotForUs)?;
        let (speaks, to_all) = match header.ether_type {
            TYPE_ARP => (receiver.arp, header.destination == MacAddress::BROADCAST),
            TYPE_IPV6 => (receiver.ndp, header.destination.0[..2] == [0x33, 0x33]),
            _ => return Err(DropReason::Malformed),
        };
        if !speaks || !(to_all || header.destination == receiver.station) {
            return Err(DropReason::NotForUs);
        }
        if header.ether_type == TYPE_ARP {
            let packet = Packet::parse(payload).ok_or(DropReason::Malformed)?;
            self.arp(interface, &packet, now)
        } else {
            let message = Message::parse(payload).ok_or(DropReason::Malformed)?;
            match message.kind {
                Kind::Solicitation => self.solicitation(interface, header.source, &message, now),
                Kind::Advertisement { .. } => self.advertisement(interface, header.source, &message, now),
            }
        }
    }

    fn arp(&mut self, interface: u32, packet: &Packet, now: Instant) -> Result<(), DropReason> {
        let requester = packet.sender_station;
        if !requester.is_station() {
            return Err(DropReason::NoStation);
        }
        let claims = self.announced(packet.sender.into(), interface).is_ok();
        if claims {
            if self.own.contains(&requester) {
                return Err(DropReason::OwnFrame);
            }
            self.claimed_by(packet.sender.into(), interface, requester, now);
        }
        if packet.operation != Operation::Request {
            return if claims { Ok(()) } else { Err(DropReason::NotARequest) };
        }
        let is_fellows_claim = claims && packet.sender == packet.target && self.fellows.contains(&requester);
        if is_fellows_claim {
            return Ok(());
        }
        self.arp_request(interface, packet, now)
    }

    fn arp_request(&mut self, interface: u32, packet: &Packet, now: Instant) -> Result<(), DropReason> {
        let address = IpAddr::V4(packet.target);
        let requester = packet.sender_station;
        let is_probe = packet.sender == Ipv4Addr::UNSPECIFIED && !self.own.contains(&requester);
        let (announced, receiver) = self.announced(address, interface)?;
        if !announced.is_answered_for() {
            if is_probe {
                self.also_wanted_by(address, interface, requester, now);
            }
            return Err(DropReason::AnnounceIp);
        }
        let frame = packet.reply(receiver.station).frame(requester);
        announced.counters.count_answer();
        self.outputs.push_back(Output::Send { interface, frame });
        if is_probe {
            self.wanted_by(address, interface, requester, now);
        }
        Ok(())
    }

    fn solicitation(
        &mut self,
        interface: u32,
        from: MacAddress,
        message: &Message,
        now: Instant,
    ) -> Result<(), DropReason> {
        let address = IpAddr::V6(message.target);
        let (announced, receiver) = self.announced(address, interface)?;
        // Whoever does not say what its station is, is answered where the frame came from.
        let requester = message.station.filter(|station| station.is_station()).unwrap_or(from);
        if !requester.is_station() {
            return Err(DropReason::NoStation);
        }
        let is_probe = message.source.is_unspecified();
        if is_probe && self.own.contains(&requester) {
            return Err(DropReason::OwnFrame);
        }
        if !announced.is_answered_for() {
            if is_probe {
                self.also_wanted_by(address, interface, requester, now);
            }
            return Err(DropReason::AnnounceIp);
        }
        let frame = if is_probe {
            // Who asks has no address yet, so everybody hears that this one is taken (RFC 4861 7.2.4).
            advertise_to_all(message.target, receiver)
        } else {
            advertise_to(requester, message.source, message.target, receiver)
        };
        announced.counters.count_answer();
        self.outputs.push_back(Output::Send { interface, frame });
        if is_probe {
            self.wanted_by(address, interface, requester, now);
        }
        Ok(())
    }

    fn advertisement(
        &mut self,
        interface: u32,
        from: MacAddress,
        message: &Message,
        now: Instant,
    ) -> Result<(), DropReason> {
        let station = message.station.unwrap_or(from);
        self.announced(message.target.into(), interface).map_err(|_| DropReason::NotARequest)?;
        if self.own.contains(&station) {
            return Err(DropReason::OwnFrame);
        }
        if !station.is_station() {
            return Err(DropReason::NoStation);
        }
        self.claimed_by(message.target.into(), interface, station, now);
        Ok(())
    }

    /// The address as announced on this interface.
    fn announced(&self, address: IpAddr, interface: u32) -> Result<(&Announced, &Interface), DropReason> {
        let announced = self.addresses.get(&address).ok_or(DropReason::AnnounceIp)?;
        let receiver = self.interfaces.get(&interface).ok_or(DropReason::NotForUs)?;
        if announced.is_on(address, receiver) {
            Ok((announced, receiver))
        } else {
            Err(DropReason::NotMatchInterface)
        }
    }
}

/// The answer. It does not override what the asker knows, as that of the original does not: whoever has an older entry
/// and asks to confirm it, asks the station in that entry. It comes from the address itself, as hosts answer: there are
/// programs, ndisc6 among them, that take no answer about an address of one scope from an address of another.
fn advertise_to(requester: MacAddress, source: Ipv6Addr, target: Ipv6Addr, receiver: &Interface) -> Frame {
    let message = Message {
        source: target,
        destination: source,
        kind: Kind::Advertisement { solicited: true, overrides: false },
        target,
        station: Some(receiver.station),
    };
    message.frame(receiver.station, requester)
}
