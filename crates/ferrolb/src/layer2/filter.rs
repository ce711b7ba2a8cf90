//! What the kernel is to hand over at all: programs for its packet filter that know the addresses.
//!
//! They are for speed alone; what they let through is judged again. So they may let through too much: addresses are
//! looked up in blocks of 32, and where there are too many blocks those with the smallest gaps between them become one.

use std::net::IpAddr;

/// One instruction of the classic packet filter: operation, where to go on if true and if false, and its operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) code: u16,
    pub(super) if_true: u8,
    pub(super) if_false: u8,
    pub(super) operand: u32,
}

/// How many parts are tried, from the most exact: not every kernel has room for long programs. The longest has eight
/// instructions for each part and field, and the kernel's bound is 4096.
pub(super) const PARTS: [usize; 4] = [250, 64, 16, 1];

/// Addresses in a block are told apart by this many bits.
const BLOCK_BITS: u32 = 5;
const BLOCK_MASK: u32 = (1 << BLOCK_BITS) - 1;

const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_VALUE: u16 = 0x00;
const AND: u16 = 0x54;
const SHIFT_RIGHT: u16 = 0x74;
const SHIFT_RIGHT_BY_INDEX: u16 = 0x7c;
const TO_INDEX: u16 = 0x07;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_NOT_LESS: u16 = 0x35;
const JUMP_IF_SET: u16 = 0x45;
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
pub(super) fn arp(parts: &[Part]) -> Vec<Instruction> {
    let mut program = Program::of_frames_to_us();
    program.demand(LOAD_WORD, ARP_KIND, 0x0001_0800);
    program.demand(LOAD_HALF, ARP_LENGTHS, 0x0604);
    program.accept_if_within(ARP_TARGET, parts);
    program.accept_if_within(ARP_SENDER, parts);
    program.finished()
}

/// Lets through solicitations and advertisements of these addresses.
pub(super) fn ndp(parts: &[Part]) -> Vec<Instruction> {
    let mut program = Program::of_frames_to_us();
    program.demand(LOAD_BYTE, IPV6_NEXT_HEADER, 58);
    program.demand(LOAD_BYTE, IPV6_HOP_LIMIT, 255);
    program.push(LOAD_BYTE, ICMPV6_TYPE);
    program.jump(JUMP_EQUAL, 135, 2, 0);
    program.jump(JUMP_EQUAL, 136, 1, 0);
    program.push(RETURN, 0);
    program.accept_if_within(NDP_TARGET_END, parts);
    program.finished()
}

/// Addresses that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Single ones of a block, each as a bit.
    Some { block: u32, bits: u32 },
    /// Whole blocks.
    All { first: u32, last: u32 },
}

impl Part {
    fn first(self) -> u32 {
        match self {
            Part::Some { block, .. } => block,
            Part::All { first, .. } => first,
        }
    }

    fn last(self) -> u32 {
        match self {
            Part::Some { block, .. } => block,
            Part::All { last, .. } => last,
        }
    }

    fn instructions(self) -> usize {
        match self {
            Part::Some { .. } => 6,
            Part::All { .. } => 4,
        }
    }
}

/// What is looked up of an address.
pub(super) fn key(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => address.to_bits() as u32,
    }
}

/// At most so many parts, in order, with all the keys in them, and no more between than necessary.
pub(super) fn parts(mut keys: Vec<u32>, at_most: usize) -> Vec<Part> {
    keys.sort_unstable();
    let mut parts: Vec<Part> = Vec::new();
    for key in keys {
        let (of_key, bit) = (key >> BLOCK_BITS, 1 << (key & BLOCK_MASK));
        match parts.last_mut() {
            Some(Part::Some { block, bits }) if *block == of_key => *bits |= bit,
            _ => parts.push(Part::Some { block: of_key, bits: bit }),
        }
    }
    let parts = joined(parts, |before, after| is_whole(before) && is_whole(after) && gap(before, after) == 1);
    if parts.len() <= at_most {
        return parts;
    }
    // All but the widest gaps are bridged, of which there is one less than parts. Of equal ones all are.
    let mut gaps: Vec<u32> = parts.windows(2).map(|pair| gap(pair[0], pair[1])).collect();
    gaps.sort_unstable();
    let bridged = gaps[parts.len() - at_most.max(1) - 1];
    joined(parts, |before, after| gap(before, after) <= bridged)
}

fn gap(before: Part, after: Part) -> u32 {
    after.first() - before.last()
}

fn is_whole(part: Part) -> bool {
    matches!(part, Part::All { .. } | Part::Some { bits: u32::MAX, .. })
}

/// Neighbours that may be joined are.
fn joined(parts: Vec<Part>, may_be: impl Fn(Part, Part) -> bool) -> Vec<Part> {
    let mut result: Vec<Part> = Vec::with_capacity(parts.len());
    for part in parts {
        match result.last_mut() {
            Some(last) if may_be(*last, part) => *last = Part::All { first: last.first(), last: part.last() },
            _ => result.push(part),
        }
    }
    result
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

    /// Goes on behind it if the word at the offset is in no part.
    fn accept_if_within(&mut self, offset: u32, parts: &[Part]) {
        if parts.is_empty() {
            return;
        }
        self.push(LOAD_WORD, offset);
        self.push(AND, BLOCK_MASK);
        self.push(TO_INDEX, 0);
        self.push(LOAD_WORD, offset);
        self.push(SHIFT_RIGHT, BLOCK_BITS);
        self.search(parts, 0);
    }

    /// A binary search for the block. So many instructions follow that belong to the same search.
    fn search(&mut self, parts: &[Part], following: u32) {
        if let &[part] = parts {
            return self.compare(part, following);
        }
        let (lower, upper) = parts.split_at(parts.len() / 2);
        let [lower_length, upper_length] = [lower, upper].map(search_length);
        self.jump(JUMP_NOT_LESS, upper[0].first(), 0, 1);
        self.push(JUMP, lower_length);
        self.search(lower, upper_length + following);
        self.search(upper, following);
    }

    fn compare(&mut self, part: Part, following: u32) {
        match part {
            Part::Some { block, bits } => {
                self.jump(JUMP_EQUAL, block, 0, 4);
                self.push(LOAD_VALUE, bits);
                self.push(SHIFT_RIGHT_BY_INDEX, 0);
                self.jump(JUMP_IF_SET, 1, 0, 1);
            }
            Part::All { first, last } => {
                self.jump(JUMP_NOT_LESS, first, 0, 2);
                self.jump(JUMP_GREATER, last, 1, 0);
            }
        }
        self.push(RETURN, WHOLE);
        self.push(JUMP, following);
    }

    fn finished(mut self) -> Vec<Instruction> {
        self.push(RETURN, 0);
        self.instructions
    }
}

/// Those of the parts, and two for each choice between two halves.
fn search_length(parts: &[Part]) -> u32 {
    let compared: usize = parts.iter().map(|part| part.instructions()).sum();
    (compared + 2 * (parts.len() - 1)) as u32
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
        let (mut accumulator, mut index) = (0_u32, 0_u32);
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
                LOAD_VALUE => accumulator = operand,
                AND => accumulator &= operand,
                SHIFT_RIGHT => accumulator >>= operand,
                SHIFT_RIGHT_BY_INDEX => accumulator >>= index,
                TO_INDEX => index = accumulator,
                JUMP_IF_SET => at += choice(accumulator & operand != 0),
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

    fn some(block: u32, bits: u32) -> Part {
        Part::Some { block, bits }
    }

    fn all(first: u32, last: u32) -> Part {
        Part::All { first, last }
    }

    #[test]
    fn parts_are_exact_until_there_are_too_many() {
        let keys =
            || [1, 3, 5 * 32, 9 * 32 + 31].into_iter().chain(32 * 10..32 * 13).rev().collect::<Vec<u32>>();
        let first = some(0, 0b1010);
        for (at_most, expected) in [
            (9, &[first, some(5, 1), some(9, 1 << 31), all(10, 12)][..]),
            (4, &[first, some(5, 1), some(9, 1 << 31), all(10, 12)]),
            (3, &[first, some(5, 1), all(9, 12)]),
            (2, &[first, all(5, 12)]),
            (1, &[all(0, 12)]),
        ] {
            assert_eq!(parts(keys(), at_most), expected, "{at_most}");
        }
        assert_eq!(parts(vec![], 4), []);
        assert_eq!(parts(vec![u32::MAX, 0], 4), [some(0, 1), some(u32::MAX >> 5, 1 << 31)]);
        assert_eq!(parts(vec![u32::MAX, 0], 1), [all(0, u32::MAX >> 5)]);
    }

    #[test]
    fn the_longest_program_fits() {
        let keys: Vec<u32> = (0..10_000).map(|number| number * 37).collect();
        let parts = parts(keys.clone(), PARTS[0]);
        assert!(parts.len() <= PARTS[0]);
        let program = arp(&parts);
        assert!(keys.iter().all(|&key| passes(&program, &arp_frame(1, key), 1)));
        let scattered: Vec<Part> = (0..PARTS[0] as u32).map(|number| some(number * 2, 2)).collect();
        assert!(arp(&scattered).len() <= 4096);
    }

    #[test]
    fn only_what_could_be_answered_passes() {
        let arp = arp(&parts(vec![7], 9));
        let ndp = ndp(&parts(vec![7], 9));
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
            at_most in 1..=PARTS[0],
        ) {
            let parts = parts(keys.clone(), at_most);
            prop_assert!(parts.len() <= at_most);
            let (arp, ndp) = (arp(&parts), ndp(&parts));
            let is_within = |key: u32| {
                let block = key >> BLOCK_BITS;
                parts.iter().any(|&part| match part {
                    Part::Some { block: it, bits } => it == block && bits >> (key & BLOCK_MASK) & 1 == 1,
                    Part::All { first, last } => (first..=last).contains(&block),
                })
            };
            for key in keys {
                prop_assert!(passes(&arp, &arp_frame(!key, key), 1));
                prop_assert!(passes(&arp, &arp_frame(key, !key), 1));
                prop_assert!(passes(&ndp, &ndp_frame(key.into()), 1));
            }
            for other in others {
                prop_assert_eq!(passes(&arp, &arp_frame(other, other), 1), is_within(other));
                prop_assert_eq!(passes(&ndp, &ndp_frame(other.into()), 1), is_within(other));
            }
        }
    }
}
