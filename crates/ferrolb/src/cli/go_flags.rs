//! Command lines as programs written in Go read them: `-name` is `--name`, and a switch may say `=true`.

use std::ffi::OsString;

/// What the two programs of a cluster may be called instead of `ferrolb NAME`.
const PROGRAMS: [&str; 2] = ["controller", "speaker"];

/// The arguments with which the command line is read.
pub(super) fn understood(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let program = arguments.first().and_then(|first| first.to_str()).unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default();
    if let Some(name) = PROGRAMS.iter().find(|&&name| name == program) {
        arguments.insert(1, name.into());
    }
    let is_ours = arguments.get(1).is_some_and(|command| PROGRAMS.iter().any(|name| command == name));
    if is_ours {
        arguments.iter_mut().skip(2).for_each(double_the_dash);
    }
    arguments
}

fn double_the_dash(argument: &mut OsString) {
    let Some(name) = argument.to_str().and_then(|text| text.strip_prefix('-')) else { return };
    let is_long = name.chars().take_while(|&it| it != '=').count() > 1;
    if is_long && !name.starts_with('-') {
        *argument = format!("--{name}").into();
    }
}

/// What Go takes for true and false.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("is neither true nor false".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Vec<String> {
        let read = understood(arguments.iter().map(Into::into));
        read.into_iter().map(|it| it.into_string().unwrap()).collect()
    }

    #[test]
    fn one_dash_is_as_good_as_two() {
        assert_eq!(
            read(&["ferrolb", "controller", "-port=1", "--log-level", "info", "-webhook-http2", "-h"]),
            ["ferrolb", "controller", "--port=1", "--log-level", "info", "--webhook-http2", "-h"]
        );
        assert_eq!(read(&["ferrolb", "plan", "-f", "-"]), ["ferrolb", "plan", "-f", "-"]);
    }

    #[test]
    fn a_program_may_be_called_by_its_own_name() {
        assert_eq!(read(&["/controller", "-port=1"]), ["/controller", "controller", "--port=1"]);
        assert_eq!(read(&["/usr/bin/ferrolb", "version"]), ["/usr/bin/ferrolb", "version"]);
    }
}
