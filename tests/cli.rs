//! The commands an operator types, and what they print.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use std::time::{SystemTime, UNIX_EPOCH};

use support::{Call, Refusal, SEED, Server, User, cli};

#[test]
fn a_uid_is_shown_both_ways() {
    let known = [
        ("0", "2ja1kp"),
        ("1", "kybqdp"),
        ("2", "18aw3p"),
        ("4", "8ybk5b"),
        ("5", "8daz8a"),
        ("108", "7b4v1b"),
        ("12345", "bxyxr9"),
        ("13238", "bymj5g"),
        ("513244", "9d4nnk"),
    ];
    for (number, name) in known {
        assert_eq!(cli(&["uid", number, "--config", SEED]).trim(), name);
        assert_eq!(cli(&["uid", name, "--config", SEED]).trim(), number);
    }
}

#[tokio::test]
async fn what_is_neither_a_number_nor_an_id_is_refused() {
    for word in ["7b4v1", "7b4v1B", "-1", "99999999999999999999999", ""] {
        let refusal = Refusal::of(&["uid", "--config", SEED, "--", word]).await;
        assert!(!refusal.status.success(), "{word}: {}", refusal.stdout);
        assert_eq!(refusal.stdout, "", "{word}");
    }
}

#[test]
fn a_token_is_for_the_user_and_as_long_as_asked() {
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis() as u64
    };
    let lifetimes: [(&[&str], u64); 4] = [
        (&[], 7_200_000),
        (&["--refresh"], 8_640_000_000),
        (&["--ttl", "60000"], 60_000),
        (&["--refresh", "--ttl", "60000"], 60_000),
    ];
    for (options, lifetime) in lifetimes {
        let mut command = vec!["token", "108", "--config", SEED];
        command.extend(options);
        let before = now();
        let printed = cli(&command);
        let after = now();
        assert_eq!(printed.lines().count(), 1, "the token and nothing else");
        let user = User::with_token(108, printed.trim());
        assert_eq!(user.name, "7b4v1b");
        assert!(
            (before + lifetime..=after + lifetime).contains(&user.expiry()),
            "{options:?}"
        );
    }
}

#[tokio::test]
async fn a_refresh_token_is_one() {
    let server = Server::start(&[]).await;
    let token = cli(&["token", "1", "--refresh", "--config", SEED]);
    let answer = Call::post(server.public, "/v1/token/refresh", "")
        .bearer(token.trim())
        .send()
        .await;
    assert!(answer.payload()["token"].is_string());
}

#[test]
fn the_configuration_in_force_is_shown_without_its_secrets() {
    let shown = cli(&[
        "config",
        "--config",
        SEED,
        "--set",
        "admin.token=a-secret-of-the-admin",
        "--set",
        "inbox.max_messages=4321",
    ]);
    for told in [
        "max_payload",
        "65536",
        "schedule_ms",
        "4321",
        "min_length",
        "default_did",
    ] {
        assert!(shown.contains(told), "no {told} in\n{shown}");
    }
    for secret in ["Ap2fQm5aBgE8Qzuar6oixYmXpffcL3yw", "a-secret-of-the-admin"] {
        assert!(!shown.contains(secret), "a secret is shown");
    }
}

#[test]
fn later_settings_win_over_earlier_ones() {
    let home = tempfile::tempdir().unwrap();
    let one = home.path().join("one.toml");
    let two = home.path().join("two.toml");
    std::fs::write(
        &one,
        "[inbox]\nmax_messages = 11111\n[device]\nidle_timeout_ms = 22222\n",
    )
    .unwrap();
    std::fs::write(&two, "[inbox]\nmax_messages = 33333\n").unwrap();
    let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());
    let shown = cli(&["config", "--config", one, "--config", two]);
    assert!(
        shown.contains("33333") && !shown.contains("11111"),
        "{shown}"
    );
    assert!(shown.contains("22222"), "{shown}");

    let from_environment = std::process::Command::new(env!("CARGO_BIN_EXE_yizhan"))
        .args(["config", "--config", two])
        .env("YIZHAN__INBOX__MAX_MESSAGES", "44444")
        .output()
        .unwrap();
    let shown = String::from_utf8(from_environment.stdout).unwrap();
    assert!(
        shown.contains("44444") && !shown.contains("33333"),
        "{shown}"
    );

    let set_last = std::process::Command::new(env!("CARGO_BIN_EXE_yizhan"))
        .args(["config", "--set", "inbox.max_messages=55555"])
        .env("YIZHAN__INBOX__MAX_MESSAGES", "44444")
        .output()
        .unwrap();
    let shown = String::from_utf8(set_last.stdout).unwrap();
    assert!(
        shown.contains("55555") && !shown.contains("44444"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_command_that_makes_no_sense_is_refused() {
    for command in [
        &["no-such-command"][..],
        &["token"],
        &["token", "somebody"],
        &["serve", "--no-such-option"],
    ] {
        let refusal = Refusal::of(command).await;
        assert!(!refusal.status.success(), "{command:?}");
        assert!(!refusal.stderr.is_empty(), "{command:?}");
    }
}

#[test]
fn help_names_every_command_and_option() {
    let help = cli(&["--help"]);
    for command in ["serve", "token", "uid", "config", "health", "attach"] {
        assert!(help.contains(command), "no {command} in\n{help}");
    }
    let help = cli(&["serve", "--help"]);
    for option in ["--config", "--set", "--dev"] {
        assert!(help.contains(option), "no {option} in\n{help}");
    }
    let help = cli(&["token", "--help"]);
    for option in ["--refresh", "--ttl"] {
        assert!(help.contains(option), "no {option} in\n{help}");
    }
    assert!(cli(&["--version"]).contains(env!("CARGO_PKG_VERSION")));
}
