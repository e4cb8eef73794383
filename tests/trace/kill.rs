//! What lies in a file is there when the process was killed.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use yizhan::store::trace::Tracer;

use super::{PLENTY, Time, note, numbers};

const DIR: &str = "YIZHAN_TRACE_TEST_DIR";
const KEY: &str = "YIZHAN_TRACE_TEST_KEY";
const ROUNDS: u64 = 8;

#[test]
fn everything_older_than_what_was_said_is_found_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut said = Vec::new();
    for round in 1..=ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child", "--ignored", "--nocapture"])
            .env(DIR, dir.path())
            .env(KEY, round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let written = lines.map_while(Result::ok);
        let mut written = written.filter_map(|line| line.strip_prefix("written ")?.parse().ok());
        let mut last: u64 = written.nth(20 * round as usize).unwrap();
        child.kill().unwrap();
        // What it said while the kill was on its way counts as well.
        last = written.last().unwrap_or(last);
        child.wait().unwrap();
        said.push((round, last));

        let tracer = Tracer::start(Some(dir.path()), PLENTY, Time::at(round).now()).unwrap();
        for (key, last) in &said {
            let (found, told) = numbers(&tracer, &[*key]);
            assert!(found.last() >= Some(last), "round {key}");
            assert!(
                found.iter().copied().eq(0..found.len() as u64),
                "round {key}"
            );
            assert_eq!((told.cut, told.damaged, told.lost), (round, 0, 0));
        }
    }
}

/// Records numbers until it is killed, and says up to which all have been written.
#[test]
#[ignore = "is started and killed by another test"]
fn child() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else {
        return;
    };
    let key: u64 = std::env::var(KEY).unwrap().parse().unwrap();
    let tracer = Tracer::start(Some(&dir), PLENTY, Time::at(1).now()).unwrap();
    let mut out = std::io::stdout();
    for number in 0.. {
        note(&tracer, key, number, 30);
        if number % 777 == 0 {
            tracer.flush().unwrap();
            writeln!(out, "written {number}").unwrap();
        }
    }
}
