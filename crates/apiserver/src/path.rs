//! The path of a request to what it asks for.

use std::borrow::Cow;

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target<'a> {
    /// `/api`: the versions of the core group.
    CoreVersions,
    /// `/apis`: all other groups.
    Groups,
    /// `/apis/GROUP`.
    Group(Cow<'a, str>),
    /// `/api/v1` or `/apis/GROUP/VERSION`: the resources there are.
    Resources(GroupVersion<'a>),
    Resource(ResourcePath<'a>),
    /// Anything else, for example `/healthz`.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupVersion<'a> {
    /// Empty for the core group.
    pub group: Cow<'a, str>,
    pub version: Cow<'a, str>,
}

/// A collection, an object, or a part of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourcePath<'a> {
    pub group_version: GroupVersion<'a>,
    pub namespace: Option<Cow<'a, str>>,
    /// The plural.
    pub resource: Cow<'a, str>,
    pub name: Option<Cow<'a, str>>,
    pub subresource: Option<Cow<'a, str>>,
    /// The path itself says that it is watched, as old clients do: `/api/v1/watch/nodes`.
    pub is_watch: bool,
}

/// Reads a path.
pub fn parse(path: &str) -> Target<'_> {
    let mut segments = segments(path).into_iter();
    let first = segments.next().unwrap_or_default();
    match &*first {
        "api" => match segments.next() {
            None => Target::CoreVersions,
            Some(version) => within(GroupVersion { group: Cow::Borrowed(""), version }, segments),
        },
        "apis" => match (segments.next(), segments.next()) {
            (None, _) => Target::Groups,
            (Some(group), None) => Target::Group(group),
            (Some(group), Some(version)) => within(GroupVersion { group, version }, segments),
        },
        _ => Target::Other,
    }
}

fn within<'a>(group_version: GroupVersion<'a>, segments: impl Iterator<Item = Cow<'a, str>>) -> Target<'a> {
    let segments: Vec<Cow<'a, str>> = segments.collect();
    let (is_watch, segments) = match &segments[..] {
        [watch, rest @ ..] if watch == "watch" && !rest.is_empty() => (true, rest),
        all => (false, all),
    };
    // `namespaces/NAME/status` and `/finalize` are parts of a Namespace, not resources inside it.
    let is_part_of_namespace = |resource: &str| matches!(resource, "status" | "finalize");
    let (namespace, rest) = match segments {
        [] => return Target::Resources(group_version),
        [namespaces, namespace, rest @ ..]
            if namespaces == "namespaces" && rest.first().is_some_and(|it| !is_part_of_namespace(it)) =>
        {
            (Some(namespace.clone()), rest)
        }
        all => (None, all),
    };
    let (resource, name, subresource) = match rest {
        [resource] => (resource, None, None),
        [resource, name] => (resource, Some(name.clone()), None),
        [resource, name, subresource] => (resource, Some(name.clone()), Some(subresource.clone())),
        _ => return Target::Other,
    };
    Target::Resource(ResourcePath {
        group_version,
        namespace,
        resource: resource.clone(),
        name,
        subresource,
        is_watch,
    })
}

/// What is between the slashes of a path, of those too that were escaped.
pub(crate) fn segments(path: &str) -> Vec<Cow<'_, str>> {
    match decoded(path) {
        Cow::Borrowed(path) => path.trim_matches('/').split('/').map(Cow::Borrowed).collect(),
        Cow::Owned(path) => {
            path.trim_matches('/').split('/').map(|part| Cow::Owned(part.to_owned())).collect()
        }
    }
}

/// A text with its `%41` escapes resolved. What is no text after that becomes U+FFFD.
pub(crate) fn decoded(segment: &str) -> Cow<'_, str> {
    if !segment.contains('%') {
        return Cow::Borrowed(segment);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        match (byte, after) {
            (b'%', [high, low, after @ ..]) if digit(*high).is_some() && digit(*low).is_some() => {
                bytes.push(digit(*high).unwrap_or(0) << 4 | digit(*low).unwrap_or(0));
                rest = after;
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_path_says_itself_that_it_is_watched() {
        for (path, is_watch) in
            [("/api/v1/watch/namespaces/a/services/b", true), ("/api/v1/namespaces/a/services/b", false)]
        {
            let Target::Resource(found) = parse(path) else { panic!("{path}") };
            let names = (found.namespace.as_deref(), &*found.resource, found.name.as_deref());
            assert_eq!((found.is_watch, names), (is_watch, (Some("a"), "services", Some("b"))), "{path}");
        }
        assert!(matches!(parse("/api/v1/watch"), Target::Resource(it) if !it.is_watch));
    }

    #[test]
    fn a_path_names_a_collection_an_object_or_a_part_of_one() {
        type Parts<'a> = (&'a str, &'a str, Option<&'a str>, &'a str, Option<&'a str>, Option<&'a str>);
        let cases: [(&str, Parts<'_>); 9] = [
            ("/api/v1/nodes", ("", "v1", None, "nodes", None, None)),
            ("/api/v1/nodes/a", ("", "v1", None, "nodes", Some("a"), None)),
            ("/api/v1/namespaces", ("", "v1", None, "namespaces", None, None)),
            ("/api/v1/namespaces/a", ("", "v1", None, "namespaces", Some("a"), None)),
            ("/api/v1/namespaces/a/finalize", ("", "v1", None, "namespaces", Some("a"), Some("finalize"))),
            ("/api/v1/namespaces/a/services/", ("", "v1", Some("a"), "services", None, None)),
            (
                "/api/v1/namespaces/a/services/b/status",
                ("", "v1", Some("a"), "services", Some("b"), Some("status")),
            ),
            (
                "/apis/metallb.io/v1beta2/namespaces/a/bgppeers/b",
                ("metallb.io", "v1beta2", Some("a"), "bgppeers", Some("b"), None),
            ),
            ("/apis/g/v/r/a%3Ab%2fc", ("g", "v", None, "r", Some("a:b"), Some("c"))),
        ];
        for (path, expected) in cases {
            let Target::Resource(found) = parse(path) else { panic!("{path} names no resource") };
            let parts = (
                &*found.group_version.group,
                &*found.group_version.version,
                found.namespace.as_deref(),
                &*found.resource,
                found.name.as_deref(),
                found.subresource.as_deref(),
            );
            assert_eq!(parts, expected, "{path}");
        }
    }

    #[test]
    fn a_path_above_resources_is_discovery() {
        let version = |group, version| {
            Target::Resources(GroupVersion { group: Cow::Borrowed(group), version: Cow::Borrowed(version) })
        };
        for (path, expected) in [
            ("/api", Target::CoreVersions),
            ("/api/", Target::CoreVersions),
            ("/api/v1", version("", "v1")),
            ("/apis", Target::Groups),
            ("/apis/apps", Target::Group("apps".into())),
            ("/apis/apps/v1/", version("apps", "v1")),
            ("/healthz", Target::Other),
            ("/", Target::Other),
            ("/api/v1/namespaces/a/services/b/status/c", Target::Other),
        ] {
            assert_eq!(parse(path), expected, "{path}");
        }
    }

    #[test]
    fn what_is_badly_escaped_stays_as_it_is() {
        for (segment, expected) in
            [("%", "%"), ("%4", "%4"), ("%zz", "%zz"), ("%ff", "\u{fffd}"), ("a%20b", "a b")]
        {
            assert_eq!(decoded(segment), expected);
        }
    }
}
