//! The part of JSONPath that columns use: fields, indexes, wildcards, and filters that compare.

use serde_json::Value;

/// Steps into an object.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    /// Negative ones count from the end.
    Index(i64),
    All,
    Filter(Filter),
}

/// `[?(@.type=="Ready")]`. Without a comparison: the path leads somewhere.
#[derive(Debug, Clone, PartialEq)]
struct Filter {
    path: JsonPath,
    comparison: Option<(bool, Value)>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonPathError {
    #[error("{path:?} is not a JSONPath that can be used: {reason} at {rest:?}")]
    NotUnderstood { path: String, reason: &'static str, rest: String },
}

/// How far filters may stand inside filters.
const DEPTH: usize = 8;

impl JsonPath {
    pub fn parse(text: &str) -> Result<JsonPath, JsonPathError> {
        let mut reader = Reader { rest: text.strip_prefix('$').unwrap_or(text), depth: 0 };
        let not_understood = |(reason, rest): (&'static str, &str)| JsonPathError::NotUnderstood {
            path: text.to_owned(),
            reason,
            rest: rest.to_owned(),
        };
        let path = reader.path().map_err(not_understood)?;
        if reader.rest.is_empty() { Ok(path) } else { Err(not_understood(("unexpected text", reader.rest))) }
    }

    pub(super) fn fields(names: &[&str]) -> JsonPath {
        JsonPath { steps: names.iter().map(|&name| Step::Field(name.to_owned())).collect() }
    }

    /// The first value that the path leads to.
    pub fn first<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        self.all(object).into_iter().next()
    }

    fn all<'a>(&self, object: &'a Value) -> Vec<&'a Value> {
        self.steps
            .iter()
            .fold(vec![object], |found, step| found.into_iter().flat_map(|it| step.from(it)).collect())
    }
}

impl Step {
    fn from<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match (self, value) {
            (Step::Field(name), _) => value.get(name).into_iter().collect(),
            (Step::Index(index), Value::Array(items)) => {
                let from_end = || items.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?);
                let position = usize::try_from(*index).ok().or_else(from_end);
                position.and_then(|position| items.get(position)).into_iter().collect()
            }
            (Step::All, Value::Array(items)) => items.iter().collect(),
            (Step::All, Value::Object(fields)) => fields.values().collect(),
            (Step::Filter(filter), Value::Array(items)) => {
                items.iter().filter(|item| filter.admits(item)).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Filter {
    fn admits(&self, item: &Value) -> bool {
        let found = self.path.first(item);
        match &self.comparison {
            None => found.is_some(),
            Some((is_equal, wanted)) => found.is_some_and(|found| (found == wanted) == *is_equal),
        }
    }
}

type Read<'a, T> = Result<T, (&'static str, &'a str)>;

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn path(&mut self) -> Read<'a, JsonPath> {
        let mut steps = Vec::new();
        loop {
            if self.take(".") {
                steps.push(if self.take("*") { Step::All } else { Step::Field(self.name()?) });
            } else if self.take("[") {
                steps.push(self.bracket()?);
            } else {
                return Ok(JsonPath { steps });
            }
        }
    }

    fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, text: &str, reason: &'static str) -> Read<'a, ()> {
        if self.take(text) { Ok(()) } else { Err((reason, self.rest)) }
    }

    /// A field's name; a backslash takes the character behind it as it is.
    fn name(&mut self) -> Read<'a, String> {
        let mut name = String::new();
        let mut characters = self.rest.char_indices();
        let mut end = self.rest.len();
        while let Some((index, character)) = characters.next() {
            match character {
                '\\' => name.extend(characters.next().map(|(_, escaped)| escaped)),
                '.' | '[' | ')' | '=' | '!' | '<' | '>' | ' ' => {
                    end = index;
                    break;
                }
                _ => name.push(character),
            }
        }
        if name.is_empty() {
            return Err(("a field's name is missing", self.rest));
        }
        self.rest = &self.rest[end..];
        Ok(name)
    }

    fn bracket(&mut self) -> Read<'a, Step> {
        let step = if self.take("*") {
            Step::All
        } else if self.take("?(") {
            self.filter()?
        } else if self.rest.starts_with(['\'', '"']) {
            Step::Field(self.quoted()?)
        } else {
            Step::Index(self.integer()?)
        };
        self.expect("]", "a bracket is not closed")?;
        Ok(step)
    }

    fn filter(&mut self) -> Read<'a, Step> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(("filters stand too deep inside filters", self.rest));
        }
        self.expect("@", "a filter does not begin with @")?;
        let path = self.path()?;
        self.rest = self.rest.trim_start();
        let is_equal = if self.take("==") {
            Some(true)
        } else if self.take("!=") {
            Some(false)
        } else {
            None
        };
        let comparison = match is_equal {
            Some(is_equal) => Some((is_equal, self.literal()?)),
            None => None,
        };
        self.rest = self.rest.trim_start();
        self.expect(")", "a filter is not closed, or compares in a way that is not known")?;
        self.depth -= 1;
        Ok(Step::Filter(Filter { path, comparison }))
    }

    fn literal(&mut self) -> Read<'a, Value> {
        self.rest = self.rest.trim_start();
        if self.rest.starts_with(['\'', '"']) {
            return Ok(self.quoted()?.into());
        }
        for (text, value) in [("true", Value::Bool(true)), ("false", Value::Bool(false))] {
            if self.take(text) {
                return Ok(value);
            }
        }
        Ok(self.integer()?.into())
    }

    fn quoted(&mut self) -> Read<'a, String> {
        let quote = if self.rest.starts_with('"') { '"' } else { '\'' };
        let mut text = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((index, character)) = characters.next() {
            match character {
                '\\' => text.extend(characters.next().map(|(_, escaped)| escaped)),
                _ if character == quote => {
                    self.rest = &self.rest[index + 1..];
                    return Ok(text);
                }
                _ => text.push(character),
            }
        }
        Err(("a text is not closed", self.rest))
    }

    fn integer(&mut self) -> Read<'a, i64> {
        let is_part = |character: &char| character.is_ascii_digit() || *character == '-';
        let length = self.rest.chars().take_while(is_part).count();
        let number = self.rest[..length].parse().map_err(|_| ("a number or a text is missing", self.rest))?;
        self.rest = &self.rest[length..];
        Ok(number)
    }
}
