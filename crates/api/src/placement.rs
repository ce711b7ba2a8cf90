//! What Services and L2Advertisements ask for by annotations about the nodes that answer for their addresses.

use std::collections::BTreeMap;
use std::time::Duration;

use plan::placement::{Keep, Wishes};

use crate::duration::GoDuration;

/// On a Service or an L2Advertisement: whoever answers goes on to when a better node comes back.
pub const STICKY: &str = "ferrolb.io/sticky";
/// On either: for how long.
pub const FAILBACK_DELAY: &str = "ferrolb.io/failback-delay";
/// On a Service: the node that is to answer, if it can.
pub const MOVE_TO: &str = "ferrolb.io/move-to";

/// On either: no node has many more addresses than others.
pub const SPREAD: &str = "ferrolb.io/spread";

/// All of them.
pub const ANNOTATIONS: [&str; 4] = [STICKY, FAILBACK_DELAY, MOVE_TO, SPREAD];

/// Why an annotation means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    #[error("annotation {STICKY} is {0:?}, which is neither \"true\" nor \"false\"")]
    Sticky(String),
    #[error("annotation {FAILBACK_DELAY} is {0:?}, which is no duration above zero like \"30s\"")]
    FailbackDelay(String),
    #[error("annotations {STICKY} and {FAILBACK_DELAY} contradict each other: \"false\" is no delay at all")]
    Contradiction,
    #[error("annotation {SPREAD} is {0:?}, which is neither \"balanced\" nor \"hash\"")]
    Spread(String),
    #[error("annotation {MOVE_TO} is {0:?}, which is no name of a node")]
    MoveTo(String),
    #[error("annotation {MOVE_TO} is for Services: an L2Advertisement chooses nodes by its selectors")]
    MoveOfAdvertisement,
}

/// What is asked for. An annotation that means nothing asks for nothing, and is told.
pub fn of_service(annotations: &BTreeMap<String, String>) -> (Wishes, Vec<PlacementError>) {
    let (keep, mut errors) = keep(annotations);
    let balanced = balanced(annotations, &mut errors);
    let move_to = annotations.get(MOVE_TO).filter(|node| match is_name(node) {
        true => true,
        false => {
            errors.push(PlacementError::MoveTo((*node).clone()));
            false
        }
    });
    (Wishes { keep, move_to: move_to.map(|node| node.as_str().into()), balanced }, errors)
}

pub fn of_advertisement(annotations: &BTreeMap<String, String>) -> (Wishes, Vec<PlacementError>) {
    let (keep, mut errors) = keep(annotations);
    let balanced = balanced(annotations, &mut errors);
    if annotations.contains_key(MOVE_TO) {
        errors.push(PlacementError::MoveOfAdvertisement);
    }
    (Wishes { keep, move_to: None, balanced }, errors)
}

fn balanced(annotations: &BTreeMap<String, String>, errors: &mut Vec<PlacementError>) -> Option<bool> {
    match annotations.get(SPREAD)?.as_str() {
        "balanced" => Some(true),
        "hash" => Some(false),
        other => {
            errors.push(PlacementError::Spread(other.to_owned()));
            None
        }
    }
}

fn keep(annotations: &BTreeMap<String, String>) -> (Option<Keep>, Vec<PlacementError>) {
    let mut errors = Vec::new();
    let sticky = annotations.get(STICKY).and_then(|text| match text.as_str() {
        "true" => Some(true),
        "false" => Some(false),
        other => {
            errors.push(PlacementError::Sticky(other.to_owned()));
            None
        }
    });
    let delay = annotations.get(FAILBACK_DELAY).and_then(|text| {
        let delay = positive(text);
        if delay.is_none() {
            errors.push(PlacementError::FailbackDelay(text.clone()));
        }
        delay
    });
    let keep = match (sticky, delay) {
        (Some(false), Some(_)) => {
            errors.push(PlacementError::Contradiction);
            None
        }
        (_, Some(delay)) => Some(Keep::For(delay)),
        (Some(true), None) => Some(Keep::Forever),
        (Some(false), None) => Some(Keep::No),
        (None, None) => None,
    };
    (keep, errors)
}

fn positive(text: &str) -> Option<Duration> {
    let delay: GoDuration = text.parse().ok()?;
    u64::try_from(delay.as_nanos()).ok().filter(|&nanos| nanos > 0).map(Duration::from_nanos)
}

/// As Kubernetes names nodes (RFC 1123).
fn is_name(text: &str) -> bool {
    let may_stand = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-' || it == '.';
    let is_inner = |it: char| it == '-' || it == '.';
    (1..=253).contains(&text.len())
        && text.chars().all(may_stand)
        && !text.starts_with(is_inner)
        && !text.ends_with(is_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_mean_something_or_there_is_a_reason() {
        let thirty = Some(Keep::For(Duration::from_secs(30)));
        for (annotations, keep, move_to, refused) in [
            (vec![], None, None, ""),
            (vec![(STICKY, "true")], Some(Keep::Forever), None, ""),
            (vec![(STICKY, "false")], Some(Keep::No), None, ""),
            (vec![(FAILBACK_DELAY, "30s")], thirty, None, ""),
            (vec![(STICKY, "true"), (FAILBACK_DELAY, "30s")], thirty, None, ""),
            (vec![(MOVE_TO, "node-1")], None, Some("node-1"), ""),
            (
                vec![(STICKY, "yes")],
                None,
                None,
                r#"annotation ferrolb.io/sticky is "yes", which is neither "true" nor "false""#,
            ),
            (
                vec![(FAILBACK_DELAY, "0s")],
                None,
                None,
                r#"annotation ferrolb.io/failback-delay is "0s", which is no duration above zero like "30s""#,
            ),
            (
                vec![(FAILBACK_DELAY, "soon"), (STICKY, "true")],
                Some(Keep::Forever),
                None,
                r#"annotation ferrolb.io/failback-delay is "soon", which is no duration above zero like "30s""#,
            ),
            (
                vec![(STICKY, "false"), (FAILBACK_DELAY, "30s")],
                None,
                None,
                r#"annotations ferrolb.io/sticky and ferrolb.io/failback-delay contradict each other: "false" is no delay at all"#,
            ),
            (
                vec![(MOVE_TO, "Node 1")],
                None,
                None,
                r#"annotation ferrolb.io/move-to is "Node 1", which is no name of a node"#,
            ),
        ] {
            let annotations: BTreeMap<String, String> =
                annotations.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            let (wishes, errors) = of_service(&annotations);
            let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
            assert_eq!((wishes.keep, wishes.move_to.as_deref()), (keep, move_to), "{annotations:?}");
            assert_eq!(said.join("; "), refused, "{annotations:?}");
        }
        for (text, balanced) in [("balanced", Some(true)), ("hash", Some(false)), ("even", None)] {
            let annotations = BTreeMap::from([(SPREAD.to_owned(), text.to_owned())]);
            for (wishes, errors) in [of_service(&annotations), of_advertisement(&annotations)] {
                assert_eq!((wishes.balanced, errors.is_empty()), (balanced, balanced.is_some()), "{text}");
            }
        }
        let moved = BTreeMap::from([(MOVE_TO.to_owned(), "node-1".to_owned())]);
        assert_eq!(of_advertisement(&moved), (Wishes::default(), vec![PlacementError::MoveOfAdvertisement]));
    }
}
