//! What only built-in kinds have: types in which they are read, and defaults.

use serde_json::Value;

use super::request::Asked;
use super::timestamp;
use crate::kinds::defaults;

impl Asked {
    fn is_built_in(&self) -> bool {
        self.served.schema.is_none()
    }

    /// Fills in what a built-in kind has when nobody says otherwise.
    pub(super) fn complete_built_in(&self, object: &mut Value) {
        if self.is_built_in() {
            defaults::complete(object, &self.served.api_version, &self.served.resource.kind);
        }
    }

    /// What a new object of a built-in kind has whatever its client says.
    pub(super) fn begin_built_in(&self, object: &mut Value) {
        if self.is_built_in() {
            defaults::begin(object, &self.served.api_version, &self.served.resource.kind, &timestamp());
            self.served.types.normalise(object);
        }
    }

    /// What an object of a built-in kind has because of the one in whose place it comes.
    pub(super) fn carry_built_in(&self, object: &mut Value, old: &Value) {
        if self.is_built_in() {
            defaults::carry(object, old, &self.served.api_version, &self.served.resource.kind);
            self.served.types.normalise(object);
        }
    }

    /// Whether a client may create an object together with its status: a node comes with what it has.
    pub(super) fn keeps_status(&self) -> bool {
        self.is_built_in() && self.served.resource.kind == "Node"
    }
}
