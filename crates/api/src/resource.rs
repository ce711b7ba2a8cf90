//! The shape every kind shares: `metadata`, `spec`, `status`, and who it is in the API.

/// Declares the root type of a kind and implements `kube::Resource` for it.
///
/// `kube`'s own derive makes `spec` mandatory. Here it is not: a `Community` without `spec` is a valid
/// object, some kinds have no `spec` at all, and one such object must not make a whole list unreadable.
macro_rules! resource {
    (
        $(#[doc = $doc:literal])+
        $kind:ident: $group:literal / $version:literal, $plural:literal, $scope:ident
        $(, spec: $spec:ty)? $(, status: $status:ty)? $(,)?
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
        #[serde(default)]
        pub struct $kind {
            #[serde(deserialize_with = "crate::null::as_default")]
            pub metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
            $(
                #[serde(deserialize_with = "crate::null::as_default")]
                pub spec: $spec,
            )?
            $(pub status: Option<$status>,)?
        }

        impl $kind {
            pub fn new(name: &str $(, spec: $spec)?) -> Self {
                let mut object = Self { $(spec: { let spec: $spec = spec; spec },)? ..Self::default() };
                object.metadata.name = Some(name.to_owned());
                object
            }
        }

        impl serde::Serialize for $kind {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                let mut object = serializer.serialize_map(None)?;
                object.serialize_entry("apiVersion", concat!($group, "/", $version))?;
                object.serialize_entry("kind", stringify!($kind))?;
                object.serialize_entry("metadata", &self.metadata)?;
                $(
                    let spec: &$spec = &self.spec;
                    object.serialize_entry("spec", spec)?;
                )?
                $(
                    let status: &Option<$status> = &self.status;
                    if let Some(status) = status {
                        object.serialize_entry("status", status)?;
                    }
                )?
                object.end()
            }
        }

        impl kube::Resource for $kind {
            type DynamicType = ();
            type Scope = kube::core::$scope;

            fn group((): &()) -> std::borrow::Cow<'_, str> {
                $group.into()
            }

            fn version((): &()) -> std::borrow::Cow<'_, str> {
                $version.into()
            }

            fn kind((): &()) -> std::borrow::Cow<'_, str> {
                stringify!($kind).into()
            }

            fn plural((): &()) -> std::borrow::Cow<'_, str> {
                $plural.into()
            }

            fn meta(&self) -> &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &mut self.metadata
            }
        }

        impl crate::schema::Kind for $kind {
            const DESCRIPTION: &'static str = concat!($($doc, "\n"),+);

            fn properties(generator: &mut schemars::SchemaGenerator) -> Vec<(&'static str, schemars::Schema)> {
                vec![
                    $(("spec", generator.subschema_for::<$spec>()),)?
                    $(("status", generator.subschema_for::<$status>()),)?
                ]
            }
        }
    };
}
