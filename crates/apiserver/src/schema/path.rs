//! Where in an object the walk is, rendered only when there is something to say about the place.

/// A place in an object: a chain up to the root that lives on the stack of the walk.
#[derive(Debug, Clone, Copy)]
pub(super) enum Path<'a> {
    Root,
    /// A field that the schema declares.
    Property(&'a Path<'a>, &'a str),
    /// An entry of a map, or a field that is not there.
    Entry(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl Path<'_> {
    pub(super) fn is_root(&self) -> bool {
        matches!(self, Self::Root)
    }

    /// As the schema validator says it, in `spec.labels.a in body must be …`.
    pub(super) fn in_body(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Property(parent, name) if parent.is_root() => (*name).to_owned(),
            Self::Property(parent, name) | Self::Entry(parent, name) => {
                format!("{}.{name}", parent.in_body())
            }
            Self::Index(parent, index) => format!("{}[{index}]", parent.in_body()),
        }
    }

    /// As rules and list types say it: a map's entry in brackets, and the root has a name.
    pub(super) fn as_field(&self) -> String {
        match self {
            Self::Root => "<nil>".to_owned(),
            Self::Property(parent, name) if parent.is_root() => (*name).to_owned(),
            Self::Property(parent, name) => format!("{}.{name}", parent.as_field()),
            Self::Entry(parent, name) if parent.is_root() => format!("[{name}]"),
            Self::Entry(parent, name) => format!("{}[{name}]", parent.as_field()),
            Self::Index(parent, index) if parent.is_root() => format!("[{index}]"),
            Self::Index(parent, index) => format!("{}[{index}]", parent.as_field()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_spellings_differ_for_maps_and_for_the_root() {
        let root = Path::Root;
        let spec = Path::Property(&root, "spec");
        let labels = Path::Property(&spec, "labels");
        let label = Path::Entry(&labels, "a/b");
        let item = Path::Index(&label, 2);
        assert_eq!(item.in_body(), "spec.labels.a/b[2]");
        assert_eq!(item.as_field(), "spec.labels[a/b][2]");
        assert_eq!(Path::Entry(&root, "spec").in_body(), ".spec");
        assert_eq!(root.as_field(), "<nil>");
    }
}
