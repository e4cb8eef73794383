//! Scripts: texts from arguments, a file or a pipe, evaluated up to the first error.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, anyhow};

use super::shell::{Broken, Outcome, Print, Shell};
use super::{Exit, Stop, interrupt, sentence};

/// What is to be evaluated, in the order in which it was given.
pub(super) fn requests(expressions: &[String], file: Option<&Path>) -> Result<Vec<String>, Stop> {
    let mut requests = Vec::new();
    for expression in expressions {
        requests.extend(cut(expression)?);
    }
    let text = match file {
        Some(file) if file != Path::new("-") => {
            let named = || file.display().to_string();
            text(fs::read(file)).with_context(named)
        }
        None if !expressions.is_empty() => return Ok(requests),
        _ => {
            let mut bytes = Vec::new();
            let read = io::stdin().lock().read_to_end(&mut bytes);
            text(read.map(|_| bytes)).context("standard input")
        }
    };
    let text = text.map_err(|error| Exit::Usage.because(error))?;
    requests.extend(cut(&text)?);
    Ok(requests)
}

/// Evaluates one request after the other and writes what comes, as it comes, to standard output.
pub(super) fn run(mut shell: Shell, requests: &[String]) -> Result<Exit, Stop> {
    shell
        .ready()
        .map_err(|error| Exit::Unreachable.because(error))?;
    interrupt::watch(shell.sink()).map_err(|error| Exit::Failed.because(error))?;
    let mut out = io::stdout().lock();
    let mut print = |text: &str| {
        out.write_all(text.as_bytes())?;
        out.flush()
    };
    let ended = evaluate(&mut shell, requests, &mut print);
    shell.leave(&mut print);
    ended
}

fn evaluate(shell: &mut Shell, requests: &[String], print: Print<'_>) -> Result<Exit, Stop> {
    for request in requests {
        match shell.evaluate(request, print) {
            Ok(Outcome::Value) => {}
            Ok(Outcome::Failed) => return Ok(Exit::Failed),
            // Who reads the output has seen enough.
            Err(Broken::Output(error)) if error.kind() == ErrorKind::BrokenPipe => {
                return Ok(Exit::Failed);
            }
            Err(broken @ Broken::Lost(_)) => return Err(Exit::Unreachable.because(broken)),
            Err(broken) => return Err(Exit::Failed.because(broken)),
        }
    }
    Ok(Exit::Evaluated)
}

fn cut(text: &str) -> Result<Vec<String>, Stop> {
    sentence::requests(text).map_err(|error| Exit::Failed.because(error))
}

/// The text of a script, without a first line that is for the operating system.
fn text(bytes: io::Result<Vec<u8>>) -> Result<String> {
    let text = String::from_utf8(bytes?).map_err(|_| anyhow!("not UTF-8 text"))?;
    match text.strip_prefix("#!") {
        // The empty line keeps the numbers of those after it.
        Some(rest) => Ok(rest
            .find('\n')
            .map_or_else(String::new, |end| rest[end..].into())),
        None => Ok(text),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_first_line_for_the_operating_system_is_left_out_and_still_counted() {
        let read = |script: &str| text(Ok(script.as_bytes().to_vec())).unwrap();
        assert_eq!(read("#!/usr/bin/env -S yizhan attach\n1.\n"), "\n1.\n");
        assert_eq!(read("#!x"), "");
        assert_eq!(read("1. #!"), "1. #!");
        assert!(text(Ok(vec![0xff])).is_err());
    }
}
