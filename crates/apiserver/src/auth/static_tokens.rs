//! Tokens from a file, for programs that are given one: `token,user,uid,"group1,group2"` on each line.

use std::collections::HashMap;

use ring::digest;

use super::identity::Identity;

/// Users by what they identify themselves with.
#[derive(Clone, Default)]
pub struct StaticTokens {
    /// By digest, so that the time which a look-up takes says nothing of a token.
    users: HashMap<[u8; 32], Identity>,
}

/// A line that is not as described.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct TokenFileError {
    pub line: usize,
    pub reason: &'static str,
}

impl StaticTokens {
    /// Reads the content of a token file. Empty lines and those that begin with `#` say nothing.
    pub fn parse(text: &str) -> Result<StaticTokens, TokenFileError> {
        let mut tokens = StaticTokens::default();
        for (index, line) in text.lines().enumerate() {
            let line_text = line.trim();
            if line_text.is_empty() || line_text.starts_with('#') {
                continue;
            }
            let wrong = |reason| TokenFileError { line: index + 1, reason };
            let columns = columns(line_text).ok_or_else(|| wrong("a quote is not closed"))?;
            let [token, user, uid, rest @ ..] = &columns[..] else {
                return Err(wrong("it needs a token, a user and a uid"));
            };
            if token.is_empty() || user.is_empty() {
                return Err(wrong("token and user must not be empty"));
            }
            let groups = rest.first().map(String::as_str).unwrap_or_default();
            let groups = groups.split(',').map(str::trim).filter(|group| !group.is_empty());
            let identity = Identity { uid: uid.clone(), ..Identity::new(user, groups) };
            if tokens.users.insert(hash(token), identity).is_some() {
                return Err(wrong("the token is there twice"));
            }
        }
        Ok(tokens)
    }

    pub fn get(&self, token: &str) -> Option<&Identity> {
        self.users.get(&hash(token))
    }
}

fn hash(token: &str) -> [u8; 32] {
    digest::digest(&digest::SHA256, token.as_bytes()).as_ref().try_into().unwrap_or_default()
}

/// The columns of a line of CSV; `None` if a quote is not closed.
fn columns(line: &str) -> Option<Vec<String>> {
    let mut columns = vec![String::new()];
    let mut is_quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let column = columns.last_mut()?;
        match character {
            '"' if is_quoted && characters.peek() == Some(&'"') => {
                characters.next();
                column.push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => columns.push(String::new()),
            // Blanks between columns are no part of them.
            ' ' if !is_quoted && column.is_empty() => {}
            _ => column.push(character),
        }
    }
    (!is_quoted).then_some(columns)
}

impl std::fmt::Debug for StaticTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StaticTokens").field("users", &self.users.values()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_for_the_user_of_its_line() {
        let tokens =
            StaticTokens::parse("# who\n\nt1,a,1\nt2, b,2,\"g,h\"\nt3,\"c \"\"d\"\"\",3,g\n").unwrap();
        let user = |token: &str| {
            tokens.get(token).map(|it| (it.name.as_str(), it.uid.as_str(), it.groups.join("+")))
        };
        assert_eq!(user("t1"), Some(("a", "1", String::new())));
        assert_eq!(user("t2"), Some(("b", "2", "g+h".to_owned())));
        assert_eq!(user("t3"), Some(("c \"d\"", "3", "g".to_owned())));
        assert_eq!(user("t"), None);
        assert!(!format!("{tokens:?}").contains("t1"));
    }

    #[test]
    fn a_line_that_is_not_understood_is_named() {
        for (text, line) in [("t,a,1\nt2,b", 2), ("t,a,1\n\nt,b,2", 3), (",a,1", 1), ("t,a,1,\"g", 1)] {
            assert_eq!(StaticTokens::parse(text).unwrap_err().line, line, "{text}");
        }
    }
}
