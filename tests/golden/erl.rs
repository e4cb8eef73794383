//! A real Erlang, which plays sessions in its own shell.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The release whose answers stand in the golden file: that of Debian bookworm.
const RELEASE: &str = "25";

/// Loads the terminal that the sessions are played at, and plays them.
const PLAY: &str = "\
    [File | Rest] = init:get_plain_arguments(), \
    {ok, Module, Code} = compile:file(File, [binary, report]), \
    {module, _} = code:load_binary(Module, File, Code), \
    Module:main(Rest), \
    halt().";

/// Parts sessions.
const SESSION: &str = "\u{1d}";
/// Parts the pastes of a session, and their answers.
const PASTE: &str = "\u{1e}";

/// The command of an Erlang of the right release.
#[derive(Debug)]
pub struct Erl {
    command: PathBuf,
}

impl Erl {
    /// Finds the one that `YIZHAN_ERL` names, or else one on the PATH.
    ///
    /// # Errors
    /// A sentence that says why there is none.
    pub fn find() -> Result<Self, String> {
        let named = env::var_os("YIZHAN_ERL").map(PathBuf::from);
        let command = named.unwrap_or_else(|| "erl".into());
        let asked = Command::new(&command)
            .args(["-noinput", "-eval"])
            .arg("io:put_chars(erlang:system_info(otp_release)), halt().")
            .output()
            .map_err(|error| format!("there is no {} ({error})", command.display()))?;
        let release = String::from_utf8_lossy(&asked.stdout);
        if release != RELEASE {
            let command = command.display();
            return Err(format!(
                "{command} is of release {release:?}, not {RELEASE}"
            ));
        }
        Ok(Self { command })
    }

    /// Plays each session in a fresh shell; an answer for each paste.
    pub fn play(&self, sessions: &[Vec<String>]) -> Vec<Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        let (asked, answered) = (dir.path().join("asked"), dir.path().join("answered"));
        let pastes: Vec<String> = sessions.iter().map(|session| session.join(PASTE)).collect();
        fs::write(&asked, pastes.join(SESSION)).unwrap();
        let ran = Command::new(&self.command)
            .args(["-noinput", "-eval", PLAY, "-extra"])
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/golden/shells.erl"
            ))
            .args([&asked, &answered])
            .env("ERL_CRASH_DUMP_SECONDS", "0")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(ran.status.success(), "{ran:?}");
        let answers = fs::read_to_string(&answered).unwrap();
        assert!(!answers.contains("(no answer)"), "{answers}");
        let answers = answers.split(SESSION).zip(sessions);
        answers
            .map(|(session, pastes)| {
                let answers: Vec<_> = session.split(PASTE).map(whole_lines).collect();
                assert_eq!(answers.len(), pastes.len(), "{pastes:?}: {answers:?}");
                answers
            })
            .collect()
    }
}

/// The last line without its end.
fn whole_lines(answer: &str) -> String {
    answer.strip_suffix('\n').unwrap_or(answer).to_owned()
}
