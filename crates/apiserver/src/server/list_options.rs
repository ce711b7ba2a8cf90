//! How a list or watch is asked for: how much of it, as of when, from where on; and what cannot be asked.

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use serde_json::{Value, json};

use super::request::Asked;
use crate::resource::Verb;
use crate::schema::FieldError;
use crate::schema::text::quote;
use crate::status::{Refusal, Target};

const EXACT: &str = "Exact";
const NOT_OLDER: &str = "NotOlderThan";
/// What tokens for further pages say that they are.
const TOKEN_VERSION: &str = "meta.k8s.io/v1";

/// How tokens are written; bits behind their end are not looked at.
const BASE64: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// The parameters of a list.
#[derive(Debug)]
pub(super) struct ListOptions {
    /// At most so many objects.
    pub(super) limit: Option<usize>,
    /// As of exactly this revision.
    pub(super) exact: Option<u64>,
    /// As of this revision or a later one.
    pub(super) at_least: u64,
    /// Behind this key below the prefix.
    pub(super) after: Option<String>,
}

/// The parameters of a watch.
#[derive(Debug)]
pub(super) struct WatchOptions {
    /// Whether what is there comes first, if the client says.
    pub(super) sends_initial: Option<bool>,
    /// Everything after this revision; nothing if the client names none.
    pub(super) since: Option<u64>,
    pub(super) has_bookmarks: bool,
    pub(super) timeout_secs: Option<u64>,
}

impl ListOptions {
    pub(super) fn of(asked: &Asked) -> Result<ListOptions, Refusal> {
        integer(asked, "timeoutSeconds")?;
        let limit = integer(asked, "limit")?.and_then(|limit| usize::try_from(limit).ok());
        asked.label_selector()?;
        asked.field_selector_as_said()?;
        refuse(&list_errors(asked))?;
        asked.field_selector()?;
        let token = asked.parameter("continue").map(|text| Token::read(text).map_err(Refusal::bad_request));
        let token = token.transpose()?;
        let version = asked.parameter("resourceVersion");
        if token.is_some() && version.is_some_and(|version| version != "0") {
            let message = "specifying resource version is not allowed when using continue";
            return Err(Refusal::bad_request(message));
        }
        let revision = version
            .map(revision)
            .transpose()
            .map_err(|problem| Refusal::bad_request(format!("invalid resource version: {problem}")))?;
        // Whatever is at hand is asked for, and of that all is.
        let limit = limit.filter(|&limit| limit > 0 && revision != Some(0));
        let Some(token) = token else {
            let is_exact = asked.parameter("resourceVersionMatch") == Some(EXACT);
            let (exact, at_least) =
                if is_exact { (revision, 0) } else { (None, revision.unwrap_or_default()) };
            return Ok(ListOptions { limit, exact, at_least, after: None });
        };
        Ok(ListOptions { limit, exact: token.revision, at_least: 0, after: Some(token.after) })
    }
}

impl WatchOptions {
    pub(super) fn of(asked: &Asked) -> Result<WatchOptions, Refusal> {
        let timeout = integer(asked, "timeoutSeconds")?;
        integer(asked, "limit")?;
        asked.label_selector()?;
        asked.field_selector_as_said()?;
        refuse(&watch_errors(asked))?;
        asked.field_selector()?;
        Ok(WatchOptions {
            sends_initial: switch(asked, "sendInitialEvents"),
            since: asked.named_version()?.filter(|&revision| revision > 0),
            has_bookmarks: switch(asked, "allowWatchBookmarks").unwrap_or(false),
            timeout_secs: timeout.and_then(|secs| u64::try_from(secs).ok()).filter(|&secs| secs > 0),
        })
    }
}

impl Asked {
    /// The version that a get or watch names. That it is none is the server's fault, as clients know it.
    pub(super) fn named_version(&self) -> Result<Option<u64>, Refusal> {
        let named = self.parameter("resourceVersion").map(revision).transpose();
        // Events are read from where they are kept, which knows better.
        named.map_err(|problem| match self.served.is_event() && self.verb == Verb::Get {
            true => Refusal::bad_request(format!("invalid resource version: {problem}")),
            false => Refusal::unclassified(problem),
        })
    }
}

/// Where the next page begins, as a text that a client gives back.
#[derive(Debug, PartialEq)]
pub(super) struct Token {
    /// None where the client takes what there is now.
    pub(super) revision: Option<u64>,
    /// The last key of the page before, without the prefix.
    pub(super) after: String,
}

impl Token {
    pub(super) fn read(text: &str) -> Result<Token, String> {
        let invalid = |why: &str| format!("invalid continue token: continue key is not valid: {why}");
        let bytes = BASE64.decode(text).map_err(|error| invalid(&at_byte(text, &error)))?;
        let value: Value = crate::codec::parse(&bytes).map_err(|error| invalid(&error.to_string()))?.value;
        let said = value["v"].as_str().unwrap_or_default();
        if said != TOKEN_VERSION {
            return Err(invalid(&format!("server does not recognize this encoded version {}", quote(said))));
        }
        let revision = value["rv"].as_i64().filter(|revision| *revision != 0);
        let revision = revision.ok_or_else(|| {
            invalid(&format!("incorrect encoded start resourceVersion (version {TOKEN_VERSION})"))
        })?;
        let start = value["start"].as_str().unwrap_or_default();
        if start.is_empty() {
            return Err(invalid(&format!("encoded start key empty (version {TOKEN_VERSION})")));
        }
        // A key that ends with a zero is the next one behind the key without it.
        let after = start.strip_suffix('\0').unwrap_or(start).to_owned();
        Ok(Token { revision: u64::try_from(revision).ok(), after })
    }

    pub(super) fn write(&self) -> String {
        let revision = self.revision.map_or(json!(-1), Value::from);
        let start = format!("{}\0", self.after);
        let text = json!({"v": TOKEN_VERSION, "rv": revision, "start": start}).to_string();
        BASE64.encode(text)
    }
}

fn at_byte(text: &str, error: &base64::DecodeError) -> String {
    let place = match error {
        base64::DecodeError::InvalidByte(place, _) => *place,
        _ => text.len(),
    };
    format!("illegal base64 data at input byte {place}")
}

fn list_errors(asked: &Asked) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let version = asked.parameter("resourceVersion");
    if let Some(wanted) = asked.parameter("resourceVersionMatch") {
        let mut forbidden = |why: &str| errors.push(FieldError::forbidden("resourceVersionMatch", why));
        if version.is_none() {
            forbidden("resourceVersionMatch is forbidden unless resourceVersion is provided");
        }
        if asked.parameter("continue").is_some() {
            forbidden("resourceVersionMatch is forbidden when continue is provided");
        }
        if wanted != EXACT && wanted != NOT_OLDER {
            errors.push(unsupported(wanted, &[EXACT, NOT_OLDER, ""]));
        }
        if wanted == EXACT && version == Some("0") {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            errors.push(FieldError::forbidden("resourceVersionMatch", why));
        }
    }
    if asked.query.contains_key("sendInitialEvents") {
        let why = "sendInitialEvents is forbidden for list";
        errors.push(FieldError::forbidden("sendInitialEvents", why));
    }
    errors
}

fn watch_errors(asked: &Asked) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut forbidden = |why: &str| errors.push(FieldError::forbidden("resourceVersionMatch", why));
    let wanted = asked.parameter("resourceVersionMatch");
    let sends_initial = asked.query.contains_key("sendInitialEvents");
    if sends_initial && wanted != Some(NOT_OLDER) {
        forbidden("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    }
    let Some(wanted) = wanted else { return errors };
    if !sends_initial {
        forbidden("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
    }
    if wanted != NOT_OLDER {
        errors.push(unsupported(wanted, &[NOT_OLDER]));
    }
    if asked.parameter("continue").is_some() {
        let why = "resourceVersionMatch is forbidden when continue is provided";
        errors.push(FieldError::forbidden("resourceVersionMatch", why));
    }
    errors
}

fn unsupported(wanted: &str, supported: &[&str]) -> FieldError {
    let supported: Vec<String> = supported.iter().map(|&value| value.to_owned()).collect();
    FieldError::not_supported("resourceVersionMatch", &wanted.into(), &supported)
}

fn refuse(errors: &[FieldError]) -> Result<(), Refusal> {
    let target = Target { group: "meta.k8s.io", resource: "", name: "" };
    if errors.is_empty() { Ok(()) } else { Err(Refusal::invalid("ListOptions", target, errors)) }
}

/// A version that a client names; `Err` says what is wrong with it.
fn revision(text: &str) -> Result<u64, String> {
    let why = |kind| {
        let text = quote(text);
        format!("resourceVersion: Invalid value: {text}: strconv.ParseUint: parsing {text}: {kind}")
    };
    number(text).map_err(why)
}

pub(super) fn integer(asked: &Asked, name: &str) -> Result<Option<i64>, Refusal> {
    let Some(text) = asked.parameter(name) else { return Ok(None) };
    let why = |kind| Refusal::bad_request(format!("strconv.ParseInt: parsing {}: {kind}", quote(text)));
    number(text).map(Some).map_err(why)
}

fn number<T: std::str::FromStr<Err = std::num::ParseIntError>>(text: &str) -> Result<T, &'static str> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    text.parse().map_err(|error: std::num::ParseIntError| match error.kind() {
        PosOverflow | NegOverflow => "value out of range",
        _ => "invalid syntax",
    })
}

/// Whether something is switched on, if that is said: everything but a plain no is a yes.
fn switch(asked: &Asked, name: &str) -> Option<bool> {
    let text = asked.query.get(name)?;
    Some(!(text == "0" || text.eq_ignore_ascii_case("false")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_itself_when_given_back() {
        for (revision, after) in [(Some(7), "default/a"), (None, "x")] {
            let token = Token { revision, after: after.to_owned() };
            assert_eq!(Token::read(&token.write()).unwrap(), token);
        }
    }

    #[test]
    fn a_token_of_somebody_else_says_what_is_wrong_with_it() {
        for (text, why) in [
            ("garbage", "invalid character '\\u0081' looking for beginning of value"),
            ("!", "illegal base64 data at input byte 0"),
            ("e30", "server does not recognize this encoded version \"\""),
            (
                &BASE64.encode(r#"{"v":"meta.k8s.io/v1","start":"a"}"#),
                "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
            ),
            (
                &BASE64.encode(r#"{"v":"meta.k8s.io/v1","rv":1}"#),
                "encoded start key empty (version meta.k8s.io/v1)",
            ),
        ] {
            let expected = format!("invalid continue token: continue key is not valid: {why}");
            assert_eq!(Token::read(text).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_told_from_what_is_too_great() {
        assert_eq!(revision("18446744073709551615"), Ok(u64::MAX));
        let expected = "resourceVersion: Invalid value: \"99999999999999999999\": strconv.ParseUint: parsing \
                        \"99999999999999999999\": value out of range";
        assert_eq!(revision("99999999999999999999").unwrap_err(), expected);
        assert!(revision("x").unwrap_err().ends_with("invalid syntax"));
    }
}
