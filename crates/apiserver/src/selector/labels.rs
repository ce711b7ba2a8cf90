//! Label selectors: `app=web,tier in (front,back),!canary`.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::CharIndices;

use serde_json::{Map, Value};

use crate::schema::names;
use crate::schema::text::quote;

/// All requirements must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelSelector {
    pub requirements: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operator {
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Exists,
    DoesNotExist,
    GreaterThan(i64),
    LessThan(i64),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LabelSelectorError(String);

impl LabelSelector {
    pub fn parse(text: &str) -> Result<LabelSelector, LabelSelectorError> {
        let mut parser = Parser { tokens: tokens(text), next: 0 };
        let requirements = parser.selector()?;
        Ok(LabelSelector { requirements })
    }

    /// A `labelSelector` of an object; `None` if it has an operator that there is not.
    pub fn of_object(selector: &Value) -> Option<LabelSelector> {
        let mut requirements = Vec::new();
        for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            let value = value.as_str()?.to_owned();
            requirements.push(Requirement { key: key.clone(), operator: Operator::In([value].into()) });
        }
        for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
            let values = expression["values"].as_array().into_iter().flatten();
            let values = values.filter_map(Value::as_str).map(str::to_owned).collect();
            let operator = match expression["operator"].as_str()? {
                "In" => Operator::In(values),
                "NotIn" => Operator::NotIn(values),
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                _ => return None,
            };
            requirements.push(Requirement { key: expression["key"].as_str()?.to_owned(), operator });
        }
        Some(LabelSelector { requirements })
    }

    /// Whether an object with these labels matches.
    pub fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        self.matches_by(|key| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str))
    }

    /// Whether an object matches whose labels are read by `value_of`.
    pub fn matches_by<'a>(&self, value_of: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|requirement| requirement.operator.matches(value_of(&requirement.key)))
    }
}

impl Operator {
    fn matches(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match self {
            Operator::In(wanted) => value.is_some_and(|value| wanted.contains(value)),
            Operator::NotIn(unwanted) => value.is_none_or(|value| !unwanted.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan(bound) => number().is_some_and(|number| number > *bound),
            Operator::LessThan(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

/// A word or a sign of the query. The end is an empty text, as messages print it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Token<'a> {
    text: &'a str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Words that are also operators (`in`, `notin`) are told apart by where they stand.
    Word,
    Sign,
    End,
}

const SIGNS: [&str; 9] = ["==", "!=", "=", "!", ",", "(", ")", ">", "<"];
const OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

fn tokens(text: &str) -> Vec<Token<'_>> {
    // A NUL is what a real server takes for the end.
    let text = text.split('\0').next().unwrap_or_default();
    let mut tokens = Vec::new();
    let mut characters = text.char_indices().peekable();
    while let Some(&(start, character)) = characters.peek() {
        if character.is_ascii_whitespace() {
            characters.next();
        } else if let Some(sign) = sign_at(&text[start..]) {
            skip(&mut characters, sign.len());
            tokens.push(Token { text: sign, kind: Kind::Sign });
        } else {
            let ends = |it: &char| it.is_ascii_whitespace() || "=!(),><".contains(*it);
            let length = text[start..].chars().take_while(|it| !ends(it)).map(char::len_utf8).sum();
            skip(&mut characters, length);
            tokens.push(Token { text: &text[start..start + length], kind: Kind::Word });
        }
    }
    tokens.push(Token { text: "", kind: Kind::End });
    tokens
}

fn sign_at(text: &str) -> Option<&str> {
    SIGNS.iter().find(|sign| text.starts_with(**sign)).map(|sign| &text[..sign.len()])
}

fn skip(characters: &mut Peekable<CharIndices<'_>>, bytes: usize) {
    let Some(&(start, _)) = characters.peek() else { return };
    while characters.next_if(|&(index, _)| index < start + bytes).is_some() {}
}

struct Parser<'a> {
    /// The last one is the end.
    tokens: Vec<Token<'a>>,
    next: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Token<'a> {
        self.tokens[self.next]
    }

    fn take(&mut self) -> Token<'a> {
        let token = self.peek();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    fn selector(&mut self) -> Result<Vec<Requirement>, LabelSelectorError> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                Token { kind: Kind::End, .. } => return Ok(requirements),
                Token { kind: Kind::Word, .. } | Token { text: "!", .. } => {}
                other => return Err(found(other, ", expected: !, identifier, or 'end of string'")),
            }
            let requirement = self.requirement();
            let in_requirement =
                |LabelSelectorError(text)| LabelSelectorError(format!("unable to parse requirement: {text}"));
            requirements.push(requirement.map_err(in_requirement)?);
            match self.take() {
                Token { kind: Kind::End, .. } => return Ok(requirements),
                Token { text: ",", .. } => match self.peek() {
                    Token { kind: Kind::Word, .. } | Token { text: "!", .. } => {}
                    other => return Err(found(other, ", expected: identifier after ','")),
                },
                other => return Err(found(other, ", expected: ',' or 'end of string'")),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, LabelSelectorError> {
        let is_negated = self.peek().text == "!";
        if is_negated {
            self.take();
        }
        let key = self.take();
        if key.kind != Kind::Word {
            return Err(found(key, ", expected: identifier"));
        }
        let problems = names::qualified_name(key.text);
        if !problems.is_empty() {
            let problems = problems.join("; ");
            return Err(LabelSelectorError(format!("<nil>: Invalid value: {}: {problems}", quote(key.text))));
        }
        let is_bare = matches!(self.peek(), Token { kind: Kind::End, .. } | Token { text: ",", .. });
        let operator = match (is_negated, is_bare) {
            (true, _) => Operator::DoesNotExist,
            (false, true) => Operator::Exists,
            (false, false) => self.operator(key.text)?,
        };
        Ok(Requirement { key: key.text.to_owned(), operator })
    }

    fn operator(&mut self, key: &str) -> Result<Operator, LabelSelectorError> {
        let operator = self.take();
        match operator.text {
            "in" => Ok(Operator::In(self.values(key)?)),
            "notin" => Ok(Operator::NotIn(self.values(key)?)),
            "=" | "==" => Ok(Operator::In(self.single_value(key)?)),
            "!=" => Ok(Operator::NotIn(self.single_value(key)?)),
            ">" => Ok(Operator::GreaterThan(self.bound(key)?)),
            "<" => Ok(Operator::LessThan(self.bound(key)?)),
            _ => Err(found(operator, &format!(", expected: {OPERATORS}"))),
        }
    }

    /// A list in parentheses; between two commas, and where nothing stands, there is an empty value.
    fn values(&mut self, key: &str) -> Result<BTreeSet<String>, LabelSelectorError> {
        let opening = self.take();
        if opening.text != "(" {
            return Err(found(opening, " expected: '('"));
        }
        let mut values = vec![String::new()];
        let mut is_value_expected = true;
        loop {
            match self.take() {
                Token { text: ")", kind: Kind::Sign } => break,
                Token { text: ",", kind: Kind::Sign } => {
                    values.push(String::new());
                    is_value_expected = true;
                }
                Token { kind: Kind::Word, text } if is_value_expected => {
                    let last = values.len() - 1;
                    text.clone_into(&mut values[last]);
                    is_value_expected = false;
                }
                other if is_value_expected && other.kind == Kind::Sign => {
                    return Err(found(other, ", expected: ',', ')' or identifier"));
                }
                other => return Err(found(other, ", expected: ',' or ')'")),
            }
        }
        checked(key, &values)?;
        Ok(values.into_iter().collect())
    }

    fn single_value(&mut self, key: &str) -> Result<BTreeSet<String>, LabelSelectorError> {
        let value = match self.peek() {
            Token { kind: Kind::End, .. } | Token { text: ",", .. } => "",
            Token { kind: Kind::Word, .. } => self.take().text,
            other => return Err(found(other, ", expected: identifier")),
        };
        checked(key, &[value.to_owned()])?;
        Ok([value.to_owned()].into())
    }

    fn bound(&mut self, key: &str) -> Result<i64, LabelSelectorError> {
        let value = self.single_value(key)?.pop_first().unwrap_or_default();
        value.parse().map_err(|_| {
            let rule = "for 'Gt', 'Lt' operators, the value must be an integer";
            LabelSelectorError(format!("values[0]: Invalid value: {}: {rule}", quote(&value)))
        })
    }
}

fn checked(key: &str, values: &[String]) -> Result<(), LabelSelectorError> {
    for (index, value) in values.iter().enumerate() {
        let problems = names::label_value(value);
        if !problems.is_empty() {
            let (value, problems) = (quote(value), problems.join("; "));
            return Err(LabelSelectorError(format!(
                "values[{index}][{key}]: Invalid value: {value}: {problems}"
            )));
        }
    }
    Ok(())
}

fn found(token: Token<'_>, expected: &str) -> LabelSelectorError {
    LabelSelectorError(format!("found '{}'{expected}", token.text))
}
