//! The schemas that all groups share: metadata, statuses and what is sent along with a request.

use serde_json::{Value, json};

const PACKAGE: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// Every shared schema, by name.
pub(super) fn schemas() -> Vec<(String, Value)> {
    let schemas = [
        ("DeleteOptions", delete_options()),
        ("FieldsV1", fields()),
        ("ListMeta", list_meta()),
        ("ManagedFieldsEntry", managed_fields_entry()),
        ("ObjectMeta", object_meta()),
        ("OwnerReference", owner_reference()),
        ("Patch", patch()),
        ("Preconditions", preconditions()),
        ("Status", status()),
        ("StatusCause", status_cause()),
        ("StatusDetails", status_details()),
    ];
    schemas.into_iter().map(|(kind, schema)| (name(kind), schema)).collect()
}

pub(super) fn reference(kind: &str) -> Value {
    super::reference(&name(kind))
}

fn name(kind: &str) -> String {
    format!("{PACKAGE}.{kind}")
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn time(description: &str) -> Value {
    json!({"type": "string", "format": "date-time", "description": description})
}

fn number(description: &str) -> Value {
    json!({"type": "integer", "format": "int64", "description": description})
}

fn flag(description: &str) -> Value {
    json!({"type": "boolean", "description": description})
}

fn texts(description: &str) -> Value {
    json!({"type": "array", "items": {"type": "string"}, "description": description})
}

fn text_map(description: &str) -> Value {
    json!({"type": "object", "additionalProperties": {"type": "string"}, "description": description})
}

fn one(kind: &str, description: &str) -> Value {
    json!({"allOf": [reference(kind)], "description": description})
}

fn many(kind: &str, description: &str) -> Value {
    json!({"type": "array", "items": reference(kind), "description": description})
}

fn object_meta() -> Value {
    let mut finalizers = texts(
        "What has to be cleaned up before the object may go. It is removed when the list is empty and deletion was asked for.",
    );
    finalizers["x-kubernetes-list-type"] = "set".into();
    finalizers["x-kubernetes-patch-strategy"] = "merge".into();
    let mut owners = many(
        "OwnerReference",
        "The objects that this one depends on. It may be removed once none of them is left.",
    );
    owners["x-kubernetes-list-type"] = "map".into();
    owners["x-kubernetes-list-map-keys"] = json!(["uid"]);
    owners["x-kubernetes-patch-merge-key"] = "uid".into();
    owners["x-kubernetes-patch-strategy"] = "merge".into();
    json!({
        "type": "object",
        "description": "What every stored object carries besides its own fields.",
        "properties": {
            "annotations": text_map("Notes that programs leave on the object. Nothing can be selected by them."),
            "creationTimestamp": time("When the object was created. The server sets it."),
            "deletionGracePeriodSeconds": number("How long the object is given to end by itself after deletion was asked for."),
            "deletionTimestamp": time("When deletion was asked for. The object goes when its finalizers are done."),
            "finalizers": finalizers,
            "generateName": text("The beginning of a name that the server completes, for an object that is created without one."),
            "generation": number("Counts the changes of what is wanted. Changes of the status do not count."),
            "labels": text_map("Words that the object can be selected by."),
            "managedFields": many("ManagedFieldsEntry", "Who set which field, kept by the server for server-side apply."),
            "name": text("The name, unique among the objects of its kind in its namespace. It never changes."),
            "namespace": text("The namespace that the object lives in; empty for kinds that belong to the whole cluster."),
            "ownerReferences": owners,
            "resourceVersion": text("Names this state of the object. An update that carries an older one is refused as a conflict."),
            "selfLink": text("No longer set; once the object's path."),
            "uid": text("Tells this object from every other one, also from a later one of the same name."),
        },
    })
}

fn list_meta() -> Value {
    json!({
        "type": "object",
        "description": "What a list carries besides its items.",
        "properties": {
            "continue": text("Given back in the next request, it gets the next part of the list. Empty at the end."),
            "remainingItemCount": number("About how many items are still to come."),
            "resourceVersion": text("The moment that the list shows; a watch can go on from there."),
            "selfLink": text("No longer set; once the list's path."),
        },
    })
}

fn owner_reference() -> Value {
    json!({
        "type": "object",
        "description": "An object that another one depends on, in the same namespace or in none.",
        "required": ["apiVersion", "kind", "name", "uid"],
        "properties": {
            "apiVersion": text("The owner's API group and version."),
            "blockOwnerDeletion": flag("Whether the owner waits for this object when it is deleted in the foreground."),
            "controller": flag("Whether the owner is the one that manages this object."),
            "kind": text("The owner's kind."),
            "name": text("The owner's name."),
            "uid": text("The owner's uid."),
        },
        "x-kubernetes-map-type": "atomic",
    })
}

fn managed_fields_entry() -> Value {
    json!({
        "type": "object",
        "description": "The fields that one manager set in one way.",
        "properties": {
            "apiVersion": text("The version of the kind that the fields are named in."),
            "fieldsType": text("The form of the field set. There is one: FieldsV1."),
            "fieldsV1": one("FieldsV1", "The set of fields."),
            "manager": text("The program that set the fields."),
            "operation": text("How they were set: Apply or Update."),
            "subresource": text("The part of the object that they were set through, such as status."),
            "time": time("When the manager last changed one of them."),
        },
    })
}

fn fields() -> Value {
    json!({"type": "object", "description": "A tree of field names, with f: before a field and k: or v: before a list's item."})
}

fn patch() -> Value {
    json!({"type": "object", "description": "A change to an object, in the form that the Content-Type names."})
}

fn delete_options() -> Value {
    json!({
        "type": "object",
        "description": "How an object is to be deleted.",
        "properties": {
            "apiVersion": text("The version that the options are written in."),
            "dryRun": texts("With All, nothing is deleted, and the answer says what would have been."),
            "gracePeriodSeconds": number("How long the object may take to end; zero is at once."),
            "kind": text("DeleteOptions."),
            "orphanDependents": flag("Superseded by propagationPolicy: whether dependents stay."),
            "preconditions": one("Preconditions", "What has to be so; otherwise nothing is deleted."),
            "propagationPolicy": text("What becomes of dependents: Orphan, Background or Foreground."),
        },
        super::GROUP_VERSION_KIND: [{"group": "", "version": "v1", "kind": "DeleteOptions"}],
    })
}

fn preconditions() -> Value {
    json!({
        "type": "object",
        "description": "What has to be true of an object for an operation on it.",
        "properties": {
            "resourceVersion": text("The object is still in this state."),
            "uid": text("The object is still this one."),
        },
    })
}

fn status() -> Value {
    json!({
        "type": "object",
        "description": "The outcome of a request that is not answered with an object.",
        "properties": {
            "apiVersion": text("The version that the outcome is written in."),
            "code": json!({"type": "integer", "format": "int32", "description": "The HTTP status code."}),
            "details": one("StatusDetails", "What the outcome is about."),
            "kind": text("Status."),
            "message": text("The outcome for people."),
            "metadata": one("ListMeta", "Empty as a rule."),
            "reason": text("The outcome for programs, in one word."),
            "status": text("Success or Failure."),
        },
        super::GROUP_VERSION_KIND: [{"group": "", "version": "v1", "kind": "Status"}],
    })
}

fn status_details() -> Value {
    json!({
        "type": "object",
        "description": "The object that a request was about, and what is wrong with it.",
        "properties": {
            "causes": many("StatusCause", "Each thing that is wrong."),
            "group": text("The object's group."),
            "kind": text("The object's kind or resource."),
            "name": text("The object's name."),
            "retryAfterSeconds": json!({"type": "integer", "format": "int32", "description": "When to try again."}),
            "uid": text("The object's uid."),
        },
    })
}

fn status_cause() -> Value {
    json!({
        "type": "object",
        "description": "One thing that is wrong.",
        "properties": {
            "field": text("The field that it is about."),
            "message": text("The cause for people."),
            "reason": text("The cause for programs."),
        },
    })
}
