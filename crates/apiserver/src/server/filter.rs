//! What selectors say of an object, of which only the fields that they name are read.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::catalog::Served;
use super::request::Asked;
use crate::kinds;
use crate::schema::text::quote;
use crate::selector::{FieldSelector, LabelSelector};
use crate::status::Refusal;

/// Which objects a list or watch is about.
#[derive(Debug)]
pub(super) struct Filter {
    labels: LabelSelector,
    fields: FieldSelector,
    /// A field that counts as `false` if it is absent.
    absent: Option<&'static str>,
    /// What can be selected by is not a matter of single fields.
    reads_whole: bool,
}

/// What is found at a path.
#[derive(Debug, PartialEq)]
enum Picked<'a> {
    Nothing,
    Text(Cow<'a, str>),
    Texts(Vec<(Cow<'a, str>, Cow<'a, str>)>),
}

impl Filter {
    pub(super) fn of(asked: &Asked) -> Result<Filter, Refusal> {
        let resource = &asked.served.resource;
        Ok(Filter {
            labels: asked.label_selector()?,
            fields: asked.field_selector()?,
            absent: match (resource.group.as_str(), resource.plural.as_str()) {
                ("", "nodes") => Some("spec.unschedulable"),
                ("", "pods") => Some("spec.hostNetwork"),
                _ => None,
            },
            reads_whole: asked.served.is_event(),
        })
    }

    /// The value that a field must have to be selected.
    pub(super) fn required(&self, field: &str) -> Option<&str> {
        self.fields.required(field)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.labels.requirements.is_empty() && self.fields.requirements.is_empty()
    }

    pub(super) fn admits(&self, object: &Value) -> bool {
        self.judges(
            |path| Path(path).deserialize(object).unwrap_or(Picked::Nothing),
            |field| kinds::selected(object, field),
        )
    }

    /// The same of an object as it is stored.
    pub(super) fn admits_raw(&self, object: &[u8]) -> bool {
        if self.reads_whole {
            return serde_json::from_slice(object).is_ok_and(|object| self.admits(&object));
        }
        self.judges(
            |path| {
                let mut deserializer = serde_json::Deserializer::from_slice(object);
                Path(path).deserialize(&mut deserializer).unwrap_or(Picked::Nothing)
            },
            |field| self.absent.filter(|name| *name == field).map(|_| "false"),
        )
    }

    fn judges<'a>(
        &self,
        pick: impl Fn(&[&str]) -> Picked<'a>,
        otherwise: impl Fn(&str) -> Option<&'a str>,
    ) -> bool {
        let fit = self.fields.matches(|field| {
            let path: Vec<&str> = field.split('.').collect();
            match pick(&path) {
                Picked::Text(text) => Some(text),
                _ => otherwise(field).map(Cow::Borrowed),
            }
        });
        if !fit || self.labels.requirements.is_empty() {
            return fit;
        }
        let labels = match pick(&["metadata", "labels"]) {
            Picked::Texts(labels) => labels,
            _ => Vec::new(),
        };
        self.labels
            .matches_by(|key| labels.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_ref()))
    }
}

/// The fields that a field selector may name.
pub(super) fn selectable_fields(served: &Served) -> Vec<&str> {
    let mut fields = vec!["metadata.name"];
    if served.custom.is_none() || served.resource.is_namespaced {
        fields.push("metadata.namespace");
    }
    fields.extend(served.selectable.iter().map(String::as_str));
    match (served.resource.group.as_str(), served.resource.plural.as_str()) {
        ("", "services") => fields.extend(["spec.clusterIP", "spec.type"]),
        ("", "secrets") => fields.push("type"),
        ("", "nodes") => fields.push("spec.unschedulable"),
        ("", "namespaces") => fields.push("status.phase"),
        ("", "pods") => fields.extend([
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ]),
        ("events.k8s.io", "events") => fields.extend([
            "reason",
            "regarding.apiVersion",
            "regarding.fieldPath",
            "regarding.kind",
            "regarding.name",
            "regarding.namespace",
            "regarding.resourceVersion",
            "regarding.uid",
            "reportingController",
            "type",
        ]),
        (_, "events") => fields.extend([
            "involvedObject.apiVersion",
            "involvedObject.fieldPath",
            "involvedObject.kind",
            "involvedObject.name",
            "involvedObject.namespace",
            "involvedObject.resourceVersion",
            "involvedObject.uid",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ]),
        _ => {}
    }
    fields
}

/// What to tell a client that selects by a field that cannot be selected by. Most built-in kinds have nothing but names,
/// and say so.
pub(super) fn unsupported(served: &Served, field: &str) -> Refusal {
    let plural = served.resource.plural.as_str();
    let has_own = served.custom.is_some()
        || plural == "events"
        || served.resource.group.is_empty()
            && matches!(
                plural,
                "services" | "secrets" | "nodes" | "namespaces" | "pods" | "replicationcontrollers"
            );
    Refusal::bad_request(if has_own {
        format!("field label not supported: {field}")
    } else {
        format!(
            "{} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
            quote(field)
        )
    })
}

/// The way to a value inside an object; everything beside it is skipped.
#[derive(Clone, Copy)]
struct Path<'p>(&'p [&'p str]);

/// A text, borrowed where it can be; nothing if the value is none.
struct Text;

impl<'de> DeserializeSeed<'de> for Path<'_> {
    type Value = Picked<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Picked<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Path<'_> {
    fn scalar<'de>(self, text: impl Into<Cow<'de, str>>) -> Picked<'de> {
        if self.0.is_empty() { Picked::Text(text.into()) } else { Picked::Nothing }
    }
}

impl<'de> Visitor<'de> for Path<'_> {
    type Value = Picked<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Picked<'de>, E> {
        Ok(self.scalar(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Picked<'de>, E> {
        Ok(self.scalar(text.to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Picked<'de>, E> {
        Ok(self.scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Picked<'de>, E> {
        Ok(self.scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Picked<'de>, E> {
        Ok(self.scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Picked<'de>, E> {
        Ok(self.scalar(Value::from(value).to_string()))
    }

    fn visit_unit<E>(self) -> Result<Picked<'de>, E> {
        Ok(Picked::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Picked<'de>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Picked::Nothing)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Picked<'de>, A::Error> {
        let Some((first, rest)) = self.0.split_first() else {
            let mut texts = Vec::new();
            while let Some(name) = fields.next_key_seed(Text)? {
                let value = fields.next_value_seed(Text)?;
                texts.extend(name.zip(value));
            }
            return Ok(Picked::Texts(texts));
        };
        let mut picked = Picked::Nothing;
        while let Some(name) = fields.next_key_seed(Text)? {
            if name.is_some_and(|name| name == *first) {
                picked = fields.next_value_seed(Path(rest))?;
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(picked)
    }
}

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Option<Cow<'de, str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        Ok(match Path(&[]).deserialize(deserializer)? {
            Picked::Text(text) => Some(text),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filter(labels: &str, fields: &str) -> Filter {
        Filter {
            labels: LabelSelector::parse(labels).unwrap(),
            fields: FieldSelector::parse(fields).unwrap(),
            absent: Some("spec.unschedulable"),
            reads_whole: false,
        }
    }

    #[test]
    fn an_object_is_selected_alike_whether_it_was_read_or_not() {
        let object = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "a\"", "labels": {"x": "y", "odd": null}, "list": [{"x": 1}]},
            "spec": {"type": "LoadBalancer", "on": true, "count": -3, "share": 0.5},
            "source": {"component": "kubelet"},
        });
        for (labels, fields, is_selected) in [
            ("", "", true),
            ("x=y", "", true),
            ("x!=y", "", false),
            ("odd", "", false),
            ("!z", "spec.type=LoadBalancer", true),
            ("", "spec.type=ClusterIP", false),
            ("", "metadata.name=a\"", true),
            ("", "spec.on=true,spec.count=-3,spec.share=0.5", true),
            ("", "spec.unschedulable=false", true),
            ("", "spec.type.deeper=", true),
            ("", "spec=", true),
            ("", "source=", true),
        ] {
            let filter = filter(labels, fields);
            assert_eq!(filter.admits(&object), is_selected, "{labels} {fields}");
            assert_eq!(filter.admits_raw(object.to_string().as_bytes()), is_selected, "{labels} {fields}");
        }
    }
}
