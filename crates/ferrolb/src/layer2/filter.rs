//! What the kernel is to hand over at all: programs for its packet filter that know the addresses.
//!
//! They are for speed alone; what they let through is judged again. So they may let through too much: addresses are
//! looked up as ranges, and where there are too many ranges those with the smallest gaps between them become one.

use std::net::IpAddr;

/// One instruction of the classic packet filter: operation, where to go on if true and if false, and its operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) code: u16,
    pub(super) if_true: u8,
    pub(super) if_false: u8,
    pub(super) operand: u32,
}

/// How many ranges are tried, from the most exact: not every kernel has room for long programs. The longest has
/// [`INSTRUCTIONS_FOR_RANGE`] for each range and field, and the kernel's bound is 4096.
pub(super) const RANGES: [usize; 4] = [256, 64, 16, 1];
#[cfg(test)]
const INSTRUCTIONS_FOR_RANGE: usize = 6;

const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_NOT_LESS: u16 = 0x35;
const RETURN: u16 = 0x06;

/// To whom the frame was sent, as the kernel sees it. Beyond this are frames to other stations, or to other VLANs, and
/// our own.
const STATION_KIND: u32 = 0xffff_f004;
const TO_MULTICAST: u32 = 2;
/// Everything, of frames that are handed over.
const WHOLE: u32 = 0xffff;

const ARP_KIND: u32 = 14;
const ARP_LENGTHS: u32 = 18;
const ARP_SENDER: u32 = 28;
const ARP_TARGET: u32 = 38;
const IPV6_NEXT_HEADER: u32 = 20;
const IPV6_HOP_LIMIT: u32 = 21;
const ICMPV6_TYPE: u32 = 54;
/// The last word of it. It is where addresses of one pool differ.
const NDP_TARGET_END: u32 = 74;

/// Lets through ARP of and for these addresses.
pub(super) fn arp(ranges: &[Range]) -> Vec<Instruction> {
    let mut program = Program::of_frames_to_us();
    program.demand(LOAD_WORD, ARP_KIND, 0x0001_0800);
    program.demand(LOAD_HALF, ARP_LENGTHS, 0x0604);
    program.accept_if_within(ARP_TARGET, ranges);
    program.accept_if_within(ARP_SENDER, ranges);
    program.finished()
}

/// Lets through solicitations and advertisements of these addresses.
pub(super) fn ndp(ranges: &[Range]) -> Vec<Instruction> {
    let mut program = Program::of_frames_to_us();
    program.demand(LOAD_BYTE, IPV6_NEXT_HEADER, 58);
    program.demand(LOAD_BYTE, IPV6_HOP_LIMIT, 255);
    program.push(LOAD_BYTE, ICMPV6_TYPE);
    program.jump(JUMP_EQUAL, 135, 2, 0);
    program.jump(JUMP_EQUAL, 136, 1, 0);
    program.push(RETURN, 0);
    program.accept_if_within(NDP_TARGET_END, ranges);
    program.finished()
}

/// From the first to the last.
pub(super) type Range = (u32, u32);

/// The part of an address that is looked up.
pub(super) fn key(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => address.to_bits() as u32,
    }
}

/// At most so many ranges, in order, with all the keys in them, and no more between than necessary.
pub(super) fn ranges(mut keys: Vec<u32>, at_most: usize) -> Vec<Range> {
    keys.sort_unstable();
    let gap = |pair: &[u32]| pair[1] - pair[0];
    let mut gaps: Vec<u32> = keys.windows(2).map(gap).filter(|&gap| gap > 1).collect();
    let bridged = if gaps.len() < at_most {
        1
    } else {
        // All but the widest gaps, of which there is one less than ranges. Of equal ones all are bridged.
        let widest = gaps.len() + 1 - at_most.max(1);
        gaps.sort_unstable();
        gaps[widest - 1]
    };
    let mut ranges: Vec<Range> = Vec::new();
    for key in keys {
        match ranges.last_mut() {
            Some(last) if key - last.1 <= bridged => last.1 = key,
            _ => ranges.push((key, key)),
        }
    }
    ranges
}

struct Program {
    instructions: Vec<Instruction>,
}

impl Program {
    fn of_frames_to_us() -> Program {
        let mut program = Program { instructions: Vec::new() };
        program.push(LOAD_WORD, STATION_KIND);
        program.jump(JUMP_GREATER, TO_MULTICAST, 0, 1);
        program.push(RETURN, 0);
        program
    }

    fn push(&mut self, code: u16, operand: u32) {
        self.instructions.push(Instruction { code, if_true: 0, if_false: 0, operand });
    }

    fn jump(&mut self, code: u16, operand: u32, if_true: u8, if_false: u8) {
        self.instructions.push(Instruction { code, if_true, if_false, operand });
    }

    fn demand(&mut self, load: u16, offset: u32, value: u32) {
        self.push(load, offset);
        self.jump(JUMP_EQUAL, value, 1, 0);
        self.push(RETURN, 0);
    }

    /// Goes on behind it if the word at the offset is in no range.
    fn accept_if_within(&mut self, offset: u32, ranges: &[Range]) {
        if !ranges.is_empty() {
            self.push(LOAD_WORD, offset);
            self.search(ranges, 0);
        }
    }

    /// A binary search. So many instructions follow that belong to the same search.
    fn search(&mut self, ranges: &[Range], following: u32) {
        if let &[(first, last)] = ranges {
            self.jump(JUMP_NOT_LESS, first, 0, 2);
            self.jump(JUMP_GREATER, last, 1, 0);
            self.push(RETURN, WHOLE);
            self.push(JUMP, following);
            return;
        }
        let (lower, upper) = ranges.split_at(ranges.len() / 2);
        let [lower_length, upper_length] = [lower, upper].map(search_length);
        self.jump(JUMP_NOT_LESS, upper[0].0, 0, 1);
        self.push(JUMP, lower_length);
        self.search(lower, upper_length + following);
        self.search(upper, following);
    }

    fn finished(mut self) -> Vec<Instruction> {
        self.push(RETURN, 0);
        self.instructions
    }
}

/// Four for each range, and two for each choice between two parts.
fn search_length(ranges: &[Range]) -> u32 {
    (6 * ranges.len() - 2) as u32
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;
    use protocol::l2::MacAddress;
    use protocol::l2::arp::{Operation, Packet};
    use protocol::l2::ndp::{Kind, Message};

    use super::*;

    /// What the kernel would do.
    fn passes(program: &[Instruction], frame: &[u8], station_kind: u32) -> bool {
        assert!(program.len() <= 4096);
        let mut accumulator = 0;
        let mut at = 0;
        loop {
            let Instruction { code, if_true, if_false, operand } = program[at];
            at += 1;
            let choice = |is: bool| usize::from(if is { if_true } else { if_false });
            let load = |length: usize| {
                let bytes = frame.get(operand as usize..)?.get(..length)?;
                Some(bytes.iter().fold(0, |value, &byte| value << 8 | u32::from(byte)))
            };
            match code {
                LOAD_WORD if operand == STATION_KIND => accumulator = station_kind,
                LOAD_WORD | LOAD_HALF | LOAD_BYTE => {
                    let length = if code == LOAD_WORD {
                        4
                    } else if code == LOAD_HALF {
                        2
                    } else {
                        1
                    };
                    match load(length) {
                        Some(value) => accumulator = value,
                        None => return false,
                    }
                }
                JUMP => at += operand as usize,
                JUMP_EQUAL => at += choice(accumulator == operand),
                JUMP_GREATER => at += choice(accumulator > operand),
                JUMP_NOT_LESS => at += choice(accumulator >= operand),
                RETURN => return operand > 0,
                _ => panic!("{code:#x}"),
            }
        }
    }

    const STATION: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);

    fn arp_frame(sender: u32, target: u32) -> Vec<u8> {
        let packet = Packet {
            operation: Operation::Request,
            sender_station: STATION,
            sender: Ipv4Addr::from_bits(sender),
            target_station: STATION,
            target: Ipv4Addr::from_bits(target),
        };
        packet.frame(STATION).bytes().to_vec()
    }

    fn ndp_frame(target: u128) -> Vec<u8> {
        let target = Ipv6Addr::from_bits(target);
        let message =
            Message { source: target, destination: target, kind: Kind::Solicitation, target, station: None };
        message.frame(STATION, STATION).bytes().to_vec()
    }

    #[test]
    fn ranges_are_exact_until_there_are_too_many() {
        let keys = || vec![9, 1, 2, 3, 20, 21, 30, 40];
        for (at_most, expected) in [
            (9, &[(1, 3), (9, 9), (20, 21), (30, 30), (40, 40)][..]),
            (5, &[(1, 3), (9, 9), (20, 21), (30, 30), (40, 40)]),
            (4, &[(1, 9), (20, 21), (30, 30), (40, 40)]),
            (3, &[(1, 9), (20, 30), (40, 40)]),
            (2, &[(1, 9), (20, 40)]),
            (1, &[(1, 40)]),
        ] {
            assert_eq!(ranges(keys(), at_most), expected, "{at_most}");
        }
        assert_eq!(ranges(vec![], 4), []);
        assert_eq!(ranges(vec![u32::MAX, 0], 4), [(0, 0), (u32::MAX, u32::MAX)]);
        assert_eq!(ranges(vec![u32::MAX, 0], 1), [(0, u32::MAX)]);
    }

    #[test]
    fn the_longest_program_fits() {
        let keys: Vec<u32> = (0..10_000).map(|number| number * 3).collect();
        let ranges = ranges(keys.clone(), RANGES[0]);
        assert!(ranges.len() <= RANGES[0]);
        let program = arp(&ranges);
        assert!(program.len() <= 2 * INSTRUCTIONS_FOR_RANGE * RANGES[0] + 16);
        assert!(keys.iter().all(|&key| passes(&program, &arp_frame(1, key), 1)));
    }

    #[test]
    fn only_what_could_be_answered_passes() {
        let arp = arp(&ranges(vec![7], 9));
        let ndp = ndp(&ranges(vec![7], 9));
        let with = |mut frame: Vec<u8>, offset: usize, byte: u8| {
            frame[offset] = byte;
            frame
        };
        for (case, program, frame, kind, expected) in [
            ("target", &arp, arp_frame(1, 7), 1, true),
            ("sender", &arp, arp_frame(7, 1), 0, true),
            ("of somebody else", &arp, arp_frame(1, 2), 1, false),
            ("to somebody else", &arp, arp_frame(1, 7), 3, false),
            ("our own", &arp, arp_frame(1, 7), 4, false),
            ("no Ethernet", &arp, with(arp_frame(1, 7), 15, 6), 1, false),
            ("long addresses", &arp, with(arp_frame(1, 7), 18, 8), 1, false),
            ("short", &arp, arp_frame(1, 7)[..40].to_vec(), 1, false),
            ("target", &ndp, ndp_frame(7), 2, true),
            ("of a neighbour's pool", &ndp, ndp_frame(0x1_0000_0007), 2, true),
            ("of somebody else", &ndp, ndp_frame(8), 2, false),
            ("advertisement", &ndp, with(ndp_frame(7), 54, 136), 2, true),
            ("router", &ndp, with(ndp_frame(7), 54, 134), 2, false),
            ("from afar", &ndp, with(ndp_frame(7), 21, 254), 2, false),
            ("UDP", &ndp, with(ndp_frame(7), 20, 17), 2, false),
        ] {
            assert_eq!(passes(program, &frame, kind), expected, "{case}");
        }
        assert!(!passes(&super::arp(&[]), &arp_frame(0, 0), 1));
        assert!(!passes(&super::ndp(&[]), &ndp_frame(0), 1));
    }

    proptest! {
        #[test]
        fn what_is_announced_always_passes(
            keys in proptest::collection::vec(prop_oneof![any::<u32>(), 0..600_u32], 0..400),
            others in proptest::collection::vec(prop_oneof![any::<u32>(), 0..600_u32], 50),
            at_most in 1..300_usize,
        ) {
            let ranges = ranges(keys.clone(), at_most);
            prop_assert!(ranges.len() <= at_most);
            let (arp, ndp) = (arp(&ranges), ndp(&ranges));
            for key in keys {
                prop_assert!(passes(&arp, &arp_frame(!key, key), 1));
                prop_assert!(passes(&arp, &arp_frame(key, !key), 1));
                prop_assert!(passes(&ndp, &ndp_frame(key.into()), 1));
            }
            for other in others {
                let is_within = ranges.iter().any(|&(first, last)| first <= other && other <= last);
                prop_assert_eq!(passes(&arp, &arp_frame(other, other), 1), is_within);
                prop_assert_eq!(passes(&ndp, &ndp_frame(other.into()), 1), is_within);
            }
        }
    }
}
