//! How an answer is written, by the `Accept` header of the request.

/// What is answered with, and in which format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answer {
    pub shape: Shape,
    pub is_yaml: bool,
}

/// What of an object is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shape {
    #[default]
    Object,
    /// Rows of columns, in this version of tables.
    Table(&'static str),
    /// Metadata alone, of one object or of a list.
    Metadata { version: &'static str, of_list: bool },
}

impl Answer {
    /// The best that can be given of what is accepted; nothing if there is none.
    pub fn of(accept: &str) -> Option<Answer> {
        if accept.trim().is_empty() {
            return Some(Answer::default());
        }
        let mut clauses: Vec<Clause<'_>> = accept.split(',').map(Clause::read).collect();
        clauses.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        clauses.iter().find_map(Clause::answer)
    }
}

/// Whether any format of the server is accepted, whatever the shape. `application/*` is none.
pub fn accepts_any_format(accept: &str) -> bool {
    let media = accept.split(',').map(|clause| Clause::read(clause).media);
    accept.trim().is_empty() || media.into_iter().any(|media| FORMATS.contains(&media))
}

const FORMATS: [&str; 4] =
    ["*/*", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// One of several things that are accepted.
struct Clause<'a> {
    media: &'a str,
    weight: f32,
    shape: Option<&'a str>,
    group: Option<&'a str>,
    version: Option<&'a str>,
}

impl<'a> Clause<'a> {
    fn read(text: &'a str) -> Clause<'a> {
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let mut clause = Clause { media, weight: 1.0, shape: None, group: None, version: None };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name {
                "q" => clause.weight = value.parse().unwrap_or(1.0),
                "as" => clause.shape = Some(value),
                "g" => clause.group = Some(value),
                "v" => clause.version = Some(value),
                _ => {}
            }
        }
        clause
    }

    fn answer(&self) -> Option<Answer> {
        let is_yaml = match self.media {
            "application/json" | "*/*" | "application/*" => false,
            "application/yaml" => true,
            _ => return None,
        };
        let version = match self.version {
            None | Some("v1") => "meta.k8s.io/v1",
            Some("v1beta1") => "meta.k8s.io/v1beta1",
            Some(_) => "",
        };
        let is_offered = self.group == Some("meta.k8s.io") && !version.is_empty() && self.version.is_some();
        let shape = match self.shape {
            None => Shape::Object,
            Some("Table") if is_offered => Shape::Table(version),
            Some("PartialObjectMetadata") if is_offered => Shape::Metadata { version, of_list: false },
            Some("PartialObjectMetadataList") if is_offered => Shape::Metadata { version, of_list: true },
            Some(_) => return None,
        };
        Some(Answer { shape, is_yaml })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_that_is_accepted_is_given() {
        let plain = |shape| Some(Answer { shape, is_yaml: false });
        let tables = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        for (accept, expected) in [
            ("", plain(Shape::Object)),
            ("*/*", plain(Shape::Object)),
            ("application/vnd.kubernetes.protobuf,application/json", plain(Shape::Object)),
            ("application/vnd.kubernetes.protobuf, */*", plain(Shape::Object)),
            ("application/json;stream=watch", plain(Shape::Object)),
            ("application/yaml", Some(Answer { shape: Shape::Object, is_yaml: true })),
            ("application/yaml;q=0.5, application/json", plain(Shape::Object)),
            (tables, plain(Shape::Table("meta.k8s.io/v1"))),
            ("application/json;as=Table;v=v2;g=meta.k8s.io,application/json", plain(Shape::Object)),
            (
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                plain(Shape::Metadata { version: "meta.k8s.io/v1", of_list: true }),
            ),
            ("application/json;as=Table;v=v2;g=meta.k8s.io", None),
            ("application/json;as=Cake;v=v1;g=meta.k8s.io", None),
            ("application/vnd.kubernetes.protobuf", None),
            ("text/html", None),
            ("application/json;q=0", plain(Shape::Object)),
        ] {
            assert_eq!(Answer::of(accept), expected, "{accept}");
        }
    }
}
