use std::{env, process::Command};

const INSIDE: &str = "YIZHAN_TEST_INSIDE";
const WITHOUT: &str = "YIZHAN_NO_NAMESPACES";

/// Whether this process runs in a network of its own. Where it does not, the test of this name is run once more in one, and
/// the answer is false: there is nothing left to do. With `YIZHAN_NO_NAMESPACES=1` the test is left out.
pub fn in_own_network(test: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        run("ip", &["link", "set", "lo", "up"]);
        return true;
    }
    if env::var(WITHOUT).is_ok_and(|value| value == "1") {
        println!("left out: {WITHOUT}=1");
        return false;
    }
    let ways: [&[&str]; 2] = [&["--user", "--map-root-user", "--net"], &["--net"]];
    let works = |way: &&&[&str]| {
        let tried = Command::new("unshare").args(**way).arg("true").output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    let way = ways.iter().find(works).unwrap_or_else(|| {
        panic!(
            "this test needs a network of its own, and `unshare --user --map-root-user --net true` fails; \
             {WITHOUT}=1 leaves out the tests that need one"
        )
    });
    let ran = Command::new("unshare")
        .args(*way)
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(
        ran.status.success() && output.contains("1 passed"),
        "in a network of its own:\n{output}{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    false
}

/// From here on every packet to this address is lost, without a word to anybody.
pub fn lose_packets_to(address: &str) {
    let route = format!("{address}/32");
    run(
        "ip",
        &["route", "add", "blackhole", &route, "table", "local"],
    );
}

fn run(program: &str, arguments: &[&str]) {
    let ran = Command::new(program).args(arguments).output();
    let ran = ran.unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{program} {arguments:?}: {said}");
}
