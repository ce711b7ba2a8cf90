use super::*;

/// `node` or `node:score`; an asterisk for each one that it precedes others by.
fn candidates<'a>(texts: &[&'a str]) -> Vec<Candidate<'a>> {
    let candidate = |text: &&'a str| {
        let node = text.trim_start_matches('*');
        let precedence = text.len() - node.len();
        match node.split_once(':') {
            Some((node, score)) => Candidate { node, precedence, score: score.parse().unwrap() },
            None => Candidate { node, precedence, score: 0 },
        }
    };
    texts.iter().map(candidate).collect()
}

const ABC: &[&str] = &["node-a", "node-b", "node-c"];
const PREFERENCES: &[&str] = &["edge-a:100", "edge-b", "worker-a", "worker-b"];
const TWO_PREFERRED: &[&str] = &["edge-a:100", "edge-b:100", "worker-a"];

#[test]
fn succession_follows_score_then_hash() {
    for (address, input, expected) in [
        ("10.0.0.1", ABC, vec!["node-b", "node-a", "node-c"]),
        ("10.0.0.2", ABC, vec!["node-b", "node-c", "node-a"]),
        ("10.20.30.1", PREFERENCES, vec!["edge-a", "edge-b", "worker-a", "worker-b"]),
        ("10.20.30.1", &["node-a:100", "node-b:100"], vec!["node-b", "node-a"]),
        ("10.20.30.1", &["node-a:100", "node-b:50"], vec!["node-a", "node-b"]),
        ("10.20.30.1", TWO_PREFERRED, vec!["edge-b", "edge-a", "worker-a"]),
        ("10.20.30.1", &["iris1", "iris2"], vec!["iris2", "iris1"]),
        ("10.20.30.2", &["iris1", "iris2"], vec!["iris1", "iris2"]),
        ("::ffff:10.20.30.2", &["iris1", "iris2"], vec!["iris1", "iris2"]),
        ("10.20.30.2", &[], vec![]),
        ("10.0.0.1", &["node-a", "node-b", "*node-c"], vec!["node-c", "node-b", "node-a"]),
        ("10.0.0.1", &["**node-a", "node-b", "*node-c"], vec!["node-a", "node-c", "node-b"]),
        ("10.20.30.1", &["edge-a:100", "edge-b", "*worker-a"], vec!["worker-a", "edge-a", "edge-b"]),
    ] {
        let address: IpAddr = address.parse().unwrap();
        let mut candidates = candidates(input);
        for _ in 0..=candidates.len() {
            let order = succession(address, &candidates);
            let names: Vec<&str> = order.iter().map(|&at| candidates[at].node).collect();
            assert_eq!(names, expected, "{address} {input:?}");
            for few in 0..=candidates.len() + 1 {
                let first = order[..few.min(order.len())].to_vec();
                let alone = standing(address, &candidates, few, None);
                assert_eq!(alone, Standing { first: first.clone(), before: 0 }, "{address} {input:?}");
                for (before, &at) in order.iter().enumerate() {
                    let standing = standing(address, &candidates, few, Some(at));
                    assert_eq!(standing, Standing { first: first.clone(), before }, "{address} {input:?}");
                }
            }
            if !candidates.is_empty() {
                candidates.rotate_left(1);
            }
        }
    }
}

/// The eight words of a hash, worked out by the library from the whole text.
fn hash(text: &str) -> Lot {
    let words: Vec<u32> =
        Sha256::digest(text).chunks(4).map(|word| u32::from_be_bytes(word.try_into().unwrap())).collect();
    words.try_into().unwrap()
}

#[test]
fn a_lot_is_the_hash_of_node_and_canonical_address() {
    for (address, text) in [
        ("192.0.2.1", "node-a#192.0.2.1"),
        ("2001:0db8:0000:0000:0000:0000:0000:0001", "node-a#2001:db8::1"),
        ("2001:db8:0:1:0:0:0:1", "node-a#2001:db8:0:1::1"),
        ("2001:db8:0:0:1:0:0:1", "node-a#2001:db8::1:0:0:1"),
        ("::1.2.3.4", "node-a#::102:304"),
    ] {
        assert_eq!(Lots::of(address.parse().unwrap()).draw("node-a"), hash(text), "{address}");
    }
}

#[test]
fn names_of_every_length_are_hashed_alike() {
    let lots = Lots::of("192.0.2.1".parse().unwrap());
    for length in 0..=253 {
        let node = "n".repeat(length);
        assert_eq!(lots.draw(&node), hash(&format!("{node}#192.0.2.1")), "{length}");
    }
}

#[test]
fn of_two_that_disagree_the_lot_tells_one_to_keep_the_address() {
    for (address, order) in
        [("10.0.0.1", ["node-b", "node-a", "node-c"]), ("10.0.0.2", ["node-b", "node-c", "node-a"])]
    {
        let address: IpAddr = address.parse().unwrap();
        for (at, node) in order.iter().enumerate() {
            for (other_at, other) in order.iter().enumerate().filter(|(other_at, _)| *other_at != at) {
                assert_eq!(keeps(address, node, other), at < other_at, "{address} {node} {other}");
            }
        }
    }
}
