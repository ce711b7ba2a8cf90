//! BFD profiles.

use std::collections::BTreeMap;

use plan::config::BfdProfile;

use super::{BfdProfileError, Findings, Rule, Subject};
use crate::metallb::BFDProfile;

pub(super) fn parse(profiles: &[BFDProfile], findings: &mut Findings) -> BTreeMap<String, BfdProfile> {
    let mut parsed = BTreeMap::new();
    for (index, profile) in profiles.iter().enumerate() {
        let subject = Subject::of("BFDProfile", &profile.metadata);
        let errors = errors(profile, &subject.name);
        if errors.is_empty() {
            if parsed.insert(subject.name.clone(), meaning(profile, &subject.name)).is_some() {
                findings.refuse(&subject, "metadata.name", Rule::DuplicateBfdProfile(subject.name.clone()));
            }
            continue;
        }
        for (field, error) in errors {
            findings.refuse(&subject, field, Rule::BfdProfile { number: index + 1, error });
        }
    }
    parsed
}

fn errors(profile: &BFDProfile, name: &str) -> Vec<(&'static str, BfdProfileError)> {
    let mut errors = Vec::new();
    if name.is_empty() {
        errors.push(("metadata.name", BfdProfileError::MissingName));
    }
    let spec = &profile.spec;
    for (field, what, value, minimum, maximum) in [
        ("spec.detectMultiplier", "detect multiplier", spec.detect_multiplier, 2, 255),
        ("spec.receiveInterval", "receive interval", spec.receive_interval, 10, 60_000),
        ("spec.transmitInterval", "transmit interval", spec.transmit_interval, 10, 60_000),
        ("spec.minimumTtl", "minimum ttl", spec.minimum_ttl, 1, 254),
        ("spec.echoInterval", "echo interval", spec.echo_interval, 10, 60_000),
    ] {
        let value = value.map(i64::from);
        if let Some(value) = value.filter(|value| !(minimum..=maximum).contains(value)) {
            errors.push((field, BfdProfileError::OutOfRange { what, value, minimum, maximum }));
        }
    }
    errors
}

/// To be called when the values are known to be in range.
fn meaning(profile: &BFDProfile, name: &str) -> BfdProfile {
    let spec = &profile.spec;
    let narrow = |value: Option<u32>| value.and_then(|value| u8::try_from(value).ok());
    BfdProfile {
        name: name.to_owned(),
        receive_interval_ms: spec.receive_interval,
        transmit_interval_ms: spec.transmit_interval,
        detect_multiplier: narrow(spec.detect_multiplier),
        echo_interval_ms: spec.echo_interval,
        echo_mode: spec.echo_mode.unwrap_or(false),
        passive_mode: spec.passive_mode.unwrap_or(false),
        minimum_ttl: narrow(spec.minimum_ttl),
    }
}
