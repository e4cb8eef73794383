//! `yizhan attach`: scripts and their exit codes, and a person at a real terminal, against a server that only pretends.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "attach/fake.rs"]
mod fake;
#[path = "attach/terminal.rs"]
mod terminal;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Output, Stdio};

use fake::{Fake, Heard, READ_TOKEN, TOKEN};
use serde_json::json;
use terminal::{CTRL_A, CTRL_C, CTRL_D, ENTER, LEFT, TAB, Terminal, UP};

// ---- scripts ----

#[test]
fn expressions_are_evaluated_in_their_order_and_printed_as_they_come() {
    let fake = Fake::start();
    let ended = script(&fake, &["-e", "1+1.", "-e", "pieces()."], "");
    assert_eq!(told(&ended), ("= 1+1.\na\x1b[1mbc", ""));
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(
        fake.rest(),
        [
            Heard::Login(None),
            asked("1+1.", false),
            asked("pieces().", false),
            Heard::Goodbye
        ]
    );
}

#[test]
fn what_is_printed_after_the_end_of_an_evaluation_is_not_cut_off() {
    let fake = Fake::start();
    let ended = script(&fake, &["-e", "late().", "-e", "late()."], "");
    assert_eq!(told(&ended), ("late\nlate\n", ""));
}

#[test]
fn a_pipe_is_read_to_its_end() {
    let fake = Fake::start();
    let ended = script(&fake, &[], "A = 1.\n% a comment. \nA +\n1.\n");
    assert_eq!(told(&ended), ("= A = 1.\n% a comment. \nA +\n1.\n", ""));
    assert_eq!(ended.status.code(), Some(0));
}

#[test]
fn a_file_comes_after_the_expressions_and_a_dash_is_standard_input() {
    let fake = Fake::start();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("script");
    fs::write(&file, "#!/usr/bin/env -S yizhan attach\n2.\n").unwrap();
    let ended = script(&fake, &["-e", "1.", file.to_str().unwrap()], "3.");
    assert_eq!(told(&ended), ("= 1.\n= \n2.\n", ""));
    let ended = script(&fake, &["-e", "1.", "-"], "3.");
    assert_eq!(told(&ended), ("= 1.\n= 3.\n", ""));
}

#[test]
fn nothing_to_evaluate_is_no_error() {
    let fake = Fake::start();
    let ended = script(&fake, &[], "\n% nothing\n");
    assert_eq!(told(&ended), ("", ""));
    assert_eq!(ended.status.code(), Some(0));
}

#[test]
fn a_long_pipe_goes_in_requests_that_a_server_takes() {
    let fake = Fake::start();
    let text = format!("f(\"{}\").\n", "x".repeat(100)).repeat(3_000);
    let ended = script(&fake, &[], &text);
    assert_eq!(ended.status.code(), Some(0));
    let asked = fake.rest();
    let texts: Vec<_> = asked
        .iter()
        .filter_map(|heard| match heard {
            Heard::Asked(asked) => asked["text"].as_str(),
            _ => None,
        })
        .collect();
    assert!(texts.len() > 4);
    for text in &texts {
        assert!(
            text.len() <= 65_536 && text.ends_with(").") && text.trim_start().starts_with("f(")
        );
    }
    assert_eq!(texts.concat() + "\n", text);
}

#[test]
fn an_error_ends_a_script() {
    let fake = Fake::start();
    let ended = script(&fake, &["-e", "1.", "-e", "boom().", "-e", "3."], "");
    assert_eq!(told(&ended), ("= 1.\n** exception error: boom\n", ""));
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(fake.rest().len(), 4, "the third is not asked for");
}

#[test]
fn what_the_server_does_not_take_is_a_failure_in_words() {
    let fake = Fake::start();
    let ended = script(&fake, &["-e", "refuse()."], "");
    let words = "yizhan: the server did not evaluate it: the server is full\n";
    assert_eq!(told(&ended), ("", words));
    assert_eq!(ended.status.code(), Some(1));
    let long = format!("f(\"{}\").", "x".repeat(70_000));
    let ended = script(&fake, &[], &long);
    assert!(told(&ended).1.contains("65536 is the most"), "{ended:?}");
    assert_eq!(ended.status.code(), Some(1));
}

#[test]
fn wrong_usage_has_a_code_of_its_own() {
    let fake = Fake::start();
    for options in [
        &["--no-such-option"][..],
        &["--session", "a b", "-e", "1."],
        &["--session", "", "-e", "1."],
        &["no/such/file"],
        &["--to", "127.0.0.1:9801", "-e", "1."],
        &["--to", "http://me@h:1", "-e", "1."],
        &[
            "--to",
            "https://127.0.0.1:1",
            "--ca",
            "no/such/file",
            "-e",
            "1.",
        ],
    ] {
        let ended = script(&fake, options, "");
        assert_eq!(ended.status.code(), Some(2), "{options:?} {ended:?}");
        assert!(
            !ended.stderr.is_empty() && ended.stdout.is_empty(),
            "{options:?}"
        );
    }
    assert_eq!(fake.rest(), []);
}

#[test]
fn a_server_that_is_not_there_or_refuses_the_token_has_another() {
    let fake = Fake::start();
    let refused = script(&fake, &["--set", "admin.token=wrong", "-e", "1."], "");
    let (out, said) = told(&refused);
    assert!(
        out.is_empty() && said.contains("refused (401 Unauthorized): Invalid token"),
        "{said}"
    );
    assert_eq!(refused.status.code(), Some(3));

    let url = fake.url.clone();
    drop(fake);
    let ended = at(&url, &["-e", "1."], "");
    assert!(
        told(&ended)
            .1
            .starts_with("yizhan: no server answers at http://127.0.0.1:"),
        "{ended:?}"
    );
    assert_eq!(ended.status.code(), Some(3));

    let home = tempfile::tempdir().unwrap();
    let path = format!("store.path={}", home.path().display());
    let ended = at(
        &url,
        &["--set", "admin.token=", "--set", &path, "-e", "1."],
        "",
    );
    assert!(
        told(&ended).1.contains("there is no admin token"),
        "{ended:?}"
    );
    assert_eq!(ended.status.code(), Some(3));
}

#[test]
fn a_connection_lost_on_the_way_is_told_and_nothing_is_asked_twice() {
    let fake = Fake::start();
    let ended = script(&fake, &["-e", "1.", "-e", "cut().", "-e", "3."], "");
    let (out, said) = told(&ended);
    assert_eq!(out, "= 1.\n");
    assert!(
        said.starts_with("yizhan: the connection was lost during an evaluation"),
        "{said}"
    );
    assert_eq!(ended.status.code(), Some(3));
    assert_eq!(
        fake.rest(),
        [
            Heard::Login(None),
            asked("1.", false),
            asked("cut().", false)
        ]
    );
}

#[test]
fn an_interrupt_stops_the_evaluation_and_the_script() {
    let fake = Fake::start();
    let child = begin(&fake.url, &["-e", "loop().", "-e", "2."], "");
    assert_eq!(fake.hears(), Heard::Login(None));
    assert_eq!(fake.evaluates(), "loop().");
    interrupt(&child);
    assert_eq!(fake.hears(), Heard::Asked(json!({"type": "interrupt"})));
    let ended = child.wait_with_output().unwrap();
    assert_eq!(told(&ended), ("looping\n** interrupted\n", ""));
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(fake.rest(), [Heard::Goodbye]);
}

#[test]
fn the_session_the_dry_run_and_the_token_are_those_asked_for() {
    let fake = Fake::start();
    let read_token = format!("admin.read_token={READ_TOKEN}");
    let ended = script(&fake, &["--session", "ops.1", "--dry-run", "-e", "1."], "");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert_eq!(fake.hears(), Heard::Login(Some("ops.1".into())));
    assert_eq!(fake.hears(), asked("1.", true));

    let ended = script(
        &fake,
        &["--read-only", "--set", &read_token, "-e", "1."],
        "",
    );
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let wrong = format!("admin.read_token={TOKEN}");
    let other = ["--read-only", "--set", "admin.token=x", "--set", &wrong];
    let ended = script(&fake, &[&other[..], &["-e", "1."]].concat(), "");
    assert_eq!(ended.status.code(), Some(3));
    assert!(
        told(&ended)
            .1
            .contains("lets the read-only token change things"),
        "{ended:?}"
    );
}

#[test]
fn a_token_is_shown_in_no_log() {
    let fake = Fake::start();
    let ended = Command::new(env!("CARGO_BIN_EXE_yizhan"))
        .args(["attach", "--to", &fake.url, "-e", "1."])
        .env("YIZHAN__ADMIN__TOKEN", TOKEN)
        .env("RUST_LOG", "trace")
        .output()
        .unwrap();
    let (out, logged) = told(&ended);
    assert_eq!(out, "= 1.\n");
    assert!(!logged.contains(TOKEN), "{logged}");
}

#[test]
fn tls_is_believed_by_a_file_or_on_the_own_machine() {
    let home = tempfile::tempdir().unwrap();
    let (fake, certificate) = Fake::start_with_tls(home.path());
    let certificate = certificate.to_str().unwrap();
    let ended = script(&fake, &["--ca", certificate, "-e", "1."], "");
    assert_eq!(told(&ended), ("= 1.\n", ""));
    let ended = script(&fake, &["-e", "1."], "");
    assert_eq!(ended.status.code(), Some(3));
    assert!(told(&ended).1.contains("certificate"), "{ended:?}");

    let admin = fake.url.replace("https://", "listen.admin=");
    let pair = ["cert", "key"].map(|part| format!("listen.admin_tls_{part}={certificate}"));
    let token = format!("admin.token={TOKEN}");
    let ended = Command::new(env!("CARGO_BIN_EXE_yizhan"))
        .args(["attach", "--set", &admin, "--set", &token])
        .args(["--set", &pair[0], "--set", &pair[1], "-e", "2."])
        .output()
        .unwrap();
    assert_eq!(told(&ended), ("= 2.\n", ""));
}

// ---- a person ----

#[test]
fn a_person_is_greeted_and_leaves_with_ctrl_d() {
    let (fake, home) = (Fake::start(), tempfile::tempdir().unwrap());
    let mut terminal = Terminal::open(&fake, home.path(), &["--dry-run"]);
    terminal.shows("yizhan 0.1.0 at http://127.0.0.1:");
    terminal.shows("shell <0.60.0>, dry run");
    terminal.shows("help(). lists");
    terminal.shows("1> ");
    terminal.types("1+1.");
    terminal.types(ENTER);
    terminal.shows("= 1+1.");
    terminal.shows("2> ");
    terminal.types(CTRL_D);
    let (status, _) = terminal.ends();
    assert_eq!(status.code(), Some(0));
    fake.lets_in();
    assert_eq!(fake.rest(), [asked("1+1.", true), Heard::Goodbye]);
}

#[test]
fn sentences_are_numbered_on_from_where_the_session_is() {
    let (fake, home) = (Fake::start(), tempfile::tempdir().unwrap());
    let mut terminal = Terminal::open(&fake, home.path(), &["--session", "numbered"]);
    terminal.shows("41> ");
    terminal.types(&format!("1.{ENTER}"));
    terminal.shows("42> ");
}

#[test]
fn a_line_is_edited_in_its_middle() {
    let (fake, home) = (Fake::start(), tempfile::tempdir().unwrap());
    let mut terminal = Terminal::open(&fake, home.path(), &[]);
    fake.lets_in();
    terminal.shows("1> ");
    terminal.types(&format!("ö13.{LEFT}{LEFT}2{CTRL_A}0+{ENTER}"));
    assert_eq!(fake.evaluates(), "0+ö123.");
    terminal.shows("2> ");
}

#[test]
fn a_sentence_goes_on_until_its_dot() {
    let (fake, home) = (Fake::start(), tempfile::tempdir().unwrap());
    let mut terminal = Terminal::open(&fake, home.path(), &[]);
    fake.lets_in();
    terminal.shows("1> ");
    terminal.types(&format!("f(\"a. b\",{ENTER}"));
    terminal.shows(".. ");
    terminal.types(&format!("1.5{ENTER}"));
    terminal.shows(".. ");
    terminal.types(&format!("). % done{ENTER}"));
    assert_eq!(fake.evaluates(), "f(\"a. b\",\n1.5\n).");
    terminal.shows("2> ");
    terminal.types(&format!("1. 2.{ENTER}"));
    terminal.shows("4> ");
}

#[test]
fn a_pasted_text_of_several_lines_is_one_text() {
    let (fake, home) = (Fake::start(), tempfile::tempdir().unwrap());
    let mut terminal = Terminal::open(&fake, home.path(), &[]);
    fake.lets_in();
    terminal.shows("1> ");
    terminal.types(&format!("\x1b[200~A = 1.\rB = 2.\x1b[201~{ENTER}"));
    assert_eq!(fake.evaluates(), "A = 1.\nB = 2.");
    terminal.shows("3> ");
}

#[test]
fn tab_completes_by_what_the_server_knows() {
    let (fake, home) = (Fake::start(), tempfile::tempdir().unwrap());
    let mut terminal = Terminal::open(&fake, home.path(), &[]);
    fake.lets_in();
    terminal.shows("1> ");
    terminal.types(&format!("li{TAB}"));
    terminal.shows("1> lists:");
    terminal.types(CTRL_C);
    terminal.shows("1> ");
    terminal.types(&format!("\"😀ä\",{ENTER}"));
    terminal.shows(".. ");
    terminal.types(&format!("\"ö\",ki{TAB}"));
    terminal.shows("kick/1");
    terminal.shows("kick/2");
    terminal.shows("kill_all/0");
    terminal.shows(".. \"ö\",ki");
    terminal.types(&format!("c{TAB}"));
    terminal.shows(".. \"ö\",kick(");
    terminal.types(&format!("1).{ENTER}"));
    terminal.shows("2> ");
    let heard = fake.rest();
    let complete = |text: &str| Heard::Asked(json!({"type": "complete", "text": text}));
    assert!(
        heard.contains(&complete("\"😀ä\",\n\"ö\",kic")),
        "{heard:?}"
    );
    assert!(
        heard.contains(&asked("\"😀ä\",\n\"ö\",kick(1).", false)),
        "{heard:?}"
    );
}

#[test]
fn lines_are_kept_for_the_next_time_and_those_with_secrets_are_not() {
    let (fake, home) = (Fake::start(), tempfile::tempdir().unwrap());
    let mut terminal = Terminal::open(&fake, home.path(), &[]);
    fake.lets_in();
    terminal.shows("1> ");
    terminal.types(&format!("first(),{ENTER}"));
    terminal.shows(".. ");
    terminal.types(&format!("more().{ENTER}"));
    assert_eq!(fake.evaluates(), "first(),\nmore().");
    terminal.shows("2> ");
    for secret in [TOKEN, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJl"] {
        terminal.types(&format!("f(\"{secret}\").{ENTER}"));
        assert!(fake.evaluates().contains(secret));
    }
    terminal.shows("4> ");
    terminal.types(CTRL_D);
    terminal.ends();
    assert_eq!(fake.hears(), Heard::Goodbye);

    let file = home.path().join("yizhan/history");
    let kept = fs::read_to_string(&file).unwrap();
    assert!(kept.contains("first(),\\nmore()."), "{kept}");
    assert!(!kept.contains("eyJ") && !kept.contains(TOKEN), "{kept}");
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(&home.path().join("yizhan")), 0o700);

    let mut terminal = Terminal::open(&fake, home.path(), &[]);
    fake.lets_in();
    terminal.shows("1> ");
    terminal.types(&format!("{UP}{ENTER}"));
    assert_eq!(fake.evaluates(), "first(),\nmore().");
}

#[test]
fn a_thousand_lines_are_kept() {
    let (fake, home) = (Fake::start(), tempfile::tempdir().unwrap());
    fs::create_dir(home.path().join("yizhan")).unwrap();
    let file = home.path().join("yizhan/history");
    let many: String = (0..1_500).map(|n| format!("f({n}).\n")).collect();
    fs::write(&file, format!("#V2\n{many}")).unwrap();
    let mut terminal = Terminal::open(&fake, home.path(), &[]);
    terminal.shows("1> ");
    terminal.types(&format!("last().{ENTER}"));
    terminal.shows("2> ");
    let kept = fs::read_to_string(&file).unwrap();
    let lines: Vec<_> = kept.lines().skip(1).collect();
    assert_eq!(lines.len(), 1_000);
    assert_eq!((lines[0], lines[999]), ("f(501).", "last()."));
}

#[test]
fn ctrl_c_drops_the_line_with_those_above_it() {
    let (fake, home) = (Fake::start(), tempfile::tempdir().unwrap());
    let mut terminal = Terminal::open(&fake, home.path(), &[]);
    fake.lets_in();
    terminal.shows("1> ");
    terminal.types(&format!("bad(,{ENTER}"));
    terminal.shows(".. ");
    terminal.types("worse");
    terminal.shows("worse");
    terminal.types(CTRL_C);
    terminal.shows("1> ");
    terminal.types(&format!("good().{ENTER}"));
    assert_eq!(fake.evaluates(), "good().");
    terminal.shows("2> ");
}

#[test]
fn ctrl_c_interrupts_an_evaluation_and_never_the_session() {
    let (fake, home) = (Fake::start(), tempfile::tempdir().unwrap());
    let mut terminal = Terminal::open(&fake, home.path(), &[]);
    fake.lets_in();
    terminal.shows("1> ");
    terminal.types(&format!("loop().{ENTER}"));
    assert_eq!(fake.evaluates(), "loop().");
    terminal.shows("looping");
    terminal.types(CTRL_C);
    assert_eq!(fake.hears(), Heard::Asked(json!({"type": "interrupt"})));
    terminal.shows("** interrupted");
    terminal.shows("2> ");
    terminal.types(&format!("2.{ENTER}"));
    assert_eq!(fake.evaluates(), "2.");
    terminal.shows("3> ");
    assert_eq!(fake.rest(), [], "the connection is still the first");
}

#[test]
fn a_second_ctrl_c_leaves_what_cannot_be_interrupted() {
    let (fake, home) = (Fake::start(), tempfile::tempdir().unwrap());
    let mut terminal = Terminal::open(&fake, home.path(), &[]);
    let session = fake.lets_in();
    terminal.shows("1> ");
    terminal.types(&format!("1.{ENTER}"));
    terminal.shows("2> ");
    assert_eq!(fake.evaluates(), "1.");
    // The answer to the interrupt is for the first evaluation, so that this one goes on.
    terminal.types(&format!("loop().{ENTER}"));
    assert_eq!(fake.evaluates(), "loop().");
    terminal.types(CTRL_C);
    assert_eq!(fake.hears(), Heard::Asked(json!({"type": "interrupt"})));
    terminal.types(CTRL_C);
    terminal.shows("left an evaluation that did not end");
    terminal.shows("3> ");
    assert_eq!(fake.hears(), Heard::Goodbye);
    terminal.types(&format!("3.{ENTER}"));
    assert_eq!(fake.lets_in(), session);
    assert_eq!(fake.evaluates(), "3.");
}

#[test]
fn output_that_comes_while_a_line_is_edited_leaves_the_line_alone() {
    let (fake, home) = (Fake::start(), tempfile::tempdir().unwrap());
    let mut terminal = Terminal::open(&fake, home.path(), &[]);
    fake.lets_in();
    terminal.shows("1> ");
    terminal.types("ab");
    terminal.shows("ab");
    for n in 0..5 {
        fake.says(json!({"type": "output", "id": null, "text": format!("timer {n}\n")}));
    }
    fake.says(json!({"type": "output", "text": "\u{1b}]0;owned\u{7}"}));
    terminal.shows("timer 4");
    terminal.shows("^[]0;owned^G");
    terminal.shows("1> ab");
    terminal.types(&format!("c.{ENTER}"));
    assert_eq!(fake.evaluates(), "abc.");
}

#[test]
fn a_lost_connection_is_told_and_made_again_for_the_same_session() {
    let (fake, home) = (Fake::start(), tempfile::tempdir().unwrap());
    let mut terminal = Terminal::open(&fake, home.path(), &[]);
    let session = fake.lets_in();
    assert!(session.starts_with("attach-"), "{session}");
    terminal.shows("1> ");
    terminal.types("1");
    terminal.shows("1");
    fake.cuts();
    terminal.shows("the connection was lost");
    terminal.types(&format!(".{ENTER}"));
    assert_eq!(fake.lets_in(), session);
    assert_eq!(fake.evaluates(), "1.");
    terminal.shows("connected again");
    terminal.shows("= 1.");
    terminal.shows("2> ");

    fake.closes("draining");
    terminal.shows("the server closed it (1001): draining; the next line connects again");
    assert_eq!(fake.hears(), Heard::Goodbye);
    terminal.types(&format!("cut().{ENTER}"));
    assert_eq!(fake.lets_in(), session);
    assert_eq!(fake.evaluates(), "cut().");
    terminal.shows("the connection was lost during an evaluation");
    terminal.shows("3> ");
    drop(fake);
    terminal.types(&format!("3.{ENTER}"));
    terminal.shows("no server answers at");
    terminal.shows("this line was not evaluated");
    terminal.shows("3> ");
    terminal.types(CTRL_D);
    assert_eq!(terminal.ends().0.code(), Some(0));
}

#[test]
fn a_terminal_without_a_server_is_told_so() {
    let (fake, home) = (Fake::start(), tempfile::tempdir().unwrap());
    let terminal = Terminal::open(&fake, home.path(), &["--set", "admin.token=wrong"]);
    let (status, shown) = terminal.ends();
    assert_eq!(status.code(), Some(3));
    assert!(
        shown.contains("Invalid token") && !shown.contains("1> "),
        "{shown}"
    );
}

// ---- the words of these tests ----

fn script(fake: &Fake, options: &[&str], input: &str) -> Output {
    at(&fake.url, options, input)
}

fn at(url: &str, options: &[&str], input: &str) -> Output {
    begin(url, options, input).wait_with_output().unwrap()
}

fn begin(url: &str, options: &[&str], input: &str) -> Child {
    let mut arguments = vec!["attach"];
    if !options.contains(&"--to") {
        arguments.extend(["--to", url]);
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_yizhan"))
        .args(arguments)
        .args(["--set", &format!("admin.token={TOKEN}")])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who is refused may be gone before all of it is written.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child
}

fn told(ended: &Output) -> (&str, &str) {
    let text = |bytes| std::str::from_utf8(bytes).unwrap();
    (text(&ended.stdout), text(&ended.stderr))
}

fn asked(text: &str, dry_run: bool) -> Heard {
    Heard::Asked(json!({"type": "eval", "text": text, "dry_run": dry_run}))
}

fn interrupt(child: &Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}
