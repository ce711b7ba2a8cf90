//! Names of interfaces that are none of our business, as regular expressions.

use regex::Regex;

/// An interface is excluded if one of the expressions is found anywhere in its name.
#[derive(Debug, Clone, Default)]
pub struct Excluded {
    expression: Option<Regex>,
}

impl Excluded {
    pub fn parse(expressions: &[String]) -> Result<Excluded, regex::Error> {
        if expressions.is_empty() {
            return Ok(Excluded::default());
        }
        let parts: Vec<String> = expressions.iter().map(|expression| format!("({expression})")).collect();
        Ok(Excluded { expression: Some(Regex::new(&parts.join("|"))?) })
    }

    pub fn contains(&self, name: &str) -> bool {
        self.expression.as_ref().is_some_and(|expression| expression.is_match(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_may_match_anywhere() {
        let excluded = Excluded::parse(&["^veth.*".to_owned(), "^lo$".to_owned(), "cal".to_owned()]).unwrap();
        for (name, expected) in [
            ("veth0", true),
            ("my-veth", false),
            ("lo", true),
            ("lo0", false),
            ("xcali", true),
            ("eth0", false),
        ] {
            assert_eq!(excluded.contains(name), expected, "{name}");
        }
        assert!(!Excluded::parse(&[]).unwrap().contains("lo"));
        assert!(
            Excluded::parse(&[String::new()]).unwrap().contains("eth0"),
            "an empty expression is found everywhere"
        );
        assert!(Excluded::parse(&["(".to_owned()]).is_err());
    }
}
