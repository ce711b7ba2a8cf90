//! What a role allows.

use serde_json::Value;

use crate::auth::attributes::Attributes;

/// One rule of a role. Lists are alternatives, and `*` stands for everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Rule {
    pub verbs: Vec<String>,
    pub groups: Vec<String>,
    pub resources: Vec<String>,
    pub names: Vec<String>,
    pub urls: Vec<String>,
}

impl Rule {
    /// The rules of a Role or ClusterRole.
    pub fn all_of(role: &Value) -> Vec<Rule> {
        role["rules"].as_array().into_iter().flatten().map(Rule::of).collect()
    }

    /// What an admin has.
    pub fn everything() -> [Rule; 2] {
        let all = || vec!["*".to_owned()];
        [
            Rule { verbs: all(), groups: all(), resources: all(), ..Rule::default() },
            Rule { verbs: all(), urls: all(), ..Rule::default() },
        ]
    }

    fn of(rule: &Value) -> Rule {
        let texts = |field: &str| {
            let list = rule[field].as_array().into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Rule {
            verbs: texts("verbs"),
            groups: texts("apiGroups"),
            resources: texts("resources"),
            names: texts("resourceNames"),
            urls: texts("nonResourceURLs"),
        }
    }

    pub fn allows(&self, wanted: &Attributes) -> bool {
        if !has_or_all(&self.verbs, &wanted.verb) {
            return false;
        }
        if !wanted.is_resource {
            return self.urls.iter().any(|url| url_covers(url, &wanted.path));
        }
        has_or_all(&self.groups, &wanted.group)
            && resources_cover(&self.resources, &wanted.resource_and_part())
            && (self.names.is_empty() || self.names.contains(&wanted.name))
    }

    /// The same in rules that say one thing each.
    pub fn broken_down(&self) -> Vec<Rule> {
        let one = |text: &String| vec![text.clone()];
        let names: Vec<Vec<String>> =
            if self.names.is_empty() { vec![Vec::new()] } else { self.names.iter().map(one).collect() };
        let mut rules = Vec::new();
        for (group, resource) in pairs(&self.groups, &self.resources) {
            for (verb, names) in pairs(&self.verbs, &names) {
                let (groups, resources, verbs) = (one(group), one(resource), one(verb));
                rules.push(Rule { groups, resources, verbs, names: names.clone(), urls: Vec::new() });
            }
        }
        for (url, verb) in pairs(&self.urls, &self.verbs) {
            rules.push(Rule { urls: one(url), verbs: one(verb), ..Rule::default() });
        }
        rules
    }

    /// Whether this rule allows all that a rule which says one thing does.
    pub fn covers(&self, other: &Rule) -> bool {
        let all = |ours: &[String], theirs: &[String]| theirs.iter().all(|it| has_or_all(ours, it));
        let names_cover = self.names.is_empty()
            || !other.names.is_empty() && other.names.iter().all(|name| self.names.contains(name));
        all(&self.verbs, &other.verbs)
            && all(&self.groups, &other.groups)
            && other.resources.iter().all(|resource| resources_cover(&self.resources, resource))
            && other.urls.iter().all(|path| self.urls.iter().any(|url| url_covers(url, path)))
            && names_cover
    }

    /// As messages about escalation print it.
    pub fn compact(&self) -> String {
        let parts = [
            ("APIGroups", &self.groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.urls),
            ("ResourceNames", &self.names),
            ("Verbs", &self.verbs),
        ];
        let parts = parts.into_iter().filter(|(_, texts)| !texts.is_empty()).map(|(name, texts)| {
            let texts: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
            format!("{name}:[{}]", texts.join(" "))
        });
        format!("{{{}}}", parts.collect::<Vec<_>>().join(", "))
    }
}

fn pairs<'a, A, B>(left: &'a [A], right: &'a [B]) -> impl Iterator<Item = (&'a A, &'a B)> {
    left.iter().flat_map(move |left| right.iter().map(move |right| (left, right)))
}

fn has_or_all(texts: &[String], wanted: &str) -> bool {
    texts.iter().any(|text| text == "*" || text == wanted)
}

/// `pods/log` is covered by itself, by `*/log` and by `*`.
fn resources_cover(resources: &[String], wanted: &str) -> bool {
    let part = wanted.split_once('/').map(|(_, part)| part);
    resources.iter().any(|resource| {
        resource == "*"
            || resource == wanted
            || part.is_some_and(|part| resource.strip_prefix("*/").is_some_and(|of_all| of_all == part))
    })
}

/// A `*` at the end stands for any rest.
fn url_covers(url: &str, path: &str) -> bool {
    url == path || url.ends_with('*') && path.starts_with(url.trim_end_matches('*'))
}
